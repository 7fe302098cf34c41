"""--log-format json: every line is an object, every request has one, and nobody's words are in any."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import httpx
import pytest

from dsvl2_app.errors import BusyError
from dsvl2_app.health.logs import FIELDS, JsonFormatter, RequestLog
from dsvl2_app.request import Event, Timings
from tests.apps import find_port, running, stop
from tests.health.conftest import ask


def format_record(**given: object) -> dict[str, object]:
    record = logging.makeLogRecord({"name": "dsvl2_app.x", "levelno": 20, "levelname": "INFO", "msg": "seen", **given})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    return json.loads(line)


def test_a_record_is_one_line_of_json() -> None:
    told = format_record(created=0.25, msg="ein %s\nZwei 你", args=("Wort",))
    assert told == {
        "time": "1970-01-01T00:00:00.250+00:00",
        "level": "info",
        "logger": "dsvl2_app.x",
        "message": "ein Wort\nZwei 你",
    }


def test_fields_and_exceptions_stand_beside_the_message() -> None:
    try:
        raise ValueError("of our own")
    except ValueError:
        told = format_record(exc_info=sys.exc_info(), **{FIELDS: {"seconds": 1.5, "what": object}})
    assert told["seconds"] == 1.5 and "ValueError: of our own" in str(told["exception"])


def test_a_request_is_logged_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "dsvl2_app")
    log = RequestLog()
    observe = log.begin("answer")
    observe(Event("decode", "secret", timings=Timings(new_tokens=1)), None)
    assert not caplog.records
    observe(Event("done", finish="eos", timings=Timings(new_tokens=2, prefill=0.123456)), None)
    observe(None, None)
    log.begin("inspection")(None, ValueError("secret"))
    log.refuse("answer", BusyError("secret"))
    told = [getattr(record, FIELDS) for record in caplog.records]
    assert [each["outcome"] for each in told] == ["eos", "ValueError", "BusyError"]
    assert (told[0]["new_tokens"], told[0]["prefill"]) == (2, 0.1235)
    assert "secret" not in "".join(map(JsonFormatter().format, caplog.records))


@pytest.mark.slow
def test_the_apps_log_is_json_alone(tmp_path: Path) -> None:
    port, log = find_port(), tmp_path / "log"
    command = [sys.executable, "app.py", "--log-format", "json", "--port", str(port), "--compile", "off"]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONWARNINGS": "default"}
    with (
        running(command, port, log, environment=environment, out=tmp_path / "out") as app,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        answer = ask(client, "A secret word: xylophone.", user="Mister Smith")
        assert stop(app) in (0, 130)
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    ended = [line for line in lines if line["message"] == "a request has ended"]
    assert [(each["kind"], each["new_tokens"]) for each in ended] == [("answer", answer["usage"]["completion_tokens"])]
    assert ended[0]["level"] == "info" and ended[0]["seconds"] > 0
    assert not {"xylophone", "Smith"} & set(log.read_text(encoding="utf-8").replace(".", " ").split())
