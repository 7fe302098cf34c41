"""Many at once: how fast everybody's answer comes, and how long a stream stalls while another's picture is read."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from typing import Any

from bench import table
from bench.answer import QUESTION, draw_noise
from dsvl2_app.backend.local import LocalBackend
from dsvl2_app.request import Request, Sampling
from dsvl2_app.text.prompt import place_images

LARGE = 1200, 1200  # px, a grid of nine tiles
BEFORE, LONGEST = 10, 2000  # tokens of a stream before the picture comes, and at most


def measure(backend: LocalBackend, chats: int, tokens: int) -> dict[str, Any]:
    streams = stream_together(backend, [write(f"Tell me more about number {n}.", tokens, str(n)) for n in range(chats)])
    overlap = min(stream[-1] for stream in streams)  # while all of them write
    rates = [sum(moment <= overlap for moment in stream) / (overlap - stream[0]) for stream in streams]
    total = sum(rates)
    table.show(f"{chats} chats, slowest", None, f"{min(rates):.1f} tokens/s", f"{total:.1f} in all")

    stall = measure_stall(backend)
    table.show("longest stall beside nine tiles", stall)
    return {"chats": chats, "tokens_per_second": rates, "total": total, "longest_stall": stall}


def measure_stall(backend: LocalBackend) -> float:
    """The longest time between two tokens of one answer, in seconds, while another request with a new picture is
    answered."""
    backend.call(lambda engine: engine.forget())
    question = place_images(QUESTION, [draw_noise(7, LARGE)])
    picture = Request([{"role": "user", "content": question}], Sampling(max_new_tokens=1), owner="picture")
    other = threading.Thread(target=lambda: list(backend.submit(picture)))
    moments: list[float] = []
    with backend.submit(write("Tell me more.", LONGEST, "reader")) as stream:
        for step in stream:
            if step.stage == "decode":
                moments.append(time.perf_counter())
            if len(moments) == BEFORE:
                other.start()
            if len(moments) > BEFORE and not other.is_alive():
                break
    other.join()
    return max(late - early for early, late in pairwise(moments))


def write(text: str, tokens: int, owner: str) -> Request:
    sampling = Sampling(max_new_tokens=tokens, min_new_tokens=tokens)
    return Request([{"role": "user", "content": text}], sampling, owner=owner)


def stream_together(backend: LocalBackend, requests: list[Request]) -> list[list[float]]:
    """Time stamps of the tokens of each answer."""
    moments: list[list[float]] = [[] for _ in requests]

    def read(number: int) -> None:
        for step in backend.submit(requests[number]):
            if step.stage == "decode":
                moments[number].append(time.perf_counter())

    readers = [threading.Thread(target=read, args=(number,)) for number in range(len(requests))]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return moments
