"""SIGTERM and a real process: answers end, nothing new begins, and the process is gone in time."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from dsvl2_app.backend.guarded import GuardedBackend
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.errors import BusyError
from dsvl2_app.health.status import is_ready
from dsvl2_app.request import Request
from dsvl2_app.shutdown import answering_time, close_within

ROOT = Path(__file__).parents[1]
GRACE = 10
# nano's decode step: as slow as a larger model's, one that is stuck, and one that fails after a few.
SLOW, STUCK, FAULTY = "time.sleep(0.2)", "time.sleep(10**6)", "1 / (steps.append(1) or len(steps) < 9)"
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
def serving(fault: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = tmp_path / "serve.py"
    script.write_text(PROGRAM.format(fault=fault))
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment.pop("GRADIO_TEMP_DIR", None)
    flags = ["--port", str(port), "--compile", "off", "--device", "cpu", "--grace", str(GRACE)]
    command = [sys.executable, str(script), *flags]
    app = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for _ in range(600):
                assert app.poll() is None, app.stderr and app.stderr.read()
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.2)
            yield app, client
    finally:
        app.kill()
        app.communicate()


def ask(client: httpx.Client, tokens: int, told: list[dict[str, Any]], begun: threading.Event) -> None:
    """A streamed answer, chunk by chunk."""
    messages = [{"role": "user", "content": "What is this?"}]
    body = {"model": "nano", "messages": messages, "max_tokens": tokens, "min_tokens": tokens, "stream": True}
    body["stream_options"] = {"include_progress": True}
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                told.append(json.loads(line[6:]))
                begun.set()
            elif line.startswith("data: ["):
                told.append({"end": True})


def finish_of(told: list[dict[str, Any]]) -> str | None:
    reasons = [choice.get("finish_reason") for each in told for choice in each.get("choices", ())]
    return next(filter(None, reasons), None)


@pytest.mark.slow
def test_answers_end_and_nothing_new_begins(tmp_path: Path) -> None:
    with serving(SLOW, tmp_path) as (app, client):
        told, begun = list[dict[str, Any]](), threading.Event()
        asking = threading.Thread(target=ask, args=(client, 12, told, begun))
        asking.start()
        assert begun.wait(60)
        app.send_signal(signal.SIGTERM)
        stopped = time.monotonic()
        while client.get("/readyz").status_code == 200:
            assert time.monotonic() - stopped < 5
        assert client.get("/healthz").status_code == 200
        refused = client.post(
            "/v1/chat/completions", json={"model": "nano", "messages": [{"role": "user", "content": "Hi"}]}
        )
        assert refused.status_code == 429 and "shutting down" in refused.json()["error"]["message"]
        asking.join(60)
        assert finish_of(told) == "length" and told[-1] == {"end": True}
        assert app.wait(60) == 0
        assert time.monotonic() - stopped < GRACE + 3
    assert not list(tmp_path.glob("dsvl2-*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "tokens"), [(SLOW, 4000), (STUCK, 40), (FAULTY, 40)], ids=["endless", "stuck", "faulty"]
)
def test_the_process_is_gone_in_time_whatever_runs(fault: str, tokens: int, tmp_path: Path) -> None:
    with serving(fault, tmp_path) as (app, client):
        told, begun = list[dict[str, Any]](), threading.Event()

        def listen() -> None:
            with suppress(httpx.TransportError):  # cut off
                ask(client, tokens, told, begun)

        asking = threading.Thread(target=listen)
        asking.start()
        assert begun.wait(60)
        if fault == FAULTY:
            asking.join(60)
            assert any("error" in each for each in told)
        app.send_signal(signal.SIGTERM)
        stopped = time.monotonic()
        assert app.wait(GRACE + 10) == 0
        assert time.monotonic() - stopped < GRACE + 3  # of a busy machine
        asking.join(10)
    assert not list(tmp_path.glob("dsvl2-*"))


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
