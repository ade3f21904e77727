"""What Prometheus is told: true, bounded, and named as its conventions want."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from killick.server.meters import KINDS, REASONS, Meters, reason_class
from tests.server.serving import prediction

if TYPE_CHECKING:
    from tests.server.serving import Server

SERIES_OF_A_MODEL_MAX = 50


def everything(models: int) -> Meters:
    """Meters in which all that can happen to a model has happened."""
    meters = Meters()
    for number in range(models):
        model = f"model-{number}"
        for kind in KINDS:
            meters.accepted(model, kind, 1)
            for reason in REASONS:
                meters.quarantined(model, kind, reason, 1)
        meters.duplicate(model)
        meters.dropped(model, 1)
    meters.watch_models("killick_profile_lag_seconds", "Behind.", lambda: {f"model-{n}": 1.0 for n in range(models)})
    return meters


def test_a_model_has_at_most_fifty_series() -> None:
    """Whatever happens to it: a platform with a thousand models must not drown its Prometheus."""
    of_one = [line for line in everything(3).text().decode().splitlines() if 'model="model-1"' in line]

    assert 10 < len(of_one) <= SERIES_OF_A_MODEL_MAX


def test_the_rest_does_not_grow_with_the_models() -> None:
    """What has no model's label is there once."""

    def others(models: int) -> int:
        return len([line for line in everything(models).text().decode().splitlines() if "model=" not in line])

    assert others(1) == others(20)


def test_names_and_units_are_as_prometheus_wants_them() -> None:
    """One prefix, snake case, counters in total, times in seconds, each with a sentence of help."""
    families = list(text_string_to_metric_families(everything(1).text().decode()))

    assert len(families) >= 10
    for family in families:
        assert re.fullmatch(r"killick(_[a-z]+)+", family.name), family.name
        assert family.documentation.endswith("."), family.name
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)
        assert not re.search(r"_(ms|milliseconds|us|kb|mib)\b", family.name)


@pytest.mark.parametrize("reason", ["", "is missing", "Expected `float`, got `str`", "x" * 10_000, "\n", "kk_secret"])
def test_a_reason_is_one_of_a_few_words(reason: str) -> None:
    """Whatever the data says: a label's values are a closed set."""
    assert reason_class(reason) in REASONS


def test_a_server_tells_what_it_did(server: Server) -> None:
    """Rows, answers and the time of acknowledgements, as they happened."""
    while not (before := values(server))["killick_live_done_timestamp_seconds"]:
        time.sleep(0.02)
    server.post("/v1/models/metered/predictions", [prediction(1), prediction(2)])
    server.post("/v1/models/metered/predictions", "no rows", Content_Type="text/plain")
    after = values(server)

    def grew(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert after['killick_predictions_total{model="metered"}'] == 2
    assert grew('killick_answers_total{status="415"}') == 1
    assert grew("killick_ingest_seconds_count") == 1
    assert after["killick_live_done_timestamp_seconds"] > 1_700_000_000


def values(server: Server) -> dict[str, float]:
    """Every series and its value."""
    lines = server.ask("GET", "/metrics").body.decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
