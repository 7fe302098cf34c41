"""Many callers, one model: streams, cancelling, errors, limits. Most tests script the engine."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dsvl2_app.backend import Stream, pool
from dsvl2_app.backend.local import LocalBackend
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.inspection import inspect
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.engine.task import Steps, Task
from dsvl2_app.errors import BusyError, EngineDeadError, ImageError, PromptError
from dsvl2_app.image.geometry import TileGeometry
from dsvl2_app.request import Event, ModelCard, PromptPlan, Request, Sampling, Timings
from dsvl2_app.settings import Settings
from tests.waiting import PATIENCE, begin, wait_until

if TYPE_CHECKING:
    from tests.conftest import Reference

Start = Callable[..., LocalBackend]
CARD = ModelCard("script", "", "", 1, 1, "float32", "cpu", 4096, TileGeometry())


class ScriptedEngine:
    """Answers "0 1 2 ..." with as many numbers as asked for, each when `permits` lets it."""

    card = CARD
    max_batch = None

    def __init__(self) -> None:
        self.permits = threading.Semaphore(0)
        self.future: Future[None] = Future()  # what those who are called "waits" wait for
        self.taken: list[str] = []  # by which answer, in order, and when each ended
        self.closed: list[str] = []
        self.warm_ups: list[Callable[[], None]] = []

    def warm_up(self) -> bool:
        if self.warm_ups:
            self.taken.append("warms up")
            self.warm_ups.pop(0)()
            return True
        return False

    def serve(self, request: Request, is_alone: Callable[[], bool]) -> Task:
        return Task(self._write(request))

    def count_memory(self) -> dict[str, int]:
        return {"weights": 7}

    def _write(self, request: Request) -> Steps:
        name = str(request.messages[0]["content"])
        try:
            if name == "dies":
                raise SystemExit
            if name == "bug":
                raise ZeroDivisionError("a bug")
            if name == "malformed":
                raise PromptError("This one cannot be answered; ask another.")
            if name == "waits":
                yield self.future
            while name == "reads" and "end of short" not in self.taken:
                self.taken.append(name)
                yield Event("prefill", done=1, total=2, timings=Timings(prefill=1.0))
            yield Event("prefill", done=1, total=1, timings=Timings(prefill=1.0))
            for number in range(request.sampling.max_new_tokens):
                assert self.permits.acquire(timeout=PATIENCE)
                self.taken.append(name)
                yield Event("decode", f"{number} ", number, timings=Timings(decode=1.0, new_tokens=number + 1))
                if name == "breaks" and number == 1:
                    raise ZeroDivisionError("a bug")
            yield Event("done", finish="length", timings=Timings(decode=2.0))
        finally:
            self.closed.append(name)
            self.taken.append(f"end of {name}")
            if name == "cannot close":
                raise ZeroDivisionError("a bug")

    def plan(self, messages: list[Any], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        return PromptPlan(len(messages), (), CARD.context)

    def allow(self, tokens: int) -> None:
        self.permits.release(tokens)


@pytest.fixture
def script() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def start(script: ScriptedEngine) -> Iterator[Start]:
    """Start backends on the script; they are closed after the test, with all permits they may need."""
    backends: list[LocalBackend] = []

    def start_backend(**options: int) -> LocalBackend:
        backends.append(LocalBackend(script, **options))  # type: ignore[arg-type]
        return backends[-1]

    yield start_backend
    script.allow(10_000)
    for backend in backends:
        backend.close()


def ask(name: str, tokens: int = 3) -> Request:
    return Request([{"role": "user", "content": name}], Sampling(max_new_tokens=tokens))


def wait_for(stream: Stream, stage: str) -> Event:
    """Read on until a step of this stage."""
    return next(step for step in stream if step.stage == stage)


def read(stream: Stream, patience: float = PATIENCE) -> list[Event]:
    """The rest of a stream, or a failure in place of waiting for ever."""
    return begin(lambda: list(stream)).result(patience)


def text(steps: list[Event]) -> str:
    return "".join(step.text for step in steps)


# -- answers -----------------------------------------------------------------------------------------------------


def test_steps_arrive_in_order_and_join_to_the_answer(start: Start, script: ScriptedEngine) -> None:
    backend = start()
    script.allow(3)
    steps = read(backend.submit(ask("a")))
    assert [step.stage for step in steps] == ["queued", "prefill", "decode", "decode", "decode", "done"]
    assert text(steps) == "0 1 2 "
    assert steps[-1].finish == "length"
    assert backend.card is CARD


def test_timings_know_how_long_a_request_waited(start: Start, script: ScriptedEngine) -> None:
    backend = start(max_active=1)
    first, second = backend.submit(ask("a")), backend.submit(ask("b"))
    wait_for(first, "prefill")
    script.allow(6)
    waited = {step.timings.queued for step in read(second) if step.stage != "queued"}
    assert len(waited) == 1 and waited.pop() > 0
    assert read(first)[-1].timings.decode == 2.0


def test_answers_take_turns(start: Start, script: ScriptedEngine) -> None:
    """Once all of them write, each has one token in every round. The first one need not wait until all have begun."""
    backend = start()
    streams = [backend.submit(ask(name, tokens=12)) for name in "abc"]
    wait_for(streams[0], "prefill")
    script.allow(36)
    for stream in streams:
        assert text(read(stream)).startswith("0 1 2 3 4 5 6 7 8 9 10 11 ")
    together = script.taken[script.taken.index("c") : script.taken.index("end of a")]
    rounds = [sorted(together[start : start + 3]) for start in range(0, len(together) - 5, 3)]
    assert len(rounds) >= 2 and rounds == [["a", "b", "c"]] * len(rounds)


def test_no_more_answers_at_once_than_allowed(start: Start, script: ScriptedEngine) -> None:
    backend = start(max_active=1)
    streams = [backend.submit(ask(name)) for name in "abc"]
    script.allow(9)
    for stream in streams:
        read(stream)
    assert script.taken == [each for name in "abc" for each in (name, name, name, f"end of {name}")]


def test_those_who_wait_are_told_their_place(start: Start, script: ScriptedEngine) -> None:
    backend = start(max_active=1)
    first = backend.submit(ask("a"))
    wait_for(first, "prefill")
    waiting = [backend.submit(ask(name)) for name in "bcd"]
    script.allow(12)
    places = [[step.done for step in read(stream) if step.stage == "queued"] for stream in waiting]
    assert places == [[1], [2, 1], [3, 2, 1]]


def test_plan_does_not_wait_for_answers(start: Start) -> None:
    backend = start()
    wait_for(backend.submit(ask("a")), "prefill")  # and now the backend waits for a permit
    assert backend.plan([{}, {}]).tokens == 2


# -- cancelling --------------------------------------------------------------------------------------------------


def test_cancel_takes_effect_within_one_token(start: Start, script: ScriptedEngine) -> None:
    backend = start()
    stream = backend.submit(ask("a", tokens=1000))
    script.allow(2)
    wait_for(stream, "decode")
    wait_for(stream, "decode")  # the third token is under way
    stream.cancel()
    script.allow(1000)
    rest = read(stream)
    assert [step.stage for step in rest] in (["done"], ["decode", "done"])
    assert rest[-1].finish == "cancelled" and rest[-1].timings.new_tokens in (2, 3)
    assert script.closed == ["a"]


def test_leaving_the_block_cancels(start: Start, script: ScriptedEngine) -> None:
    backend = start()
    with backend.submit(ask("a", tokens=1000)) as stream:
        script.allow(1)
        wait_for(stream, "decode")
    script.allow(1000)
    assert read(stream)[-1].finish == "cancelled"


def test_others_go_on_when_one_is_cancelled(start: Start, script: ScriptedEngine) -> None:
    backend = start()
    leaving, staying = backend.submit(ask("a", tokens=50)), backend.submit(ask("b", tokens=5))
    wait_for(leaving, "prefill")  # and now the first one waits for a permit
    leaving.cancel()
    script.allow(60)
    assert text(read(staying)) == "0 1 2 3 4 "
    assert read(leaving)[-1].finish == "cancelled"


def test_a_waiting_request_that_is_cancelled_never_starts(start: Start, script: ScriptedEngine) -> None:
    backend = start(max_active=1)
    first = backend.submit(ask("a"))
    wait_for(first, "prefill")
    waiting = backend.submit(ask("b"))
    waiting.cancel()
    script.allow(10)
    assert read(waiting)[-1].finish == "cancelled"
    assert "b" not in script.taken


def test_a_cancelled_request_stops_waiting_while_others_run(start: Start, script: ScriptedEngine) -> None:
    """It neither keeps its caller waiting nor its place from somebody else."""
    backend = start(max_active=1, max_waiting=1)
    first = backend.submit(ask("a", tokens=1000))
    wait_for(first, "prefill")
    waiting = backend.submit(ask("b"))
    waiting.cancel()
    script.allow(3)  # the first answer goes on and is far from its end
    for _ in range(3):
        wait_for(first, "decode")
    assert read(waiting, patience=2)[-1].finish == "cancelled"
    assert backend.submit(ask("c")) is not None


def test_cancelling_twice_or_late_is_harmless(start: Start, script: ScriptedEngine) -> None:
    backend = start()
    script.allow(6)
    stream = backend.submit(ask("a"))
    assert read(stream)[-1].finish == "length"
    stream.cancel()
    stream.cancel()
    assert text(read(backend.submit(ask("b")))) == "0 1 2 "


def test_a_stream_that_has_ended_stays_ended(start: Start, script: ScriptedEngine) -> None:
    backend = start()
    script.allow(3)
    stream = backend.submit(ask("a"))
    read(stream)
    assert read(stream, patience=2) == []


# -- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("bug", ZeroDivisionError), ("malformed", PromptError)])
def test_an_error_reaches_its_caller_alone(
    name: str, kind: type[Exception], start: Start, script: ScriptedEngine
) -> None:
    backend = start()
    before = backend.submit(ask("a", tokens=4))
    failing = backend.submit(ask(name))
    script.allow(7)
    with pytest.raises(kind):
        read(failing)
    assert text(read(before)) == "0 1 2 3 "
    assert text(read(backend.submit(ask("b")))) == "0 1 2 "


def test_an_error_in_the_middle_comes_after_what_was_said(
    start: Start, script: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    backend = start()
    script.allow(10)
    seen = []
    with pytest.raises(ZeroDivisionError):
        for step in backend.submit(ask("breaks")):
            seen.append(step)
    assert text(seen) == "0 1 "
    assert "a request failed" in caplog.text  # with its traceback, for whoever runs the app
    assert text(read(backend.submit(ask("b")))) == "0 1 2 "


def test_errors_of_people_are_not_logged_as_failures(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(PromptError):
        read(start().submit(ask("malformed")))
    assert not caplog.records


# -- a dead engine -----------------------------------------------------------------------------------------------


def test_all_who_wait_are_told_when_the_thread_dies(
    start: Start, script: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    backend = start(max_active=1)
    running, waiting = backend.submit(ask("a", tokens=1000)), backend.submit(ask("b"))
    wait_for(running, "prefill")
    health = backend.health()
    assert (health.alive, health.running, health.waiting) == (True, 1, 1)
    # the first kills, the second never runs
    callers = [begin(lambda: backend.call(lambda engine: sys.exit())) for _ in range(2)]
    wait_until(lambda: len(backend._jobs) == 2)
    script.allow(1)
    for stream in (running, waiting):
        with pytest.raises(EngineDeadError, match="stopped working; start the app again"):
            read(stream)
    assert [type(caller.exception(PATIENCE)) for caller in callers] == [EngineDeadError] * 2
    assert "the engine's thread has ended" in caplog.text
    assert script.closed == ["a"]


def test_a_request_that_kills_the_thread_ends_and_nothing_is_taken_after(start: Start) -> None:
    backend = start()
    with pytest.raises(EngineDeadError):
        read(backend.submit(ask("dies")))
    backend._thread.join(PATIENCE)
    assert not backend.health().alive
    for late in (lambda: backend.submit(ask("a")), lambda: backend.inspect(ask("a"), [1]), lambda: backend.call(print)):
        with pytest.raises(EngineDeadError):
            late()
    assert backend.plan([{}]).tokens == 1
    backend.close()


# -- inspection ----------------------------------------------------------------------------------------------------


def test_an_inspection_is_a_stream_that_ends_with_what_was_found(engine: Engine, backend: LocalBackend) -> None:
    request = Request([{"role": "user", "content": "Well?"}])
    events = read(backend.inspect(request, [10, 11]))
    assert [event.stage for event in events[:2]] == ["queued", "prefill"]
    assert all(event.inspection is None for event in events[:-1])
    found = events[-1].inspection
    assert found is not None and len(found.tokens) == 2
    assert (found.attention == inspect(engine, request, [10, 11]).attention).all()
    with pytest.raises(PromptError, match="nothing to look into"):
        read(backend.inspect(request, []))


# -- limits ------------------------------------------------------------------------------------------------------


def test_what_goes_wrong_on_the_way_out_harms_nobody(
    start: Start, script: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    backend = start()
    leaving = backend.submit(ask("cannot close"))
    wait_for(leaving, "prefill")
    leaving.cancel()
    script.allow(100)
    assert read(leaving)[-1].finish == "cancelled"
    assert text(read(backend.submit(ask("b")))) == "0 1 2 "
    assert "a cancelled request failed" in caplog.text


def test_nothing_is_done_while_nobody_can_go_on(
    start: Start, script: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = []
    backend = start(max_active=1)
    monkeypatch.setattr(backend, "_work", lambda: (rounds.append(1), LocalBackend._work(backend)))
    first, second, third = (backend.submit(ask(name)) for name in ("waits", "b", "c"))
    time.sleep(0.3)
    assert len(rounds) < 10
    third.cancel()  # is noticed nevertheless
    assert read(third)[-1].finish == "cancelled"
    script.future.set_result(None)
    script.allow(100)
    assert text(read(first)) == text(read(second)) == "0 1 2 "


def test_an_answer_ends_before_others_read_on(start: Start, script: ScriptedEngine) -> None:
    backend = start()
    script.allow(100)
    streams = [backend.submit(ask(name, tokens=1)) for name in (*["reads"] * 8, "short")]
    for stream in streams:
        read(stream)
    between = script.taken[script.taken.index("short") : script.taken.index("end of short")]
    assert between.count("reads") <= 2  # a piece in each round


def test_pictures_of_what_was_asked_are_not_held(start: Start, script: ScriptedEngine) -> None:
    script.allow(3)
    stream = start().submit(ask("a"))
    read(stream)
    assert not [held for held in vars(stream).values() if isinstance(held, Request)]


def test_a_full_queue_turns_requests_away(start: Start, script: ScriptedEngine) -> None:
    backend = start(max_active=1, max_waiting=2)
    wait_for(backend.submit(ask("a")), "prefill")
    waiting = [backend.submit(ask(name)) for name in "bc"]
    with pytest.raises(BusyError, match="2 requests are already waiting; try again"):
        backend.submit(ask("d"))
    script.allow(20)
    for stream in waiting:
        assert text(read(stream)) == "0 1 2 "
    assert text(read(backend.submit(ask("e")))) == "0 1 2 "


def test_close_ends_every_stream(start: Start, script: ScriptedEngine) -> None:
    backend = start(max_active=1)
    running = backend.submit(ask("a", tokens=1000))
    wait_for(running, "prefill")
    waiting = [backend.submit(ask(name)) for name in "bc"]
    closed = begin(backend.close)
    script.allow(1000)
    closed.result(PATIENCE)
    for stream in (running, *waiting):
        steps = read(stream)
        assert steps[-1].stage == "done" and steps[-1].finish == "cancelled"
    assert not set(script.taken) & set("bc")
    with pytest.raises(BusyError, match="shutting down"):
        backend.submit(ask("d"))
    backend.close()


# -- the real engine ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine(reference_folder: Path) -> Engine:
    return load_engine(Settings(model=str(reference_folder / "small" / "checkpoint"), device="cpu", compile="off"))


@pytest.fixture
def backend(engine: Engine) -> Iterator[LocalBackend]:
    backend = LocalBackend(engine, max_active=3)
    yield backend
    backend.close()


@pytest.mark.slow
def test_many_callers_get_the_answers_they_would_get_alone(
    backend: LocalBackend, open_reference: Callable[[str, str], Reference]
) -> None:
    """Twelve threads at once, on three places."""
    references = [open_reference("small", case) for case in ("a_text", "c_tall_ref", "e_three_images")] * 4

    def call(reference: Reference) -> list[Event]:
        allow = frozenset({"<|ref|>", "<|/ref|>"})
        request = Request(reference.conversations[0], Sampling(max_new_tokens=24), allow)
        backend.plan(reference.conversations[0])
        return list(backend.submit(request))

    callers = [begin(partial(call, reference)) for reference in references]
    for caller, reference in zip(callers, references, strict=True):
        answer = caller.result(PATIENCE)
        ids = [step.token for step in answer if step.token is not None]
        assert ids == reference.arrays["generated_ids"][0].tolist()
        assert text(answer) == reference.info["generated_text"]
        assert answer[-1].finish == "length"


def test_sampled_answers_depend_on_their_seed_alone(backend: LocalBackend) -> None:
    def submit(seed: int) -> Stream:
        messages = [{"role": "user", "content": "Hi"}]
        return backend.submit(Request(messages, Sampling(temperature=1.0, max_new_tokens=12, seed=seed)))

    alone = text(read(submit(1)))
    together = [submit(seed) for seed in (1, 2, 1)]
    texts = [text(read(stream)) for stream in together]
    assert texts[0] == texts[2] == alone != texts[1]


@pytest.mark.parametrize(
    ("content", "kind", "sentence"),
    [
        ("word " * 5000, PromptError, "holds 4096 with its answer; remove"),
        ([{"type": "image", "image": b"no picture"}], ImageError, r"\."),
        ([{"type": "video", "video": "x"}], PromptError, "neither text nor an image"),
    ],
    ids=["too long", "unreadable", "video"],
)
def test_bad_input_is_one_sentence_and_the_next_request_works(
    content: Any, kind: type[Exception], sentence: str, backend: LocalBackend
) -> None:
    with pytest.raises(kind, match=sentence):
        read(backend.submit(Request([{"role": "user", "content": content}])))
    good = Request([{"role": "user", "content": "Hi"}], Sampling(max_new_tokens=2))
    assert read(backend.submit(good))[-1].finish == "length"


def test_loading_takes_the_queue_length_from_the_settings(reference_folder: Path) -> None:
    backend = pool.load(
        Settings(model=str(reference_folder / "tiny" / "checkpoint"), device="cpu", compile="off", max_queue=1)
    )
    try:
        assert backend.card.name == "checkpoint" and backend._scheduler.max_waiting == 1
    finally:
        backend.close()


# -- owners ------------------------------------------------------------------------------------------------------


def test_a_burst_of_one_owner_leaves_room_for_others(script: ScriptedEngine, start: Start) -> None:
    """Two of an owner's answers run and two wait; whoever else asks, named or not, passes them."""
    script.permits = threading.Semaphore(10**9)
    backend = start(max_active=8, max_per_owner=2)
    greedy = [backend.submit(replace(ask(f"greedy {n}", tokens=10**6), owner="greedy")) for n in range(2)]
    for stream in greedy:
        wait_for(stream, "prefill")
    greedy += [backend.submit(replace(ask(f"greedy {n}"), owner="greedy")) for n in (2, 3)]
    with pytest.raises(BusyError, match="2 of your requests are already waiting"):
        backend.submit(replace(ask("greedy 4"), owner="greedy"))
    others = [backend.submit(replace(ask(name), owner=owner)) for name, owner in (("a", "ann"), ("b", ""), ("c", ""))]
    for stream in others:
        assert text(read(stream)) == "0 1 2 "
    assert sorted(script.closed) == ["a", "b", "c"]
    for stream in greedy[:2]:
        stream.cancel()
    for stream in greedy[2:]:
        assert text(read(stream)) == "0 1 2 "


