"""Other people's formats, as their senders post them: each becomes predictions and outcomes of a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.server.serving import JSON, Server, start
from tests.server.test_ingest import metric, problem

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.serving import Answer

PROTOBUF = "application/x-protobuf"


def half(server: Server, part: str, number: int, body: Any, **more: str) -> Answer:
    """One half of an exchange, as KServe's logger posts it: CloudEvents in binary mode."""
    headers = {
        "Ce_Specversion": "1.0",
        "Ce_Id": f"exchange-{number}",
        "Ce_Type": f"org.kubeflow.serving.inference.{part}",
        "Ce_Source": "http://localhost:9081/",
        "Ce_Time": "2026-01-01T00:00:00Z",
        "Ce_Inferenceservicename": "sklearn-iris",
        "Content_Type": JSON,
    }
    return server.ask("POST", "/v1/cloudevents", json.dumps(body).encode(), **headers | more)


def test_kserves_halves_are_held(server: Server) -> None:
    """Request and response come apart, in any order, and again when the logger tries again."""
    answers = [
        half(server, "request", 1, {"instances": [[6.8, 2.8]]}),
        half(server, "response", 1, {"predictions": [1]}),
        half(server, "response", 1, {"predictions": [1]}),
    ]

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert metric(server, "killick_halves_total", "sklearn-iris") == 3


def test_an_event_of_another_kind_is_a_problem(server: Server) -> None:
    """400 in words: somebody pointed the wrong broker at us."""
    problem(half(server, "request", 1, {}, Ce_Type="com.example.other"), 400)
    problem(server.post("/v1/cloudevents", {"a": 1}), 400)


def test_a_batch_of_structured_events_is_taken_and_its_bad_ones_told(server: Server) -> None:
    """What a broker between makes of them; one bad event costs nobody else."""
    event = {
        "specversion": "1.0",
        "id": "7",
        "type": "io.seldon.serving.inference.request",
        "source": "io.seldon.serving.deployment.iris",
        "modelid": "iris",
        "requestid": "7",
        "data": {"data": {"ndarray": [[1.0, 2.0]]}},
    }
    answer = server.post("/v1/cloudevents", [event, {"type": "x"}], Content_Type="application/cloudevents-batch+json")

    assert answer.status == 200
    assert answer.json["accepted"] == 1
    assert [row["index"] for row in answer.json["quarantined"]] == [1]


def test_an_event_that_is_too_large_is_in_its_models_quarantine(server: Server) -> None:
    """The logger of a model server reads no answer."""
    picture = {"instances": [[0.5] * 300_000]}
    answer = half(server, "request", 5, picture, Ce_Inferenceservicename="pictures")
    (row,) = server.ask("GET", "/v1/models/pictures/quarantine").json["rows"]

    assert (answer.status, answer.json["accepted"]) == (200, 0)
    assert (row["index"], row["field"]) == (0, "data")


def export(*records: dict[str, Any]) -> dict[str, Any]:
    """An OTLP export whose records have these attributes."""

    def value(one: Any) -> dict[str, Any]:
        return {"doubleValue": one} if isinstance(one, float) else {"stringValue": str(one)}

    logged = [
        {
            "timeUnixNano": "1700000000000000000",
            "attributes": [{"key": key, "value": value(one)} for key, one in record.items()],
        }
        for record in records
    ]
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": logged}]}]}


CHURN = {"killick.model": "churn", "killick.prediction_id": "a", "killick.score": 0.25, "killick.feature.age": 41.0}


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/otlp/v1/logs"])
def test_otlp_logs_in_json_are_taken(path: str, server: Server) -> None:
    """The answer is OTLP's: empty when all is well; other people's records are passed over."""
    before = metric(server, "killick_predictions_total", "churn")
    answer = server.post(path, export(CHURN, {"http.method": "GET"}))

    assert (answer.status, answer.json) == (200, {})
    assert metric(server, "killick_predictions_total", "churn") == before + 1


