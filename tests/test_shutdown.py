"""SIGTERM and a real process: answers end, nothing new begins, and the process is gone in time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from dsvl2_app.backend.guarded import GuardedBackend
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.errors import BusyError
from dsvl2_app.health.status import is_ready
from dsvl2_app.request import Request
from dsvl2_app.shutdown import Terminated, answering_time, close_within, raise_terminated
from tests.apps import ROOT, find_port, running
from tests.waiting import PATIENCE, begin, wait_until

BUSY = 20  # seconds that a busy machine may add; the answers below would go on for minutes
# nano's decode step: as slow as a larger model's, the same after one that fails twice, and one that is stuck.
SLOW, STUCK = "time.sleep(0.2)", "time.sleep(10**6)"
FAULTY = f"1 / (steps.append(1) or len(steps) not in (4, 5)); {SLOW}"
PROGRAM = """
import sys, time
from dsvl2_app.engine.engine import Engine
from dsvl2_app.__main__ import main

decode, steps = Engine.decode, []

def patched(self, requests):
    {fault}
    return decode(self, requests)

Engine.decode = patched
sys.exit(main(["serve", *sys.argv[1:]]))
"""


@contextmanager
def serving(fault: str, grace: int, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """Whose uploads are in a folder of its own while it runs, and then in none."""
    port, script = find_port(), folder / "serve.py"
    script.write_text(PROGRAM.format(fault=fault))
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    environment.pop("GRADIO_TEMP_DIR", None)
    flags = ["--port", str(port), "--compile", "off", "--device", "cpu", "--grace", str(grace)]
    command = [sys.executable, str(script), *flags]
    with (
        running(command, port, folder / "log", environment=environment) as app,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        assert len(list(folder.glob("dsvl2-*"))) == 1
        yield app, client
    assert not list(folder.glob("dsvl2-*"))


def ask(client: httpx.Client, tokens: int, told: list[dict[str, Any]]) -> None:
    """A streamed answer, chunk by chunk."""
    messages = [{"role": "user", "content": "What is this?"}]
    body = {"model": "nano", "messages": messages, "max_tokens": tokens, "min_tokens": tokens, "stream": True}
    body["stream_options"] = {"include_progress": True}
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                told.append(json.loads(line[6:]))
            elif line.startswith("data: ["):
                told.append({"end": True})


def finish_of(told: list[dict[str, Any]]) -> str | None:
    reasons = [choice.get("finish_reason") for each in told for choice in each.get("choices", ())]
    return next(filter(None, reasons), None)


@pytest.mark.slow
def test_after_a_fault_answers_end_and_nothing_new_begins(tmp_path: Path) -> None:
    grace, told, again = 10, list[dict[str, Any]](), list[dict[str, Any]]()
    with serving(FAULTY, grace, tmp_path) as (app, client):
        ask(client, 40, told)
        assert any("error" in each for each in told)
        asking = begin(lambda: ask(client, 12, again))
        wait_until(lambda: again)
        app.terminate()
        stopped = time.monotonic()
        wait_until(lambda: client.get("/readyz").status_code != 200, 5)
        assert client.get("/healthz").status_code == 200
        refused = client.post(
            "/v1/chat/completions", json={"model": "nano", "messages": [{"role": "user", "content": "Hi"}]}
        )
        assert refused.status_code == 429 and "shutting down" in refused.json()["error"]["message"]
        asking.result(PATIENCE)
        assert finish_of(again) == "length" and again[-1] == {"end": True}
        assert app.wait(PATIENCE) == 0
        assert time.monotonic() - stopped < grace + BUSY


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "tokens"), [(SLOW, 4000), (STUCK, 40)], ids=["endless", "stuck"])
def test_the_process_is_gone_in_time_whatever_runs(fault: str, tokens: int, tmp_path: Path) -> None:
    grace, told = 4, list[dict[str, Any]]()
    with serving(fault, grace, tmp_path) as (app, client):
        asking = begin(lambda: ask(client, tokens, told))
        wait_until(lambda: told)
        app.terminate()
        stopped = time.monotonic()
        assert app.wait(PATIENCE) == 0
        assert time.monotonic() - stopped < grace + BUSY
        assert isinstance(asking.exception(PATIENCE), httpx.TransportError | None)  # cut off


def test_a_backend_that_ends_waits_for_what_it_took() -> None:
    script = ScriptedBackend(endless=True)
    backend = GuardedBackend(script)
    stream = backend.submit(Request([{"role": "user", "content": "Hi"}]))
    assert is_ready(backend.health())
    assert not backend.finish(0.05)
    assert not is_ready(backend.health()) and backend.health().alive
    for ask_more in (lambda: backend.submit(Request([])), lambda: backend.inspect(Request([]), [1])):
        with pytest.raises(BusyError, match="shutting down"):
            ask_more()
    stream.cancel()
    assert backend.finish(20)


def test_what_is_refused_is_not_waited_for() -> None:
    class Full(ScriptedBackend):
        def submit(self, request: Request) -> Any:
            raise BusyError("Full; try again.")

    backend = GuardedBackend(Full())
    with pytest.raises(BusyError, match="Full"):
        backend.submit(Request([]))
    assert backend.finish(0)


def test_closing_takes_no_longer_than_it_may() -> None:
    assert close_within(lambda: None, 20)
    assert not close_within(threading.Event().wait, 0.01)
    assert [answering_time(grace) for grace in (1, 4, 30)] == [0.5, 2, 28]


def test_a_signal_within_a_finaliser_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """As SIGTERM may come while the garbage collector passes over what was loaded."""
    lost: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: lost.append(told.exc_type))

    class Ends:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    try:
        raise_again = raise_terminated()
        raise_again()
        Ends()
        assert lost == [Terminated]
        with pytest.raises(Terminated):
            raise_again()
    finally:
        signal.signal(signal.SIGTERM, before)
