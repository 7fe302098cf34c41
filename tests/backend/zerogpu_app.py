"""`python zerogpu_app.py FLAGS`: app.py as on ZeroGPU, on a machine without a GPU and with a torch that knows none.

`spaces` runs as it does there: it emulates "cuda" while the model is loaded, packs the weights into a file, asks the
device API, forks a process for the calls, unpacks the weights in it, and hands over what the call yields. Only where it
would touch a GPU, memory of this machine takes its place: when the process opens the GPU (`spaces.zero.torch.init`),
and as the target of the weights (`torch.Tensor.cuda`, `pin_memory`, and what `packing` makes on "cuda").
"""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))


def is_in_bad_fork() -> bool:
    return False


# What a torch built for GPUs has, and `spaces` reads, calls in another process, or replaces.
torch.version.cuda = "13.0"
torch.cuda._is_in_bad_fork = is_in_bad_fork
torch._C._cuda_init = lambda: None


def open_gpu(uuid: str) -> None:
    """In the forked process, once torch is itself again."""
    os.environ["CUDA_VISIBLE_DEVICES"] = uuid
    torch.set_num_threads(1)
    torch.Tensor.cuda = lambda self, **_: self.clone()  # type: ignore[method-assign]
    torch.Tensor.pin_memory = copy_to_pages  # type: ignore[method-assign]
    torch.cuda.synchronize = lambda *_: None


def copy_to_pages(tensor: torch.Tensor) -> torch.Tensor:
    """Where a page begins, as pinned memory does: files are read into it past the kernel's cache."""
    pages = torch.frombuffer(mmap.mmap(-1, tensor.nbytes), dtype=tensor.dtype)
    return pages.view(tensor.shape).copy_(tensor)


class OnThisMachine:
    """torch, but what it makes on "cuda" is in memory."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def tensor(self, data: Any, *, dtype: torch.dtype, device: str) -> torch.Tensor:
        return torch.tensor(data, dtype=dtype)

    def empty(self, size: int, *, dtype: torch.dtype, device: str) -> torch.Tensor:
        return torch.empty(size, dtype=dtype)


def pretend() -> None:
    import spaces.zero.torch as on_zero
    from spaces.zero.torch import packing

    on_zero.init = open_gpu
    packing.torch = OnThisMachine()


if __name__ == "__main__":
    import spaces  # noqa: F401

    pretend()
    import app

    sys.exit(app.main(sys.argv[1:]))
