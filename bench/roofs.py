"""What this machine can do: how fast it reads memory and multiplies matrices, measured beside the work itself.

Other programs and the clock change both from minute to minute, so a `RoofMeter` is sampled between the repetitions of
whatever is measured, and the best of its samples is the roof.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Sizes:
    read: int  # bytes, far above what caches hold
    matrix: int  # side
    seconds: float  # for each number of a sample; on a shared machine few of its tries run undisturbed


SIZES = Sizes(256 * 2**20, 2048, 0.4)
PRODUCTS = 5
GPU_SIZES = Sizes(4 * 2**30, 8192, 0.1)  # large enough that launching the work takes no part


@dataclass(frozen=True, slots=True)
class Roofs:
    read: float  # bytes/s
    matrix: dict[str, float]  # dtype -> floating point operations/s


class RoofMeter:
    def __init__(self, device: torch.device, *dtypes: torch.dtype) -> None:
        """`dtypes` join bfloat16 and float32."""
        self.device = device
        self.sizes = GPU_SIZES if device.type == "cuda" else SIZES
        self.dtypes = dict.fromkeys((torch.bfloat16, torch.float32, *dtypes))
        self.best = Roofs(0.0, {_name(dtype): 0.0 for dtype in self.dtypes})

    def sample(self, *, matrices: bool = True) -> None:
        numbers = self._fill()
        read = numbers.nbytes / self._time(numbers.sum)
        del numbers
        matrix, side = dict(self.best.matrix), self.sizes.matrix
        for dtype in self.dtypes if matrices else ():
            left, right = torch.rand(2, side, side, dtype=dtype, device=self.device)
            rate = 2 * side**3 / self._time(lambda left=left, right=right: F.linear(left, right))
            matrix[_name(dtype)] = max(matrix[_name(dtype)], rate)
        self.best = Roofs(max(self.best.read, read), matrix)

    def refresh(self) -> None:
        """Sample again on a CPU, whose rates other programs change from time to time."""
        if self.device.type == "cpu":
            self.sample()

    def measure_copy(self) -> float:
        """Bytes/s, those read and those written."""
        source = self._fill()
        target = source.clone()  # whose pages are there already
        return 2 * source.nbytes / self._time(lambda: target.copy_(source))

    def time(self, run: Callable[[], object]) -> float:
        """Seconds of one run, until the device is done."""
        self.wait()
        started = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - started

    def _fill(self) -> Tensor:
        return torch.ones(self.sizes.read // 4, device=self.device)

    def _time(self, run: Callable[[], object]) -> float:
        """Seconds of the fastest try."""
        seconds: list[float] = []
        while sum(seconds) < self.sizes.seconds or not seconds:
            seconds.append(self.time(run))
        return min(seconds)

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Reader:
    """Reads memory that it holds, to compare a single step with the moments before and after it."""

    def __init__(self, meter: RoofMeter) -> None:
        self._meter, self._numbers = meter, meter._fill()
        self.nbytes = self._numbers.nbytes

    def read(self) -> float:
        """Bytes/s of one reading."""
        rate = self.nbytes / self._meter.time(self._numbers.sum)
        self._meter.best = replace(self._meter.best, read=max(rate, self._meter.best.read))
        return rate


class Multiplier:
    """Multiplies matrices that it holds, to compare a stage with the moments before and after it."""

    def __init__(self, meter: RoofMeter, dtype: torch.dtype) -> None:
        self._meter, side = meter, meter.sizes.matrix
        self._pair = torch.rand(2, side, side, dtype=dtype, device=meter.device)
        self._operations = 2 * side**3

    def multiply(self) -> float:
        """Operations/s of a few products."""
        seconds = (self._meter.time(lambda: F.linear(*self._pair)) for _ in range(PRODUCTS))
        return self._operations / statistics.median(seconds)


def run_beside(run: Callable[[], float], rate: Callable[[], float], times: int) -> list[tuple[float, float]]:
    """The result of each run, with the mean of the rates measured right before and right after it."""
    found, before = [], rate()
    for _ in range(times):
        given, after = run(), rate()
        found.append((given, (before + after) / 2))
        before = after
    return found


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
