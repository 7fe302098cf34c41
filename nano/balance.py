"""Experts kept equally busy by their router's bias alone (auxiliary-loss-free balancing, DeepSeek-V3 paper, 2.1.2)."""

from __future__ import annotations

from functools import partial

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dsvl2_app.model.experts import Router
from nano.sharing import sum_up


class RouterBalance:
    """Counts the choices of every router with a bias; `step` raises the bias of idle experts and lowers busy ones'."""

    def __init__(self, model: nn.Module, rate: float = 1e-3) -> None:
        self.rate = rate
        routers = [module for module in model.modules() if isinstance(module, Router) and module.bias is not None]
        self.biases: list[Tensor] = [router.bias for router in routers if router.bias is not None]
        self.loads = [torch.zeros_like(bias) for bias in self.biases]  # how often each expert was chosen
        for router, load in zip(routers, self.loads, strict=True):
            router.register_forward_hook(partial(_count, load))

    @torch.no_grad()
    def step(self, accelerator: Accelerator) -> Tensor:
        """Move the biases once; returns the largest share of one expert over the mean, 1 when all are equally busy."""
        if not self.biases:
            return torch.ones(())
        totals = sum_up(accelerator, torch.stack(self.loads))  # [routers, experts]
        means = totals.mean(-1, keepdim=True)
        moves = self.rate * (means - totals).sign()
        for bias, move, load in zip(self.biases, moves, self.loads, strict=True):
            bias += move
            load.zero_()
        return (totals.amax(-1) / means.squeeze(-1)).max()


def _count(load: Tensor, _router: nn.Module, _inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    chosen = output[1].flatten()
    load.scatter_add_(0, chosen, torch.ones_like(chosen, dtype=load.dtype))
