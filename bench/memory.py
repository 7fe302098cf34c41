"""How much memory this process took at most, and how much is free, as Linux counts it; None on other systems."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path

import torch

from bench import table
from bench.record import NotRun

INTERVAL = 0.005  # seconds
HEADROOM = 2 * 10**9  # bytes beside a model's weights


def peak_memory() -> int | None:
    """Bytes resident at most so far (VmHWM); pages of mapped files count while they are there."""
    return _read("VmHWM")


def free_memory() -> int | None:
    """Bytes that programs may still take."""
    return _read("MemAvailable", "/proc/meminfo")


def check_room(size: int, device: torch.device) -> None:
    """Raise NotRun unless weights of so many bytes fit."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    if free is not None and free < size + HEADROOM:
        raise NotRun(f"needs {table.gigabytes(size + HEADROOM)} of memory, {table.gigabytes(free)} are free")


class PeakAnonymous:
    """Within a `with` block, watches the memory that is no mapped file; Linux keeps no peak of it."""

    bytes: int | None = None

    def __enter__(self) -> PeakAnonymous:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while (now := _read("RssAnon")) is not None:
            self.bytes = max(self.bytes or 0, now)
            if self._done.wait(INTERVAL):
                break


def _read(field: str, path: str = "/proc/self/status") -> int | None:
    if sys.platform != "linux":
        return None
    found = re.search(rf"^{field}:\s*(\d+) kB", Path(path).read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else None
