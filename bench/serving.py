"""Serving under load, told as vLLM's serving benchmark tells it: requests and tokens a second; seconds to the first
token, a later token and between two of them, at the median and the 99th percentile.

Each request brings a picture that nobody has sent before, of one of several sizes; questions and answers have mixed
lengths. They come by chance at a rate (a Poisson process), or as many at once as there are chats.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from bench import table
from bench.answer import draw_noise
from dsvl2_app.backend import Backend
from dsvl2_app.errors import AppError, SettingsError
from dsvl2_app.request import Request, Sampling
from dsvl2_app.text.prompt import place_images

SIZES = ((300, 300), (640, 480), (1000, 400), (1200, 1200))  # px: of 2, 5, 7 and 10 tiles
WORDS = ("Describe", "what", "is", "here", "and", "say", "where", "each", "of", "these", "things", "stands")
LONGEST_QUESTION = 128  # words, any of these
PERCENTILES = (50, 99)


@dataclass(slots=True)
class Served:
    """Moments of one request, in seconds of one clock."""

    sent: float
    tokens: list[float] = field(default_factory=list)
    problem: str = ""

    @property
    def first_token(self) -> float:
        return self.tokens[0] - self.sent

    @property
    def gaps(self) -> list[float]:
        return [late - early for early, late in pairwise(self.tokens)]


def measure(backend: Backend, chats: int, tokens: int, repeats: int, rate: float | None) -> dict[str, Any]:
    """`repeats` requests for each of the chats, whose answers have `tokens` tokens in the mean."""
    requests = [make_request(number, tokens) for number in range(chats * repeats)]
    started = time.perf_counter()
    served = send_by_chance(backend, requests, rate) if rate else send_together(backend, requests, chats)
    result = summarise(served, time.perf_counter() - started)
    for name, values in result["seconds"].items():
        words = [f"p{percentile} {values[f'p{percentile}'] * 1000:,.1f} ms" for percentile in PERCENTILES]
        table.show(name.replace("_", " "), values["mean"], *words)
    table.show(
        f"{result['completed']} of {len(requests)} requests",
        result["duration"],
        f"{result['requests_per_second']:.2f} requests/s",
        f"{result['tokens_per_second']:.1f} tokens/s",
    )
    return {"rate": rate, "chats": chats, **result}


def make_request(number: int, tokens: int) -> Request:
    """The same for the same number; of its own owner."""
    chance = random.Random(number)
    question = " ".join(chance.choices(WORDS, k=chance.randint(4, LONGEST_QUESTION)))
    wanted = chance.randint(max(1, tokens // 2), max(1, tokens + tokens // 2))
    content = place_images(question, [draw_noise(number, chance.choice(SIZES))])
    sampling = Sampling(max_new_tokens=wanted, min_new_tokens=wanted)
    return Request([{"role": "user", "content": content}], sampling, owner=f"visitor {number}")


def arrivals(count: int, rate: float) -> Iterator[float]:
    """When each of `count` requests comes, in seconds from the first, with `rate` of them a second in the mean."""
    chance, moment = random.Random(0), 0.0
    for _ in range(count):
        yield moment
        moment += chance.expovariate(rate)


def send_by_chance(backend: Backend, requests: Sequence[Request], rate: float) -> list[Served]:
    """Each is sent at its time, whatever is still being answered."""
    served: list[Served] = []
    readers: list[threading.Thread] = []
    started = time.perf_counter()
    for request, moment in zip(requests, arrivals(len(requests), rate), strict=True):
        time.sleep(max(0.0, started + moment - time.perf_counter()))
        served.append(Served(time.perf_counter()))
        readers.append(threading.Thread(target=read, args=(backend, request, served[-1])))
        readers[-1].start()
    for reader in readers:
        reader.join()
    return served


def send_together(backend: Backend, requests: Sequence[Request], chats: int) -> list[Served]:
    """Each chat sends its next one when it has its answer."""
    served: list[Served] = []

    def chat(number: int) -> None:
        for request in requests[number::chats]:
            mine = Served(time.perf_counter())
            served.append(mine)
            read(backend, request, mine)

    chatting = [threading.Thread(target=chat, args=(number,)) for number in range(chats)]
    for each in chatting:
        each.start()
    for each in chatting:
        each.join()
    return served


def read(backend: Backend, request: Request, served: Served) -> None:
    try:
        for event in backend.submit(request):
            if event.stage == "decode":
                served.tokens.append(time.perf_counter())
    except AppError as error:  # a full queue, say, which is part of what is measured
        served.problem = str(error)


def summarise(served: Sequence[Served], duration: float) -> dict[str, Any]:
    """Of those that were answered to the end; a token's time leaves out the first of its answer."""
    done = [each for each in served if each.tokens and not each.problem]
    if not done:
        raise SettingsError(f"No request was answered: {served[0].problem}")
    seconds = {
        "first_token": [each.first_token for each in done],
        "later_token": [sum(each.gaps) / len(each.gaps) for each in done if each.gaps],
        "between_tokens": [gap for each in done for gap in each.gaps],
    }
    return {
        "duration": duration,
        "completed": len(done),
        "failed": sorted({each.problem for each in served if each.problem}),
        "requests_per_second": len(done) / duration,
        "tokens_per_second": sum(len(each.tokens) for each in done) / duration,
        "seconds": {name: distribute(values) for name, values in seconds.items()},
    }


def distribute(values: Sequence[float]) -> dict[str, float]:
    """Mean, percentiles and largest; zeros of nothing, as where every answer is one token."""
    values = values or [0.0]
    spread = {f"p{percentile}": float(np.percentile(values, percentile)) for percentile in PERCENTILES}
    return {"mean": float(np.mean(values)), **spread, "max": max(values)}
