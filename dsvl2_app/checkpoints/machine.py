"""Where a model may lie: the memory of this machine, or of GPUs that are somewhere else; how fast it is read."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import torch
from accelerate.utils import get_max_memory

from dsvl2_app.errors import SettingsError

UNITS = {"GB": 10**9, "GIB": 2**30}
READ = {"cpu": 2**28, "cuda": 2**31}  # bytes of a measurement, far above what caches hold
SECONDS = 0.4  # of a measurement


@dataclass(frozen=True, slots=True)
class Place:
    """`key` is accelerate's: the number of a GPU, or "cpu" for the machine's own memory, or "mps"."""

    key: int | str
    room: int  # bytes that are free

    @property
    def name(self) -> str:
        return f"GPU {self.key}" if isinstance(self.key, int) else {"cpu": "RAM", "mps": "GPU"}[self.key]


def read_gpus(text: str) -> list[Place]:
    """`2x24GB`, `24GiB` or `80GB,24GB`. Raises SettingsError for anything else."""
    sizes: list[int] = []
    for piece in text.split(","):
        times, _, size = piece.strip().rpartition("x")
        if times and not re.fullmatch(r"[1-9]\d?", times):
            raise SettingsError(f"--gpus is {text!r}, but must be numbers and sizes, such as 24GB or 2x24GB,80GB.")
        sizes += [read_size("--gpus", size)] * int(times or 1)
    return [Place(number, size) for number, size in enumerate(sizes)]


def read_size(flag: str, text: str) -> int:
    """Bytes of `24GB` or `22.5GiB`. Raises SettingsError for anything else."""
    found = re.fullmatch(r"(\d{1,5}(?:\.\d{1,3})?)(GI?B)", text.strip(), re.IGNORECASE)
    if not found or not float(found[1]):
        raise SettingsError(f"{flag} has {text!r}, but a size is written as 24GB or 22.5GiB.")
    return int(float(found[1]) * UNITS[found[2].upper()])


def find_places(device: torch.device, *, all_gpus: bool) -> list[Place]:
    """What this machine has for a model on `device`, and its own memory after it; with `all_gpus` the others too."""
    free = get_max_memory()
    if device.type == "cpu":
        return [Place("cpu", int(free["cpu"]))]
    index = device.index or 0
    keys = [key for key in free if key in ("cpu", "mps") or all_gpus or key == index]
    return [Place(key, int(free[key])) for key in keys]


def measure_read(device: torch.device) -> float:
    """Bytes/s at which its memory is read: the best of several sums."""
    numbers = torch.ones(READ.get(device.type, READ["cpu"]) // 4, device=device)
    fastest, until = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        started = time.perf_counter()
        numbers.sum().item()
        fastest = min(fastest, time.perf_counter() - started)
    return numbers.nbytes / fastest
