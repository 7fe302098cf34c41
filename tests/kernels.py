"""Which kernel ran: a test of one says its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from dsvl2_app.runtime.cpu.operations import CpuOperations


def watch(operations: CpuOperations) -> list[str]:
    """The kernels that run from now on, in order: by module and name, the plain form as `operations.<name>`."""
    ran: list[str] = []
    choose = operations.choose

    def watched(name: str, *given: Any) -> Callable[..., Tensor]:
        run = choose(name, *given)
        ran.append(f"{run.__module__.rpartition('.')[2]}.{run.__name__}")
        return run

    operations.choose = watched  # type: ignore[method-assign]
    return ran
