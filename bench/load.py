"""Reading a checkpoint from disk: seconds, and how far memory peaks above the weights.

Writing and loading each run in a new process, because a process keeps the highest memory peak it ever had.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from bench import table
from bench.memory import PeakAnonymous, peak_memory
from dsvl2_app.errors import SettingsError
from dsvl2_app.hub import find_folder
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.presets import PRESETS
from dsvl2_app.settings import Settings

T = TypeVar("T")

SHARD_SIZE = "2GB"  # writing holds one shard twice
TARGET_RATIO, TARGET_EXTRA = 1.15, 600_000_000  # peak against weights; bytes for Python and its libraries


def measure(settings: Settings, folder: str | None) -> dict[str, Any]:
    """Write a preset with random weights (another model is read where it is), then load it."""
    load_before = table.load_average()
    dtype = None if settings.dtype == "auto" else settings.dtype
    with tempfile.TemporaryDirectory(prefix="dsvl2-") as temporary:
        source = folder or temporary
        if settings.model in PRESETS:
            table.show_title(settings.model, "random weights", f"written to {source}")
            table.show("write", in_fresh_process(write, settings.model, dtype, source))
        else:
            source = str(find_folder(settings.model))
            table.show_title(settings.model, f"read from {source}")
        loaded = in_fresh_process(load, source, dtype)
    loaded["target"] = int(loaded["weights"] * TARGET_RATIO) + TARGET_EXTRA
    loaded["load_average"] = [load_before, table.load_average()]
    show(loaded)
    return {"what": "load", "model": settings.model, **loaded}


def in_fresh_process(run: Callable[..., T], *arguments: Any) -> T:
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(run, *arguments).result()
    except BrokenProcessPool as error:
        raise SettingsError(
            "The process was killed, most likely for want of memory; choose a smaller model."
        ) from error


def write(preset: str, dtype: str | None, folder: str) -> float:
    """Seconds to write a random checkpoint in the official layout."""
    model = DeepseekVL2ForConditionalGeneration.from_random(DeepseekVL2Config.preset(preset), dtype)
    started = time.perf_counter()
    model.save_pretrained(folder, max_shard_size=SHARD_SIZE)
    return time.perf_counter() - started


def load(folder: str, dtype: str | None) -> dict[str, Any]:
    """Load once, in this process, which has done nothing else yet."""
    before = peak_memory()
    started = time.perf_counter()
    with PeakAnonymous() as anonymous:
        model = DeepseekVL2ForConditionalGeneration.from_pretrained(folder, dtype=dtype)
    seconds, peak = time.perf_counter() - started, peak_memory()
    if before and peak:  # Linux counts roughly, so that a later peak can come out a little lower
        peak = max(before, peak)
    weights = sum(parameter.nbytes for parameter in model.parameters())
    return {
        "dtype": str(model.config.dtype).removeprefix("torch."),
        "seconds": seconds,
        "bytes_per_second": weights / seconds,
        "weights": weights,
        "before": before,
        "peak_memory": peak,
        "peak_anonymous": anonymous.bytes,
        "ratio": peak / weights if peak else None,
    }


def show(loaded: dict[str, Any]) -> None:
    table.show("load", loaded["seconds"], f"{loaded['bytes_per_second'] / 1e9:.2f} GB/s")
    table.show("weights", None, table.gigabytes(loaded["weights"]), loaded["dtype"])
    table.show("memory before", None, table.gigabytes(loaded["before"]))
    target = f"target {table.gigabytes(loaded['target'])}"
    table.show("peak memory", None, table.gigabytes(loaded["peak_memory"]), target)
    table.show("peak without mapped files", None, table.gigabytes(loaded["peak_anonymous"]))
    if loaded["ratio"]:
        table.show("peak / weights", None, f"{loaded['ratio']:.3f}")
    table.show("load average", None, table.from_to(*loaded["load_average"]))
