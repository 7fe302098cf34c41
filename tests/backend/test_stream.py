"""Events from a thread to a reader, in a thread or in a loop: in order, all of them, and never for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable

import pytest

from dsvl2_app.backend import Stream
from dsvl2_app.backend.stream import REST
from dsvl2_app.errors import PromptError
from dsvl2_app.request import Event
from tests.waiting import begin, run_loop

Read = Callable[[Stream, "float | None"], list[list[str]]]


def read_in_thread(stream: Stream, seconds: float | None) -> list[list[str]]:
    if seconds is None:
        return [[event.text] for event in stream]
    return [[event.text for event in events] for events in stream.throttled(seconds)]


def read_in_loop(stream: Stream, seconds: float | None) -> list[list[str]]:
    async def read() -> list[list[str]]:
        if seconds is None:
            return [[event.text] async for event in stream]
        return [[event.text for event in events] async for events in stream.throttled(seconds)]

    return run_loop(read())


@pytest.fixture(params=[read_in_thread, read_in_loop], ids=["thread", "loop"])
def read(request: pytest.FixtureRequest) -> Read:
    return request.param


def write(stream: Stream, texts: Iterable[str], pause: float = 0.0, error: BaseException | None = None) -> None:
    """In another thread, as a backend does."""

    def run() -> None:
        for text in texts:
            stream.put(Event("decode", text))
            time.sleep(pause)
        stream.end(error)

    begin(run)


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.0, 0.002])
def test_every_event_arrives_once_and_in_order(read: Read, pause: float) -> None:
    stream = Stream()
    texts = [str(number) for number in range(100)]
    write(stream, texts, pause)
    assert read(stream, None) == [[text] for text in texts]
    assert read(stream, None) == []  # ended stays ended


def test_an_error_comes_after_what_was_said_and_once(read: Read) -> None:
    stream = Stream()
    write(stream, "ab", error=PromptError("Too long."))
    with pytest.raises(PromptError):
        read(stream, None)
    assert read(stream, None) == []


def test_nothing_is_taken_after_the_end(read: Read) -> None:
    stream = Stream()
    stream.put(Event("decode", "a"))
    stream.end()
    stream.put(Event("decode", "b"))
    stream.end(PromptError("Too late."))
    assert read(stream, None) == [["a"]]


@pytest.mark.slow
def test_batches_lose_nothing_and_are_as_rare_as_asked_for(read: Read) -> None:
    stream = Stream()
    texts = [str(number) for number in range(50)]
    write(stream, texts, pause=0.004)
    started = time.monotonic()
    batches = read(stream, 0.05)
    seconds = time.monotonic() - started
    assert [text for batch in batches for text in batch] == texts
    assert all(batches) and len(batches) <= 2 + seconds / 0.05


@pytest.mark.slow
def test_a_batch_is_not_held_until_another_event_comes(read: Read) -> None:
    """The first event comes at once, the second after the pause though nothing follows it, the last at once."""
    stream = Stream()
    moments = []
    write(stream, "abc", pause=0.4)
    for batch in stream.throttled(0.1):
        moments.append((time.monotonic(), batch[0].text))
    assert [text for _, text in moments] == ["a", "b", "c"]

    stream = Stream()
    write(stream, "abc")
    started = time.monotonic()
    assert [text for batch in read(stream, 30) for text in batch] == ["a", "b", "c"]
    assert time.monotonic() - started < 20


@pytest.mark.slow
def test_a_reader_who_draws_slowly_draws_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a second it draws a fifth; none of the text is lost, and no pause is longer than `LONGEST`."""
    drawing, counts = 0.05, []
    for longest in (10.0, 0.01):
        monkeypatch.setattr("dsvl2_app.backend.stream.LONGEST", longest)
        stream, started = Stream(), time.monotonic()
        write(stream, map(str, range(100)), pause=0.01)
        batches: list[str] = []
        for events in stream.throttled(0.001):
            batches.append("".join(event.text for event in events))
            time.sleep(drawing)
        assert "".join(batches) == "".join(map(str, range(100)))
        seconds = time.monotonic() - started
        assert len(batches) <= 2 + seconds / (drawing + min(REST * drawing, longest))
        counts.append(len(batches))
    assert 3 <= counts[0] < counts[1]


def test_a_reader_in_a_loop_holds_nobody() -> None:
    """A hundred streams are awaited in one loop without a thread of its pool."""
    streams = [Stream() for _ in range(100)]

    async def count(stream: Stream) -> int:
        return len([event async for event in stream])

    async def read_all() -> list[int]:
        before = set(threading.enumerate())
        readers = [asyncio.create_task(count(stream)) for stream in streams]
        await asyncio.sleep(0.05)
        fresh = set(threading.enumerate()) - before
        assert not [thread for thread in fresh if thread.name.startswith("asyncio")]
        for stream in streams:
            write(stream, "ab")
        return await asyncio.wait_for(asyncio.gather(*readers), 20)

    assert run_loop(read_all()) == [2] * 100


def test_a_writer_outlives_a_loop_that_has_gone() -> None:
    stream = Stream()

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(stream.__aiter__().__anext__(), 0.01)

    run_loop(give_up())
    stream.put(Event("decode", "a"))
    stream.end()
    assert [event.text for event in stream] == ["a"]


def test_leaving_the_block_cancels_and_tells() -> None:
    told = []
    with Stream(on_cancel=lambda: told.append(1)) as stream:
        assert not stream.is_cancelled
    assert stream.is_cancelled and told == [1]
