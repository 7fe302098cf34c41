"""A while of visitors: what holds on any machine, and that the soak would notice what must not be."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.soak.chats import Chat, MixedError, Outcome, Page, Row
from tests.soak.files import FIRST_WIDTH
from tests.soak.report import BOUNDS, COUNTS, find_broken, find_growth, report
from tests.soak.run import soak
from tests.soak.server import Sample

CALM = Sample(0.0, memory=500, threads=20, files=30, cpu=1.0, healthz=0.01, load=1.0)
GOOD = {"lived": True, "exit status": 0, "tracebacks": 0, "canaries in the log": 0}


@pytest.mark.slow
@pytest.mark.parametrize(("program", "seconds"), [("nano", 20), ("echo", 10)])
def test_visitors_are_answered_each_their_own(program: str, seconds: float, tmp_path: Path) -> None:
    told = soak(program, chats=11, seconds=seconds, folder=tmp_path, patience=120, least=5)
    assert find_broken(told, COUNTS) == [], told
    assert {"page", "chat", "v1", "visit"} <= told["by way"].keys() and told["hostile"] and told["left"], told


@pytest.fixture
def chat() -> Chat:
    chat = Chat(3, "http://127.0.0.1:1", Page({}, [], {}, {}), time.monotonic(), echoes=True, pause=0, patience=1)
    chat.canaries, chat.history = {"zqabcdefghqz"}, []
    return chat


@pytest.mark.parametrize(
    ("answer", "pictures"),
    [
        ("zqabcdefghqz and zqzzzzzzzzqz", 0),  # somebody else's word
        ("What do you see?", 0),  # not the own one
        (f"zqabcdefghqz {FIRST_WIDTH + 4}x100px", 1),  # somebody else's picture
        ("zqabcdefghqz", 1),  # not the own one
        (f"zqabcdefghqz {FIRST_WIDTH + 3}x100px", 0),  # one that was not sent
    ],
)
def test_what_is_somebody_elses_is_noticed(answer: str, pictures: int, chat: Chat) -> None:
    with pytest.raises(MixedError):
        chat.check_echo(answer, "zqabcdefghqz", pictures)


def test_what_is_ones_own_is_none_elses(chat: Chat) -> None:
    chat.check_echo(f"zqabcdefghqz: what do you see? {FIRST_WIDTH + 3}x100px", "zqabcdefghqz", 1)
    chat.check_usage({"prompt_tokens_details": {"cached_tokens": 0}})
    with pytest.raises(MixedError):
        chat.check_usage({"prompt_tokens_details": {"cached_tokens": 5}})


def test_a_good_run_breaks_no_bound() -> None:
    rows = [Row("page", outcome="answered", first=1.0), Row("v1", hostile=True, outcome="refused")]
    assert find_broken(report(rows, [CALM]) | GOOD, BOUNDS) == []


@pytest.mark.parametrize("outcome", ["lost", "hung", "mixed", "refused"])
def test_each_bad_outcome_breaks_one(outcome: Outcome) -> None:
    rows = [Row("page", outcome="answered", first=1.0), Row("v1", outcome=outcome)]
    assert len(find_broken(report(rows, [CALM]) | GOOD, COUNTS)) == 1


@pytest.mark.parametrize(
    ("rows", "sample", "end"),
    [
        ([Row("chat", hostile=True, outcome="answered")], CALM, {}),
        ([Row("chat", outcome="answered", first=5.1)], CALM, {}),
        ([Row("chat", outcome="left")], CALM, {}),
        ([Row("chat", outcome="answered")], replace(CALM, healthz=0.3), {}),
        ([Row("chat", outcome="answered")], replace(CALM, healthz=float("inf")), {}),
        *[([Row("chat", outcome="answered")], CALM, {name: value}) for name, value in (
            ("lived", False), ("exit status", -9), ("tracebacks", 1), ("canaries in the log", 1)
        )],
    ],
)  # fmt: skip
def test_each_bad_figure_breaks_one(rows: list[Row], sample: Sample, end: dict[str, object]) -> None:
    assert len(find_broken(report(rows, [sample]) | GOOD | end, BOUNDS)) == 1


def test_growth_is_that_after_the_second_minute() -> None:
    """A minute that has not ended does not count."""
    samples = [
        replace(CALM, seconds=60 * minute + second, memory=memory)
        for minute, memory in enumerate((100, 300, 500, 500, 510, 900))
        for second in (1, 31)
    ]
    assert find_growth(samples) == 0.02
    assert find_growth(samples[:8]) is None
