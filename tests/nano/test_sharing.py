"""Gradients of several processes, which here are threads' worth of numbers in one."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from nano.sharing import average_gradients


class Two:
    """An accelerator of two processes, the other of which has these gradients."""

    num_processes = 2

    def __init__(self, other: Tensor) -> None:
        self.other, self.exchanges = other, 0

    def reduce(self, values: Tensor, reduction: str) -> Tensor:
        assert reduction == "sum"
        self.exchanges += 1
        return values + self.other


def test_each_gradient_is_the_mean_and_a_missing_one_counts_as_zero():
    first, second = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(4))
    first.grad = torch.arange(6.0).view(2, 3)
    accelerator = Two(torch.arange(10.0))
    average_gradients(cast(Any, accelerator), [first, second])
    assert torch.equal(first.grad, torch.arange(6.0).view(2, 3))
    assert second.grad is not None and torch.equal(second.grad, torch.arange(6.0, 10.0) / 2)
    assert accelerator.exchanges == 1


def test_one_process_keeps_what_it_has():
    alone = Two(torch.zeros(0))
    alone.num_processes = 1
    parameter = nn.Parameter(torch.zeros(2))
    average_gradients(cast(Any, alone), [parameter])
    assert parameter.grad is None and alone.exchanges == 0
