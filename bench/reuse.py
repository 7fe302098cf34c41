"""How soon the first token comes: of a new picture, of one seen before, of a follow-up question."""

from __future__ import annotations

import statistics
import time
from typing import Any

from bench import table
from bench.answer import QUESTION, draw_noise
from dsvl2_app.backend import Backend
from dsvl2_app.request import Request, Sampling
from dsvl2_app.text.prompt import place_images

ANSWER_TOKENS = 16


def measure(backend: Backend, repeats: int) -> dict[str, Any]:
    ask_round(backend, 999)  # warms up
    rounds = [ask_round(backend, 1000 + number) for number in range(repeats)]
    seconds = {name: [each[name] for each in rounds] for name in rounds[0]}
    fastest = {name: min(each) for name, each in seconds.items()}
    for name, taken in fastest.items():
        sooner = "" if name == "cold" else f"{fastest['cold'] / taken:.1f} times sooner"
        table.show(f"first token, {name}", taken, sooner)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    return {"fastest": fastest, "median": medians}


def ask_round(backend: Backend, number: int) -> dict[str, float]:
    """Times of a new owner's question about a new picture, and of the questions after it."""
    picture, owner = draw_noise(number), f"owner {number}"
    first = [{"role": "user", "content": place_images(QUESTION, [picture])}]
    cold, answer = ask(backend, first, owner)
    turns = [*first, {"role": "assistant", "content": answer}, {"role": "user", "content": "What is on the left?"}]
    other = [{"role": "user", "content": place_images("Which colours are there?", [picture])}]
    return {
        "cold": cold,
        "follow-up": ask(backend, turns, owner)[0],
        "same picture": ask(backend, other, owner)[0],
        "same picture, other owner": ask(backend, other, f"other {number}")[0],
    }


def ask(backend: Backend, messages: list[dict[str, Any]], owner: str) -> tuple[float, str]:
    """Seconds to the first token, and the answer."""
    sampling = Sampling(max_new_tokens=ANSWER_TOKENS, min_new_tokens=ANSWER_TOKENS)
    submitted, first, text = time.perf_counter(), 0.0, ""
    with backend.submit(Request(messages, sampling, owner=owner)) as stream:
        for step in stream:
            if step.stage == "decode" and not first:
                first = time.perf_counter() - submitted
            text += step.text
    return first, text
