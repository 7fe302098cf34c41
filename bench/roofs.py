"""What this machine can do: how fast it reads memory and multiplies matrices, measured beside the work itself.

Other programs and the clock change both from minute to minute, so a `RoofMeter` is sampled between the repetitions of
whatever is measured, and the best of its samples is the roof. A GPU's samples are timed by the GPU: the clock of a
virtual machine stands still while its host pauses it, and the GPU goes on. What is above its own peak is an error.
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


# Dense bfloat16 operations of a multiprocessor in a cycle, by compute capability (NVIDIA's architecture white papers).
OPERATIONS = {(8, 0): 2048, (8, 6): 1024, (8, 7): 2048, (8, 9): 1024, (9, 0): 4096, (10, 0): 8192, (12, 0): 2048}


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
        self.read_peak, self.matrix_peak = find_peaks(device)
        self.impossible: list[str] = []  # samples that were above them

    def sample(self, *, matrices: bool = True) -> None:
        numbers = self._fill()
        read = self.check("reads", numbers.nbytes / self._time(numbers.sum), self.read_peak)
        del numbers
        matrix, side = dict(self.best.matrix), self.sizes.matrix
        for dtype in self.dtypes if matrices else ():
            left, right = torch.rand(2, side, side, dtype=dtype, device=self.device)
            rate = 2 * side**3 / self._time(lambda left=left, right=right: F.linear(left, right))
            rate = self.check(f"{_name(dtype)} products", rate, self.matrix_peak)
            matrix[_name(dtype)] = max(matrix[_name(dtype)], rate)
        self.best = Roofs(max(self.best.read, read), matrix)

    def check(self, what: str, rate: float, peak: float) -> float:
        """The rate; 0 where the device cannot have reached it, which is noted."""
        if rate <= peak:
            return rate
        self.impossible.append(f"{what} at {rate:.3g}/s, where this device has at most {peak:.3g}/s")
        return 0.0

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
            seconds.append(self.time_on_device(run))
        return min(seconds)

    def time_on_device(self, run: Callable[[], object]) -> float:
        """Seconds of one run, by the clock of the device that runs it."""
        if self.device.type != "cuda":
            return self.time(run)
        with torch.cuda.device(self.device):
            started, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            started.record()
            run()
            ended.record()
            ended.synchronize()
        return started.elapsed_time(ended) / 1000

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
        meter, rate = self._meter, self.nbytes / self._meter.time_on_device(self._numbers.sum)
        meter.best = replace(meter.best, read=max(meter.check("reads", rate, meter.read_peak), meter.best.read))
        return rate


class Multiplier:
    """Multiplies matrices that it holds, to compare a stage with the moments before and after it."""

    def __init__(self, meter: RoofMeter, dtype: torch.dtype) -> None:
        self._meter, side = meter, meter.sizes.matrix
        self._pair = torch.rand(2, side, side, dtype=dtype, device=meter.device)
        self._operations = 2 * side**3

    def multiply(self) -> float:
        """Operations/s of a few products."""
        seconds = (self._meter.time_on_device(lambda: F.linear(*self._pair)) for _ in range(PRODUCTS))
        return self._operations / statistics.median(seconds)


def find_peaks(device: torch.device) -> tuple[float, float]:
    """Bytes/s and operations/s that no program can reach there, by its clocks and widths; infinite where they are not
    known."""
    read = matrix = float("inf")
    if device.type != "cuda":
        return read, matrix
    known = torch.cuda.get_device_properties(device)
    clock, memory = getattr(known, "clock_rate", 0), getattr(known, "memory_clock_rate", 0)  # kHz
    operations = OPERATIONS.get((known.major, known.minor))
    if clock and operations:
        matrix = 1e3 * clock * known.multi_processor_count * operations
    if memory and (width := getattr(known, "memory_bus_width", 0)):
        read = 2 * 1e3 * memory * width / 8  # twice in a cycle
    return read, matrix


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