def test_otlp_says_how_many_records_were_refused(server: Server) -> None:
    """A partial success, with a reason: a record without a model is nobody's prediction."""
    answer = server.post("/v1/logs", export(CHURN, {"killick.prediction_id": "b", "killick.score": 0.1}))

    assert answer.status == 200
    assert answer.json["partialSuccess"]["rejectedLogRecords"] == "1"
    assert answer.json["partialSuccess"]["errorMessage"]


def test_otlp_in_protobuf_is_taken_and_answered_in_protobuf(server: Server) -> None:
    """As the exporters of every language send it; their own library reads our answer."""
    service = pytest.importorskip("opentelemetry.proto.collector.logs.v1.logs_service_pb2")
    formats = pytest.importorskip("google.protobuf.json_format")
    bodies = [export(CHURN), export(CHURN, {"killick.prediction_id": "b"})]
    sent = [formats.ParseDict(body, service.ExportLogsServiceRequest()).SerializeToString() for body in bodies]
    answers = [server.ask("POST", "/v1/logs", body, Content_Type=PROTOBUF) for body in sent]
    told = [service.ExportLogsServiceResponse.FromString(answer.body) for answer in answers]

    assert [(answer.status, answer.headers["content-type"]) for answer in answers] == [(200, PROTOBUF)] * 2
    assert [one.partial_success.rejected_log_records for one in told] == [0, 1]
    assert told[1].partial_success.error_message


def test_sagemakers_lines_are_taken(server: Server) -> None:
    """Captures become predictions, ground truth becomes outcomes; a line that is none is put aside."""
    capture = {
        "captureData": {
            "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": "1,2", "encoding": "CSV"},
            "endpointOutput": {"observedContentType": "text/csv", "mode": "OUTPUT", "data": "0.3", "encoding": "CSV"},
        },
        "eventMetadata": {"eventId": "e-1", "inferenceTime": "2026-01-01T00:00:00Z"},
        "eventVersion": "0",
    }
    truth = {"groundTruthData": {"data": "1", "encoding": "CSV"}, "eventMetadata": {"eventId": "e-1"}}
    lines = json.dumps(capture).encode() + b"\nno line\n"
    captured = server.ask("POST", "/v1/models/loans/sagemaker/captures", lines, Content_Type="application/jsonlines")
    labelled = server.post("/v1/models/loans/sagemaker/labels", truth, Content_Type="application/x-ndjson")

    assert (captured.status, captured.json["accepted"]) == (200, 1)
    assert [row["index"] for row in captured.json["quarantined"]] == [1]
    assert (labelled.status, labelled.json["accepted"]) == (200, 1)


def test_columns_that_have_no_name_get_those_of_the_reference(tmp_path: Path) -> None:
    """An endpoint that takes CSV has no header: the reference knows the order in which its features come."""
    train = pl.DataFrame({"income": [float(n % 17) for n in range(200)], "city": ["Oslo", "Rome"] * 100})
    train.with_columns((pl.col("income") / 17).alias("p")).write_parquet(tmp_path / "train.parquet")
    spec = "killick: 1\nmodel: loans\ntask: binary\nschema: {score: p}\nreference: {data: train.parquet}\n"
    (tmp_path / "killick.yaml").write_text(spec)
    running = start(tmp_path / "store", str(tmp_path / "killick.yaml"))
    capture = {
        "captureData": {
            "endpointInput": {"observedContentType": "text/csv", "mode": "INPUT", "data": "12,Rome", "encoding": "CSV"},
            "endpointOutput": {"observedContentType": "text/csv", "mode": "OUTPUT", "data": "0.3", "encoding": "CSV"},
        },
        "eventMetadata": {"eventId": "e-1", "inferenceTime": "2026-01-01T00:00:00Z"},
        "eventVersion": "0",
    }
    answer = running.ask(
        "POST",
        "/v1/models/loans/sagemaker/captures",
        json.dumps(capture).encode(),
        Content_Type="application/jsonlines",
    )
    assert (answer.status, answer.json["accepted"]) == (200, 1), answer.body
    (file,) = (tmp_path / "store" / "telemetry").rglob("*.parquet")
    assert pl.read_parquet(file).select("income", "city").rows() == [(12, "Rome")]
    assert running.stop() == 0, running.log.read_text()


