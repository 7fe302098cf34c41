"""Experts kept equally busy by their router's bias alone (auxiliary-loss-free balancing, DeepSeek-V3 paper, 2.1.2)."""

from __future__ import annotations

from functools import partial

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dsvl2_app.model.experts import Router


class RouterBalance:
    """Counts the choices of every router with a bias; `step` raises the bias of idle experts and lowers busy ones'."""

    def __init__(self, model: nn.Module, rate: float = 1e-3) -> None:
        self.rate = rate
        self.counted: list[tuple[nn.Parameter, Tensor]] = []  # every bias with how often each expert was chosen
        for router in model.modules():
            if isinstance(router, Router) and router.bias is not None:
                load = torch.zeros_like(router.bias)
                router.register_forward_hook(partial(_count, load))
                self.counted.append((router.bias, load))

    @torch.no_grad()
    def step(self, accelerator: Accelerator) -> Tensor:
        """Move the biases once; returns the largest share of one expert over the mean, 1 when all are equally busy."""
        busiest = torch.ones(())
        for bias, load in self.counted:
            total = sum_up(accelerator, load)
            bias += self.rate * (total.mean() - total).sign()
            busiest = torch.maximum(busiest.to(total), total.max() / total.mean())
            load.zero_()
        return busiest


def sum_up(accelerator: Accelerator, values: Tensor) -> Tensor:
    """The sum of every process's `values`."""
    return accelerator.reduce(values, "sum")  # pyright: ignore[reportReturnType] - of a tensor it is a tensor


def _count(load: Tensor, _router: nn.Module, _inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    chosen = output[1].flatten()
    load.scatter_add_(0, chosen, torch.ones_like(chosen, dtype=load.dtype))
