"""What a GPU does again and again, recorded as a CUDA graph: one launch in place of a thousand.

A graph replays the same kernels on the same addresses. So whoever records something keeps its inputs in memory of
their own, and finds its outputs where they were the first time, until it is replayed again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")

_recording = threading.Lock()  # engines of several GPUs have threads of their own

WARM_UPS = 3  # runs before a recording, in which libraries choose and set up their kernels


def record(run: Callable[[], T], memory: Any) -> tuple[Callable[[], None], T]:
    """A function that does what `run` does, and what that leaves. `memory` is shared by graphs that never run at the
    same time. Other threads may go on with other GPUs meanwhile."""
    with _recording:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # torch's own stream for recordings belongs to the GPU that recorded first
        with torch.cuda.graph(graph, pool=memory, stream=stream, capture_error_mode="thread_local"):
            outputs = run()
    return graph.replay, outputs


class Recorded(Generic[T]):
    """`run(size)` as a graph per size. A size that comes up once is not worth one, so the second time records it.
    Elsewhere than on a GPU it just runs."""

    def __init__(self, run: Callable[[int], T], device: torch.device) -> None:
        self.run = run
        self._seen: set[int] = set()
        self._graphs: dict[int, tuple[Callable[[], None], T]] = {}
        self._memory = torch.cuda.graph_pool_handle() if device.type == "cuda" else None

    def __call__(self, size: int) -> T:
        if self._memory is None or size not in self._seen:
            self._seen.add(size)
            return self.run(size)
        self.prepare(size)
        replay, outputs = self._graphs[size]
        replay()
        return outputs

    def prepare(self, size: int) -> None:
        """Record a size that has not been recorded yet."""
        if self._memory is not None and size not in self._graphs:
            self._graphs[size] = record(lambda: self.run(size), self._memory)
            self._seen.add(size)
