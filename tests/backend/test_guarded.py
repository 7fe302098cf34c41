"""Limits of time: requests in a minute, seconds of an answer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from dsvl2_app.api.answers import Choice
from dsvl2_app.backend import guarded
from dsvl2_app.backend.guarded import GuardedBackend, Rate
from dsvl2_app.backend.local import start
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.errors import BusyError
from dsvl2_app.request import Event, Request, Sampling, Timings
from dsvl2_app.settings import Settings
from dsvl2_app.text.stop import StopStrings
from dsvl2_app.ui.words.wording import describe_ending


def test_a_minute_takes_so_many_of_each() -> None:
    now = [0.0]
    rate = Rate(2, lambda: now[0])
    for second, owner in ((0, "a"), (10, "a"), (10, "b"), (10, ""), (10, ""), (10, "")):
        now[0] = second
        rate.count(owner)
    now[0] = 20
    with pytest.raises(BusyError, match="sent 2 requests within a minute, the most that this server takes; wait 40 s"):
        rate.count("a")
    now[0] = 59.5
    with pytest.raises(BusyError, match="wait 1 s"):
        rate.count("a")
    now[0] = 60
    rate.count("a")
    with pytest.raises(BusyError, match="wait 10 s"):
        rate.count("a")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "MOST_OWNERS", 3)
    rate = Rate(1, lambda: 0.0)
    for owner in "abcd":
        rate.count(owner)
    rate.count("a")  # is forgotten
    with pytest.raises(BusyError):
        rate.count("d")


def test_answers_and_inspections_count_and_refusals_do_not_run() -> None:
    script = ScriptedBackend()
    backend = GuardedBackend(script, max_per_minute=2)
    request = Request([{"role": "user", "content": "Hi"}], owner="a")
    backend.submit(request)
    backend.inspect(request, [1])
    for ask_more in (lambda: backend.submit(request), lambda: backend.inspect(request, [1])):
        with pytest.raises(BusyError, match="within a minute"):
            ask_more()
    assert len(script.requests) == 1
    assert backend.finish(20)


def test_an_answer_ends_in_time_with_what_it_has(reference_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(reference_folder / "tiny" / "checkpoint")
    settings = Settings(model=folder, device="cpu", compile="off", max_seconds=1)
    decode = Engine.decode

    def slowly(*given: Any) -> Any:
        time.sleep(0.05)
        return decode(*given)

    monkeypatch.setattr(Engine, "decode", slowly)
    backend = start(load_engine(settings), settings)
    try:
        wanted = Sampling(max_new_tokens=2000, min_new_tokens=2000)
        events = list(backend.submit(Request([{"role": "user", "content": "Hi"}], wanted)))
        assert events[-1].finish == "time" and 0 < events[-1].timings.new_tokens < 30
        assert backend.health().running == 0
    finally:
        backend.close()


def test_such_an_end_is_told() -> None:
    choice = Choice(0, StopStrings(()))
    choice.read([Event("done", finish="time")])
    assert choice.reason == "length"
    assert describe_ending(Timings(new_tokens=3), "time").endswith("stopped at this server's limit of time")
