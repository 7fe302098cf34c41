"""What this machine can do: how fast it reads memory and multiplies matrices, measured beside the work itself.

Other programs and the clock change both from minute to minute, so a `RoofMeter` is sampled between the repetitions of
whatever is measured, and the best of its samples is the roof.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

READ_BYTES = 256 * 2**20  # far above what caches hold
MATRIX_SIDE = 2048
SECONDS = 0.4  # for each number of a sample; on a shared machine few of its tries run undisturbed


@dataclass(frozen=True, slots=True)
class Roofs:
    read: float  # bytes/s
    matrix: dict[str, float]  # dtype -> floating point operations/s


class RoofMeter:
    def __init__(self, device: torch.device, *dtypes: torch.dtype) -> None:
        """`dtypes` join bfloat16 and float32."""
        self.device = device
        self.dtypes = dict.fromkeys((torch.bfloat16, torch.float32, *dtypes))
        self.best = Roofs(0.0, {_name(dtype): 0.0 for dtype in self.dtypes})

    def sample(self, *, matrices: bool = True) -> None:
        numbers = torch.ones(READ_BYTES // 4, device=self.device)
        read = READ_BYTES / self._time(numbers.sum)
        del numbers
        matrix = dict(self.best.matrix)
        for dtype in self.dtypes if matrices else ():
            left, right = torch.rand(2, MATRIX_SIDE, MATRIX_SIDE, dtype=dtype, device=self.device)
            rate = 2 * MATRIX_SIDE**3 / self._time(lambda left=left, right=right: F.linear(left, right))
            matrix[_name(dtype)] = max(matrix[_name(dtype)], rate)
        self.best = Roofs(max(self.best.read, read), matrix)

    def _time(self, run: Callable[[], object]) -> float:
        """Seconds of the fastest try."""
        seconds: list[float] = []
        while sum(seconds) < SECONDS or not seconds:
            self.wait()
            started = time.perf_counter()
            run()
            self.wait()
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
