"""Tokens/s of many chats, on one device and with a copy of the model on each of two."""

from __future__ import annotations

import gc
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import torch

from dsvl2_app.backend import Backend, Stream, pool
from dsvl2_app.backend.local import LocalBackend
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings

SETUPS = ("one", "one_all_at_once", "two")  # as many at once as the page allows, or all; a copy on each device
RUNS = 3
GLANCE = 0.05  # seconds; the page reads no more often


class Copies:
    def __init__(self, name: str, devices: Sequence[str], chats: int, tokens: int) -> None:
        """`tokens` of each answer."""
        self.devices = devices
        weights = "auto" if name == "nano" else "dummy"
        self.settings = Settings(model=name, load_format=weights, compile="on", max_queue=chats)
        self.requests = [ask(number, tokens) for number in range(chats)]
        self.rates: dict[str, float] = {}

    def measure(self, setup: str) -> dict[str, Any]:
        with closing(self.start(setup)) as backend:
            write_all(backend, self.requests)  # graphs are recorded
            rates: list[float] = []
            for _ in range(RUNS):
                started = time.perf_counter()
                count = sum(write_all(backend, self.requests))
                rates.append(count / (time.perf_counter() - started))
        del backend
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.rates[setup] = statistics.median(rates)
        return {"tokens_per_second": self.rates[setup], "runs": rates}

    def start(self, setup: str) -> Backend:
        if setup == "two":
            return pool.load(replace(self.settings, devices=tuple(self.devices)))
        one = replace(self.settings, device=self.devices[0])
        return pool.load(one) if setup == "one" else LocalBackend(load_engine(one), max_active=len(self.requests))

    def compare(self) -> dict[str, float]:
        return {f"two_over_{name}": self.rates["two"] / self.rates[name] for name in SETUPS[:2]}


def ask(number: int, tokens: int) -> Request:
    sampling = Sampling(max_new_tokens=tokens, min_new_tokens=tokens)
    return Request([{"role": "user", "content": f"Tell me more about {number}."}], sampling, owner=str(number))


def write_all(backend: Backend, requests: Sequence[Request]) -> list[int]:
    """How many tokens each answer had."""
    counts = [0] * len(requests)

    def read(number: int, stream: Stream) -> None:
        for events in stream.throttled(GLANCE):
            counts[number] += sum(event.stage == "decode" for event in events)

    streams = [backend.submit(request) for request in requests]
    readers = [threading.Thread(target=read, args=each) for each in enumerate(streams)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return counts
