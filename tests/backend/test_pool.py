"""Copies of a model behind one queue: who answers next, limits over all of them, and what happens when one dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from dsvl2_app import backend as backends
from dsvl2_app.backend.loading import LoadingBackend
from dsvl2_app.backend.local import LocalBackend
from dsvl2_app.backend.pool import PoolBackend
from dsvl2_app.errors import BusyError, EngineDeadError, SettingsError
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings
from tests.backend.test_local import ScriptedEngine, ask, read, wait_for
from tests.waiting import PATIENCE, begin, wait_until

Start = Callable[..., PoolBackend]
QUESTION = Request([{"role": "user", "content": "What are you?"}], Sampling(max_new_tokens=4, min_new_tokens=4))


@pytest.fixture
def engines() -> list[ScriptedEngine]:
    return [ScriptedEngine(), ScriptedEngine()]


@pytest.fixture
def start(engines: list[ScriptedEngine]) -> Iterator[Start]:
    pools: list[PoolBackend] = []

    def start_pool(max_active: int = 16, **limits: int) -> PoolBackend:
        copies = [LocalBackend(engine, max_active=max_active) for engine in engines]  # type: ignore[arg-type]
        pools.append(PoolBackend(copies, **limits))
        return pools[-1]

    yield start_pool
    for engine in engines:
        engine.allow(10_000)
    for pool in pools:
        pool.close()


def ask_of(owner: str, tokens: int = 3, name: str = "") -> Request:
    request = ask(name or owner, tokens)
    return Request(request.messages, request.sampling, owner=owner)


def taken(engine: ScriptedEngine) -> set[str]:
    return {name for name in engine.taken if not name.startswith("end of")}


def test_the_least_busy_copy_answers_and_a_visitor_alone_returns_to_the_same(
    engines: list[ScriptedEngine], start: Start
) -> None:
    pool = start()
    first = [pool.submit(ask_of(name)) for name in "abcd"]
    for stream in first[:2]:  # a copy may write the first one's answer before it reads the second one's prompt
        wait_for(stream, "prefill")
    wait_until(lambda: [copy.health().running for copy in pool.copies] == [2, 2])
    for engine in engines:
        engine.allow(100)
    answers = [read(stream) for stream in first]
    assert all("".join(event.text for event in events) == "0 1 2 " for events in answers)
    assert taken(engines[0]) == {"a", "c"} and taken(engines[1]) == {"b", "d"}
    for _ in range(3):  # in any order: their earlier turns lie there
        for name in "dbca":
            read(pool.submit(ask_of(name)))
    assert taken(engines[0]) == {"a", "c"} and taken(engines[1]) == {"b", "d"}
    assert pool.health().running == pool.health().waiting == 0


def test_limits_hold_over_all_copies(engines: list[ScriptedEngine], start: Start) -> None:
    pool = start(max_active=1, max_waiting=2, max_per_owner=1)
    running = [pool.submit(ask_of(name)) for name in "ab"]
    for stream in running:
        wait_for(stream, "prefill")
    waiting = [pool.submit(ask_of(name)) for name in "ac"]
    assert [event.done for event in (next(iter(stream)) for stream in waiting)] == [1, 2]
    with pytest.raises(BusyError, match="2 requests are already waiting"):
        pool.submit(ask_of("d"))
    health = pool.health()
    assert (health.running, health.waiting, health.accepting) == (2, 2, False)
    engines[1].allow(100)  # b ends; a's second waits for its first, so c goes ahead of it
    events = read(waiting[1])
    assert events[-1].finish == "length" and events[-1].timings.queued > 0
    assert taken(engines[1]) == {"b", "c"}
    assert [copy.health().running for copy in pool.copies] == [1, 0]
    engines[0].allow(100)
    assert read(waiting[0])[-1].finish == "length"


def test_who_leaves_the_queue_keeps_nobody_from_a_copy(engines: list[ScriptedEngine], start: Start) -> None:
    pool = start(max_active=1)
    running = [pool.submit(ask_of(name)) for name in "ab"]
    for stream in running:
        wait_for(stream, "prefill")
    left, stays = pool.submit(ask_of("c")), pool.submit(ask_of("d"))
    left.cancel()
    assert read(left)[-1].finish == "cancelled"
    running[0].cancel()
    engines[0].allow(100)
    assert read(running[0])[-1].finish == "cancelled"
    assert read(stays)[-1].finish == "length"
    assert "c" not in taken(engines[0]) | taken(engines[1])


def test_a_copy_that_dies_is_asked_no_more_and_the_last_one_ends_it(
    engines: list[ScriptedEngine], start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    pool = start(max_active=2)
    with pytest.raises(EngineDeadError):
        list(pool.submit(ask_of("x", name="dies")))
    assert "a copy of the model has stopped working; 1 are left" in caplog.text
    engines[1].allow(100)
    for name in "xyz":
        assert list(pool.submit(ask_of(name)))[-1].finish == "length"
    assert pool.health().alive and not taken(engines[0])
    with pytest.raises(EngineDeadError):
        list(pool.submit(ask_of("y", name="dies")))
    with pytest.raises(EngineDeadError):
        pool.submit(ask_of("z"))
    assert not pool.health().alive


def test_closing_ends_who_runs_and_who_waits(engines: list[ScriptedEngine], start: Start) -> None:
    pool = start(max_active=1)
    streams = [pool.submit(ask_of(name)) for name in "abcd"]
    for stream in streams[:2]:
        wait_for(stream, "prefill")
    closed = begin(pool.close)
    wait_until(lambda: all(copy._refuse for copy in pool.copies))
    for engine in engines:
        engine.allow(1)  # the piece in hand
    closed.result(PATIENCE)
    assert [read(stream)[-1].finish for stream in streams] == ["cancelled"] * 4
    with pytest.raises(BusyError, match="shutting down"):
        pool.submit(ask_of("e"))


def test_devices_are_one_or_several() -> None:
    with pytest.raises(SettingsError, match="--device and --devices cannot be given together"):
        Settings(device="cpu", devices=("cpu", "cpu"))


@pytest.mark.slow
def test_two_copies_of_nano_answer_as_one_does() -> None:
    with closing(backends.load(Settings(compile="off", device="cpu"))) as single:
        expected = [event.text for event in single.submit(QUESTION)]
    settings = Settings(compile="off", devices=("cpu", "cpu"))
    loading, _ = backends.load_meanwhile(settings)
    assert isinstance(loading, LoadingBackend)
    with closing(loading):
        assert loading.wait(60)
        assert loading.card.device == "cpu, cpu"
        streams = [loading.submit(QUESTION) for _ in range(4)]
        assert ["".join(event.text for event in stream) for stream in streams] == ["".join(expected)] * 4
        assert loading.plan(QUESTION.messages).tokens > 3
        memory = loading.health().memory
    with closing(backends.load(Settings(compile="off", device="cpu"))) as single:
        assert memory["weights"] == 2 * single.health().memory["weights"]
