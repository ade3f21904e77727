"""What is sent is taken once, durably; what is wrong is told in words, and the rest stands."""

from __future__ import annotations

import gzip
import io
import json
import socket
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import polars as pl
import pytest
import zstandard

from tests.server.serving import ARROW, JSON, NDJSON, Answer, Server, prediction, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = [prediction(number) for number in range(3)]


def arrow(rows: list[dict[str, Any]]) -> bytes:
    """Rows as an Arrow stream; features in columns of their own."""
    flat = [{k: v for k, v in row.items() if k != "features"} | row["features"] for row in rows]
    stream = io.BytesIO()
    pl.DataFrame(flat).write_ipc_stream(stream)
    return stream.getvalue()


def ndjson(rows: list[dict[str, Any]]) -> bytes:
    """Rows as lines."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


BODIES = {
    "an array": (JSON, json.dumps(ROWS).encode(), 3),
    "one object": (JSON, json.dumps(ROWS[0]).encode(), 1),
    "lines": (NDJSON, ndjson(ROWS), 3),
    "Arrow": (ARROW, arrow(ROWS), 3),
    "nothing": (JSON, b"[]", 0),
}
PACKED = {"none": lambda data: data, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}


@pytest.mark.parametrize("encoding", PACKED)
@pytest.mark.parametrize("form", BODIES)
def test_each_form_of_a_body_is_taken_packed_or_not(form: str, encoding: str, server: Server) -> None:
    """Three media types, two packings; one object counts as an array of one."""
    media, body, rows = BODIES[form]
    packing = {} if encoding == "none" else {"Content_Encoding": encoding}
    answer = server.ask("POST", "/v1/models/forms/predictions", PACKED[encoding](body), Content_Type=media, **packing)

    assert (answer.status, answer.json) == (200, {"accepted": rows, "quarantined": [], "duplicate": False})


def test_outcomes_gauges_and_changes_are_taken(server: Server) -> None:
    """Each in its canonical form."""
    outcome = {"prediction_id": "p-1", "known_at": "2026-01-01T00:00:00Z", "label": True, "kpis": {"cost": 40.0}}
    gauge = {"name": "queue_length", "value": 17, "at": 1_700_000_000_000_000}
    change = {"at": "2026-01-01T00:00:00Z", "kind": "pipeline", "name": "weather-feed", "version": "2.1"}

    answers = [
        server.post("/v1/models/kinds/outcomes", [outcome]),
        server.post("/v1/models/kinds/gauges", [gauge]),
        server.post("/v1/changes", [change]),
    ]

    assert [(answer.status, answer.json["accepted"]) for answer in answers] == [(200, 1)] * 3


SENDERS: dict[str, dict[str, str]] = {
    "producer and sequence": {"Killick_Producer": "worker-1", "Killick_Sequence": "7"},
    "idempotency key": {"Idempotency_Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"},
}


@pytest.mark.parametrize("sender", SENDERS)
def test_the_same_batch_again_is_answered_alike_and_not_counted(sender: str, server: Server) -> None:
    """However often it is sent: the same answer, marked as a repetition."""
    model = sender.replace(" ", "-")
    answers = [server.post(f"/v1/models/{model}/predictions", ROWS, **SENDERS[sender]) for _ in range(3)]

    assert [answer.json["duplicate"] for answer in answers] == [False, True, True]
    assert [answer.json["accepted"] for answer in answers] == [3, 3, 3]
    assert metric(server, "killick_predictions_total", model) == 3
    assert metric(server, "killick_duplicates_total", model) == 2


def test_who_does_not_say_who_sends_sends_anew_each_time(server: Server) -> None:
    """Without a name nothing can be recognised, and nothing is taken for a repetition."""
    answers = [server.post("/v1/models/nameless/predictions", ROWS) for _ in range(2)]

    assert [answer.json["duplicate"] for answer in answers] == [False, False]


@pytest.mark.parametrize(
    "headers",
    [
        {"Killick_Producer": "worker-1"},
        {"Killick_Sequence": "7"},
        {"Killick_Producer": "", "Killick_Sequence": "7"},
        {"Killick_Producer": "x" * 201, "Killick_Sequence": "7"},
        {"Killick_Producer": "a\tb", "Killick_Sequence": "7"},
        {"Killick_Producer": "worker-1", "Killick_Sequence": "-1"},
        {"Killick_Producer": "worker-1", "Killick_Sequence": "1.0"},
        {"Killick_Producer": "worker-1", "Killick_Sequence": "9223372036854775808"},
        {"Killick_Producer": "worker-1", "Killick_Sequence": "9" * 5000},
        {"Killick_Producer": "worker-1", "Killick_Sequence": "\u00b2"},
        {"Idempotency_Key": ""},
        {"Idempotency_Key": "k", "Killick_Producer": "worker-1", "Killick_Sequence": "7"},
    ],
    ids=lambda headers: " ".join(f"{k}={v[:9]}" for k, v in headers.items()),
)
def test_a_sender_that_cannot_be_recognised_again_is_refused(headers: dict[str, str], server: Server) -> None:
    """400, before anything is stored: a batch under half a name could never be sent again safely."""
    problem(server.post("/v1/models/senders/predictions", ROWS, **headers), 400)


def test_bad_rows_are_put_aside_and_the_rest_stands(server: Server) -> None:
    """Each with its index, its field and why; counted, and visible."""
    answer = server.post("/v1/models/mixed/predictions", [ROWS[0], {"score": 1}, prediction(1, score="high")])

    assert answer.status == 200
    assert answer.json["accepted"] == 1
    assert [row["index"] for row in answer.json["quarantined"]] == [1, 2]
    assert {row["field"] for row in answer.json["quarantined"]} == {"prediction_id", "score"}
    assert metric(server, "killick_quarantined_total", "mixed") == 2


def test_on_error_reject_stores_nothing_of_a_batch_with_a_bad_row(server: Server) -> None:
    """422 names the rows; the same producer and sequence are free for the batch once it is mended."""
    path, sender = "/v1/models/strict/predictions?on_error=reject", SENDERS["producer and sequence"]
    told = problem(server.post(path, [ROWS[0], {"score": 1}], **sender), 422)
    mended = server.post(path, ROWS, **sender)

    assert [mistake["place"] for mistake in told["mistakes"]] == ["[1].prediction_id"]
    assert mended.json == {"accepted": 3, "quarantined": [], "duplicate": False}
    assert metric(server, "killick_predictions_total", "strict") == 3


def test_an_unknown_way_with_errors_is_told(server: Server) -> None:
    """A typing mistake must not become the other behaviour."""
    problem(server.post("/v1/models/m/predictions?on_error=rejct", ROWS), 400)


UNREADABLE = {
    "no JSON": (JSON, b"{"),
    "an empty body": (JSON, b""),
    "a number": (JSON, b"7"),
    "deep": (JSON, b"[" * 100_000),
    "no Arrow": (ARROW, b"ARROW1"),
    "Arrow cut off": (ARROW, arrow(ROWS)[:-40]),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_body_that_cannot_be_read_is_a_problem_document(what: str, server: Server) -> None:
    """400 as a whole, in words, and never a traceback or a 500."""
    media, body = UNREADABLE[what]
    told = problem(server.ask("POST", "/v1/models/m/predictions", body, Content_Type=media), 400)

    assert told["mistakes"]


def test_a_body_that_is_not_what_its_encoding_says_is_refused(server: Server) -> None:
    """400 for both; a coding that nobody knows is 415."""
    for encoding, status in (("gzip", 400), ("zstd", 400), ("br", 415)):
        answer = server.post("/v1/models/m/predictions", ROWS, Content_Encoding=encoding)
        problem(answer, status)


@pytest.mark.parametrize("media", ["text/csv", "", "application/x-www-form-urlencoded"])
def test_a_media_type_that_is_not_taken_is_told_which_are(media: str, server: Server) -> None:
    """415, and in a header for programs."""
    answer = server.ask("POST", "/v1/models/m/predictions", b"x", Content_Type=media)

    problem(answer, 415)
    assert answer.headers["accept-post"] == f"{JSON}, {NDJSON}, {ARROW}"


def test_too_large_a_body_is_refused_before_it_is_read(server: Server) -> None:
    """413 by its announced size alone: 33 MiB are never sent."""
    head = "POST /v1/models/m/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    answer = server.raw(f"{head}Content-Length: {33 * 1024 * 1024}\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 413")


def test_too_large_a_body_that_announces_nothing_is_refused_on_the_way(server: Server) -> None:
    """The same in chunks: it is counted as it comes."""
    status = None
    with socket.create_connection((server.host, server.port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/models/m/predictions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        try:
            for _ in range(40):
                connection.sendall(chunk)
        except OSError:
            pass  # it was answered and closed before we were done
        status = connection.recv(100).split()[1]

    assert status == b"413"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_and_the_server_does_not_grow(encoding: str, server: Server) -> None:
    """A gigabyte in a megabyte: 413, and what was inflated is let go."""
    bomb = PACKED[encoding](bytes(16 * 1024 * 1024)) * 64
    problem(server.ask("POST", "/v1/models/m/predictions", bomb, Content_Type=JSON, Content_Encoding=encoding), 413)

    assert gauge(server, "killick_held_bytes") == 0


@pytest.mark.parametrize("name", ["a%0Ab", "x" * 201, "%7F", "%E6%A8%A1" * 23])
def test_what_can_be_no_models_name_is_refused(name: str, server: Server) -> None:
    """One line, printable, of at most 200 bytes when it is percent-encoded: no file system holds a longer folder."""
    problem(server.post(f"/v1/models/{name}/predictions", ROWS), 400)
    half = {"specversion": "1.0", "id": "1", "type": "org.kubeflow.serving.inference.request", "source": "x"}
    half |= {"inferenceservicename": unquote(name), "data": {"instances": [[1.0]]}}
    body, event = json.dumps(half).encode(), "application/cloudevents+json"
    problem(server.ask("POST", "/v1/cloudevents", body, Content_Type=event), 400)


def test_the_longest_name_is_taken(server: Server) -> None:
    """Its folder fits."""
    assert server.post(f"/v1/models/{'%E6%A8%A1' * 22}/predictions", ROWS).status == 200


def test_changes_make_no_models(few: Server) -> None:
    """About models that nobody knows they are put aside, with their places in the body; the others are taken."""
    change = {"at": "2026-01-01T00:00Z", "kind": "release", "name": "x"}
    few.post("/v1/models/known/predictions", ROWS)
    models = ["ghost", "known", None, "ghost-2"]
    answer = few.post("/v1/changes", [{}, *(change | {"model": model} for model in models), {"kind": 1}])

    assert answer.json["accepted"] == 2
    assert [row["index"] for row in answer.json["quarantined"]] == [0, 1, 4, 5]
    assert answer.json["quarantined"][1]["field"] == "model"
    ghosts = [change | {"model": "ghost"}, change | {"model": "ghost-2"}]
    problem(few.post("/v1/changes?on_error=reject", ghosts), 422)
    assert few.stop() == 0
    again = start(few.store)
    try:
        assert again.ask("GET", "/v1/models").json["models"] == ["known"]
    finally:
        assert again.stop() == 0


def test_a_service_may_begin_with_a_change(few: Server) -> None:
    """It tells of its release before it has predicted anything: one new model a body, as many as there may be."""
    change = {"at": "2026-01-01T00:00Z", "kind": "release", "name": "x"}
    taken = [few.post("/v1/changes", [change | {"model": f"new-{at}"}]).json["accepted"] for at in range(7)]

    assert taken == [1, 1, 1, 1, 1, 0, 0]
    assert few.ask("GET", "/v1/models").json["models"] == [f"new-{at}" for at in range(5)]


def test_names_of_models_are_data_and_no_paths(server: Server) -> None:
    """Whatever a name looks like, its files lie below the store."""
    outside = set(server.store.parent.iterdir())
    for name in ("..", "%2e%2e", "..%5c..%5cx", "%20", "C%3A", "model=x", "~root"):
        assert server.post(f"/v1/models/{name}/predictions", ROWS).status == 200

    assert set(server.store.parent.iterdir()) == outside


@pytest.fixture
def tempting() -> Iterator[tuple[str, list[bytes]]]:
    """An address on this machine that nobody should ever visit, and who did."""
    visits: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        done = threading.Event()

        def wait() -> None:
            while not done.is_set():
                try:
                    listener.accept()[0].close()
                    visits.append(b"visited")
                except TimeoutError:
                    continue

        thread = threading.Thread(target=wait)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/secret", visits
        done.set()
        thread.join()


def test_no_request_makes_the_server_read_a_path_or_an_address(
    server: Server, tempting: tuple[str, list[bytes]], tmp_path: Path
) -> None:
    """Wherever a path or URL may stand, it is text: nobody is visited, and nothing of a file comes back."""
    url, visits = tempting
    secret = tmp_path / "secret.parquet"
    pl.DataFrame({"prediction_id": ["the secret"]}).write_parquet(secret)
    answers: list[Answer] = []
    for place in (url, str(secret), f"file://{secret}"):
        row = prediction(1, prediction_id=place, log_url=place, trace_id=place, metadata={"source": place})
        row["features"] = {"image": place, place: 1.0}
        name = place.replace("/", "%2F").replace(":", "%3A")
        answers += [
            server.post(path, [row], Killick_Producer=place, Killick_Sequence="1")
            for path in ("/v1/models/tempted/predictions", f"/v1/models/{name}/predictions")
        ]
        answers.append(server.ask("POST", "/v1/models/tempted/predictions", place.encode(), Content_Type=JSON))
        answers.append(
            server.ask("POST", f"/v1/models/tempted/predictions?url={name}&path={name}", b"[]", Content_Type=JSON)
        )
        answers.append(server.post("/v1/changes", [{"at": 1, "kind": place, "name": place, "note": place}]))
    server.ask("GET", "/readyz")

    assert not visits
    assert not [answer for answer in answers if b"the secret" in answer.body]


def test_without_specs_the_number_of_models_is_bounded(few: Server) -> None:
    """Each name costs memory and series: beyond the bound new ones are refused, and known ones go on."""
    statuses = [few.post(f"/v1/models/m{number}/predictions", ROWS).status for number in range(6)]

    assert statuses == sorted(statuses)
    assert set(statuses) == {200, 403}
    assert few.post("/v1/models/m0/predictions", ROWS).status == 200


def problem(answer: Answer, status: int) -> Any:
    """A problem document of this status, and nothing in it that was not meant for others."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json
    assert {"type", "title", "status", "detail"} <= set(told)
    assert told["status"] == status
    assert b"Traceback" not in answer.body
    assert b".py" not in answer.body
    return told