def test_an_export_of_many_new_models_is_no_way_around_their_number(few: Server) -> None:
    """Five models may be known; the others' records are refused, and told."""
    records = [
        {"killick.model": f"new-{number}", "killick.prediction_id": "a", "killick.score": 0.5} for number in range(9)
    ]
    answer = few.post("/v1/logs", export(*records))

    assert answer.status == 200
    assert "takes no more names" in answer.json["partialSuccess"]["errorMessage"]
    assert len(few.ask("GET", "/v1/models").json["models"]) == 5


def test_a_batch_of_many_new_models_is_refused_before_any_is_held(tmp_path: Path) -> None:
    """And their names are free for others."""
    event = {
        "specversion": "1.0",
        "type": "io.seldon.serving.inference.request",
        "source": "io.seldon.serving.deployment.iris",
        "data": {"data": {"ndarray": [[1.0, 2.0]]}},
    }
    batch = [event | {"id": str(number), "modelid": f"new-{number}"} for number in range(3)]
    running = start(tmp_path, models_max=2)
    try:
        problem(running.post("/v1/cloudevents", batch, Content_Type="application/cloudevents-batch+json"), 403)
        assert running.ask("GET", "/v1/models").json["models"] == []
        answer = running.post("/v1/cloudevents", batch[:2], Content_Type="application/cloudevents-batch+json")
        assert answer.status == 200
    finally:
        running.stop()


def test_one_model_with_too_many_columns_does_not_cost_an_export(server: Server) -> None:
    """The others are stored; the refused records are told, and a sender that retried would send them twice."""
    wide = {"killick.prediction_id": "w"} | {f"killick.feature.{number}": 0.5 for number in range(6_000)}
    other = {"killick.prediction_id": "v"} | {f"killick.feature.x{number}": 0.5 for number in range(6_000)}
    good = {"killick.model": "good", "killick.prediction_id": "a", "killick.score": 0.5}
    records = [good, wide | {"killick.model": "wide"}, other | {"killick.model": "wide"}]
    answer = server.post("/v1/logs", export(*records))

    assert answer.status == 200
    assert answer.json["partialSuccess"]["rejectedLogRecords"] == "2"
    assert metric(server, "killick_predictions_total", "good") == 1


def test_a_refused_event_is_told_by_the_line_that_it_comes_from(server: Server) -> None:
    """Lines that are empty, or cannot be read, are lines."""

    def line(event_id: str, time: str) -> bytes:
        data = {"endpointInput": {"data": "1,2", "encoding": "CSV"}, "endpointOutput": {"data": "0", "encoding": "CSV"}}
        metadata = {"eventId": event_id, "inferenceTime": time}
        return json.dumps({"captureData": data, "eventMetadata": metadata}).encode()

    good, late = "2026-01-01T00:00:00Z", "2199-01-01T00:00:00Z"
    body = b"\n".join([line("a", good), b"", b"{", line("b", late), line("c", good)])
    path = "/v1/models/captured-lines/sagemaker/captures"
    answer = server.ask("POST", path, body, Content_Type="application/jsonlines")

    assert answer.json["accepted"] == 2
    assert [row["index"] for row in answer.json["quarantined"]] == [2, 3]


def test_a_refused_record_is_in_its_models_quarantine(server: Server) -> None:
    """Whoever looks after the model sees it, even where no record of it could be used; the answer counts it."""
    bad = {"killick.model": "only-bad", "killick.prediction_id": "a", "killick.score": "high"}
    good = {"killick.model": "beside-bad", "killick.prediction_id": "a", "killick.score": 0.5}
    answer = server.post("/v1/logs", export(good, bad, bad | {"killick.model": "beside-bad"}))

    assert answer.json["partialSuccess"]["rejectedLogRecords"] == "2"
    for model, index in (("only-bad", 1), ("beside-bad", 2)):
        rows = server.ask("GET", f"/v1/models/{model}/quarantine").json["rows"]
        assert [(row["index"], row["field"]) for row in rows] == [(index, "killick.score")]