def test_idle_time_makes_things_ready_and_those_who_ask_come_first(start: Start, script: ScriptedEngine) -> None:
    permits = threading.Semaphore(0)
    script.warm_ups = [lambda: permits.acquire(timeout=PATIENCE) and None for _ in range(3)]
    backend = start()
    wait_until(lambda: script.taken == ["warms up"])
    script.allow(3)
    stream = backend.submit(ask("short"))
    permits.release()
    assert text(read(stream)) == "0 1 2 "
    permits.release(2)
    wait_until(lambda: not script.warm_ups)
    assert [*dict.fromkeys(script.taken)] == ["warms up", "short", "end of short"]
    assert script.taken.index("short") == 1  # one had begun, the others waited


def test_what_cannot_be_made_ready_is_told_once_and_harms_nobody(
    start: Start, script: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise MemoryError("no room")

    script.warm_ups = [fail, fail]
    backend = start()
    script.allow(3)
    wait_until(lambda: len(script.warm_ups) == 1)
    assert text(read(backend.submit(ask("short")))) == "0 1 2 "
    assert [record.getMessage() for record in caplog.records].count(
        "Not everything could be made ready beforehand: no room"
    ) == 1
    assert len(script.warm_ups) == 1


def test_jobs_run_between_steps_and_hand_back_what_went_wrong(start: Start) -> None:
    backend = start()
    assert backend.call(lambda engine: engine.card) == CARD
    with pytest.raises(ZeroDivisionError):
        backend.call(lambda engine: 1 / 0)
    assert backend.call(lambda engine: threading.current_thread().name) == "engine"
