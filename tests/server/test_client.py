"""Our own client and our own server: what a service logs is there, once, and what it dropped is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import killick_client
from tests.server.serving import Server, prediction
from tests.server.test_ingest import metric

if TYPE_CHECKING:
    from pathlib import Path


def test_what_a_client_logs_is_there_once(server: Server, tmp_path: Path) -> None:
    """Predictions, outcomes, gauges and changes, over the wire as users have it."""
    client = killick_client.Client(
        f"http://{server.host}:{server.port}", model="logged", version="v1", spool=tmp_path / "spool"
    )
    for number in range(250):
        client.log_prediction(prediction_id=f"p-{number}", features={"temp": 20.5, "origin": "JFK"}, score=0.25)
    client.log_outcome(prediction_id="p-1", label=True, kpis={"cost": 40.0})
    client.log_gauge("queue_length", 17)
    client.log_change(kind="pipeline", name="weather-feed", version="2.1")
    assert client.flush(30)
    client.close()

    assert metric(server, "killick_predictions_total", "logged") == 250
    assert metric(server, "killick_outcomes_total", "logged") == 1
    assert metric(server, "killick_gauges_total", "logged") == 1
    assert metric(server, "killick_quarantined_total", "logged") == 0


def test_what_a_client_dropped_is_counted(server: Server) -> None:
    """It tells by a gauge of this name how many events it had no room for since it last said so."""
    for dropped in (3, 4):
        server.post("/v1/models/full/gauges", [{"name": "killick_client.dropped", "value": dropped}])
    server.post("/v1/models/full/predictions", [prediction(1)])

    assert metric(server, "killick_client_dropped_total", "full") == 7
