"""Several processes that learn as one: the mean of their gradients, in a single exchange at the end of a step.

DistributedDataParallel exchanges pieces while others are still being computed, and walks the whole graph in every step
to find what was not used. For twelve million parameters that costs more time than it hides.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, nn


def sum_up(accelerator: Accelerator, values: Tensor) -> Tensor:
    """The sum of every process's `values`."""
    return accelerator.reduce(values, "sum")  # pyright: ignore[reportReturnType] - of a tensor it is a tensor


def average_gradients(accelerator: Accelerator, parameters: Sequence[nn.Parameter]) -> None:
    """Give each of the parameters the mean of its gradients in all processes; none counts as zero. Every process must
    name the same ones. A single process keeps what it has."""
    if accelerator.num_processes == 1:
        return
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
    total = sum_up(accelerator, torch.cat([gradient.flatten() for gradient in gradients]))
    parts = (total / accelerator.num_processes).split([gradient.numel() for gradient in gradients])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part.view_as(parameter)
