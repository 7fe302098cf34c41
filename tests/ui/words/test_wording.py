from __future__ import annotations

import pytest

from dsvl2_app.request import Event, Timings
from dsvl2_app.ui.words.wording import describe_ending, describe_progress


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Event("queued", done=1, total=1), "Waiting"),
        (Event("queued", done=3, total=7), "Waiting: number 3 of 7"),
        (Event("vision", done=2, total=10), "Looking at the pictures: tile 2 of 10"),
        (Event("prefill", done=512, total=2048), "Reading: 512 of 2,048 tokens"),
        (Event("decode", "a", 1), "Answering"),
    ],
)
def test_every_wait_says_how_far_it_is(step: Event, words: str) -> None:
    assert describe_progress(step) == words


def test_an_ending_says_what_it_cost() -> None:
    timings = Timings(vision=1.0, prefill=0.5, decode=0.1, prompt_tokens=900, new_tokens=300)
    assert describe_ending(timings, "length") == (
        "300 tokens · 3,000 tokens/s · 1.6 s in all · stopped at the limit of new tokens"
    )
    assert describe_ending(timings, "repetition").endswith("1.6 s in all · stopped: it repeated itself")
    assert describe_ending(Timings(), None) == "0 tokens · under 0.1 s in all"


def test_a_full_context_is_told_from_a_limit() -> None:
    timings = Timings(prompt_tokens=3594, new_tokens=502)
    assert describe_ending(timings, "length", 4096).endswith("stopped because the context is full")
    assert describe_ending(timings, "length", 8192).endswith("stopped at the limit of new tokens")
