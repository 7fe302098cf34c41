"""Whether nano answers alike alone, eight at a time, and in a stream of eight that are never the same: float32.

    python -m tests.evaluation.batching --cases 20

asks so many questions of every row of nano's suite three times, and prints those whose answers differ.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing

import dsvl2_app
from dsvl2_app.backend import Backend, Stream
from dsvl2_app.evaluation.report import Messages
from dsvl2_app.request import Request, Sampling
from dsvl2_app.text.prompt import ANSWER_TOKENS
from nano.suite import ROWS

EIGHT = 8
Way = Callable[[Backend, Sequence[Messages]], list[str]]


def submit(backend: Backend, messages: Messages) -> Stream:
    return backend.submit(Request(messages, Sampling(max_new_tokens=300), allow=ANSWER_TOKENS))


def read(stream: Stream) -> str:
    return "".join(step.text for step in stream)


def ask_alone(backend: Backend, asked: Sequence[Messages]) -> list[str]:
    return [read(submit(backend, each)) for each in asked]


def ask_in_batches(backend: Backend, asked: Sequence[Messages]) -> list[str]:
    """The next eight when all of the last eight are done."""
    answers: list[str] = []
    for start in range(0, len(asked), EIGHT):
        streams = [submit(backend, each) for each in asked[start : start + EIGHT]]
        answers += [read(stream) for stream in streams]
    return answers


def ask_continuously(backend: Backend, asked: Sequence[Messages]) -> list[str]:
    """The next one whenever the eldest is done, in the order from the last to the first, so that neighbours differ."""
    answers: list[str] = []
    running: deque[Stream] = deque()
    for each in reversed(asked):
        running.append(submit(backend, each))
        if len(running) == EIGHT:
            answers.append(read(running.popleft()))
    answers += [read(stream) for stream in running]
    return answers[::-1]


WAYS: dict[str, Way] = {"alone": ask_alone, "in batches": ask_in_batches, "continuously": ask_continuously}


def compare(
    cases: int, compile: str, tell: Callable[[str], None] = lambda line: None
) -> dict[str, list[tuple[str, str, str]]]:
    """Of each way but the first: the row, and two answers, of every question where they differ."""
    drawn = [(f"{row.family}, {row.task}", case.messages) for row in ROWS for case in row.cases(cases)]
    found: dict[str, list[str]] = {}
    for name, ask in WAYS.items():
        started = time.perf_counter()
        with closing(dsvl2_app.load("nano", dtype="float32", device="cpu", compile=compile)) as backend:
            found[name] = ask(backend, [messages for _, messages in drawn])
        tell(f"{name}: {len(drawn)} questions in {time.perf_counter() - started:.1f} s")
    alone = found.pop("alone")
    return {
        name: [
            (row, one, other)
            for (row, _), one, other in zip(drawn, alone, answers, strict=True)
            if one != other
        ]
        for name, answers in found.items()
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20, help="questions a row (default: 20)")
    found = compare(parser.parse_args().cases, "auto", print)
    for name, different in found.items():
        print(f"{name}: {len(different)} answers differ from those alone")
        for row, one, other in different:
            print(f"  {row}: {one!r} | {other!r}")


if __name__ == "__main__":
    main()
