"""`python -m dsvl2_app bench`: how fast this machine runs the model, as shares of what the machine could do.

Prints a table while it runs; the last line is one JSON object. There is a module for each thing that is measured. They
compare its time with what the work must cost by the configuration (`costs`) and with what the machine can do (`roofs`),
which is measured between the repetitions. A `suite` measures several models in one run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from contextlib import closing
from dataclasses import replace
from typing import Any

import torch

from bench import agreement, answer, chats, decode, load, peers, reuse, serving, suite, table, vllm_peer
from bench.memory import peak_memory
from bench.roofs import RoofMeter
from dsvl2_app.backend.local import LocalBackend
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.errors import SettingsError
from dsvl2_app.runtime.cpu.library import find_compiler
from dsvl2_app.runtime.devices import choose_device
from dsvl2_app.settings import Settings


def run(flags: argparse.Namespace) -> None:
    """Measure what the flags of `bench` ask for."""
    if flags.suite:
        found = suite.measure(flags.suite, Settings.choose(flags, os.environ), flags.models, flags.minutes)
        print(json.dumps(found, separators=(",", ":")), flush=True)
        return
    for name in ("repeats", "tokens", "chats"):
        if getattr(flags, name) < 1:
            raise SettingsError(f"--{name} is {getattr(flags, name)}; choose 1 or more.")
    if flags.rate is not None and not 0 < flags.rate < math.inf:
        raise SettingsError(f"--rate is {flags.rate}; choose more than 0 requests a second.")
    flags.against, vllm = vllm_peer.split_peers(flags.against)
    parts = [*flags.what, *["peers"] * ("transformers" in flags.against and "peers" not in flags.what)]
    result: dict[str, Any] = {}
    if vllm:
        result["vllm"] = vllm_peer.measure(Settings.choose(flags, os.environ), vllm, flags.repeats)
    if "load" in parts:
        result["load"] = load.measure(Settings.choose(flags, {"DSVL2_MODEL": "tiny", **os.environ}), flags.folder)
    if "overlay" in parts:
        from bench import overlay  # which imports gradio

        result["overlay"] = overlay.measure(flags.repeats)
    if set(parts) - {"load", "overlay"}:
        result |= measure(Settings.choose(flags, os.environ), parts, flags)
    print(json.dumps(result), flush=True)


def measure(settings: Settings, parts: list[str], flags: argparse.Namespace) -> dict[str, Any]:
    """Everything but loading, on one engine, with one meter of the roofs."""
    load_before, device = table.load_average(), choose_device(settings.device)
    if settings.compile == "auto" and device.type == "cpu" and find_compiler():
        settings = replace(settings, compile="on")  # not meanwhile
    started = time.perf_counter()
    engine = load_engine(settings)
    result = describe(engine, time.perf_counter() - started)
    while engine.warm_up():  # as a server that nobody has asked yet
        pass
    meter = RoofMeter(engine.model.device, engine.model.dtype)
    meter.sample()
    at_once = max(flags.chats, 16)
    with closing(LocalBackend(engine, at_once, max_waiting=max(32, flags.chats * flags.repeats))) as backend:
        if "answer" in parts:
            result["answer"] = answer.measure(engine, backend, meter, flags.tokens, flags.repeats)
        if "reuse" in parts:
            result["reuse"] = reuse.measure(backend, flags.repeats)
        if "chats" in parts:
            result["chats"] = chats.measure(backend, flags.chats, flags.tokens)
        if "serving" in parts:
            result["serving"] = serving.measure(backend, flags.chats, flags.tokens, flags.repeats, flags.rate)
        if "remote" in parts:
            from bench import remote  # which imports the page's server

            result["remote"] = remote.measure(settings, backend, flags.tokens, flags.repeats)
    result["peak_memory"] = peak_memory()  # before others take memory of their own
    if "decode" in parts:
        result["decode"] = decode.measure(settings, engine, meter, tuple(flags.against))
    if "agreement" in parts:
        result["agreement"] = agreement.measure(settings, engine)
    if "peers" in parts:
        result["peers"] = peers.measure(engine.model.device, meter)
    result["roofs"] = {"read": meter.best.read, "matrix": meter.best.matrix}
    result["load_average"] = [load_before, table.load_average()]
    rates = (f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in meter.best.matrix.items())
    table.show("peak memory", None, table.gigabytes(result["peak_memory"]))
    table.show("roofs", None, f"read {meter.best.read / 1e9:.1f} GB/s", *rates)
    table.show("load average", None, table.from_to(*result["load_average"]))
    return result


def describe(engine: Engine, seconds: float) -> dict[str, Any]:
    """Show and return what was loaded in so many seconds, and what it runs on."""
    card, threads = engine.card, torch.get_num_threads()
    table.show_title(card.name, card.source, card.dtype, card.device, f"{threads} threads")
    table.show("load", seconds, f"{card.parameters:,} parameters")
    return {
        "model": card.name,
        "source": card.source,
        "dtype": card.dtype,
        "device": card.device,
        "threads": threads,
        "torch": torch.__version__,
        "runner": engine.runner.describe(),
        "load": {"seconds": seconds, "parameters": card.parameters},
    }