def metric(server: Server, name: str, model: str) -> float:
    """A counter of a model, over all its other labels."""
    lines = server.ask("GET", "/metrics").body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name}{{") and f'model="{model}"' in line)


def gauge(server: Server, name: str) -> float:
    """A number without labels."""
    lines = server.ask("GET", "/metrics").body.decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


def test_changes_of_more_than_a_body_may_have_are_refused(server: Server) -> None:
    """Each costs the ledger an entry, while all that comes in waits."""
    change = {"at": "2026-01-01T00:00Z", "kind": "release", "name": "x"}
    problem(server.post("/v1/changes", [change] * 1_001), 413)
    assert server.post("/v1/changes", [change] * 2).json["accepted"] == 2


def test_json_may_inflate_to_less_than_arrow(tmp_path: Path) -> None:
    """As Python values it takes many times its size; columns do not."""
    running = start(tmp_path, inflated_text_bytes_max=1_000)
    try:
        text, table = json.dumps([prediction(1)] * 20).encode(), io.BytesIO()
        pl.DataFrame([prediction(number) for number in range(200)]).drop("features").write_ipc_stream(table)
        assert len(table.getvalue()) > 1_000
        for body, media, status in ((text, JSON, 413), (text, NDJSON, 413), (table.getvalue(), ARROW, 200)):
            path = "/v1/models/m/predictions"
            sent = running.ask("POST", path, gzip.compress(body), Content_Type=media, Content_Encoding="gzip")
            assert sent.status == status
    finally:
        running.stop()
