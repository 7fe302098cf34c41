"""Experts kept equally busy by their router's bias alone (auxiliary-loss-free balancing, DeepSeek-V3 paper, 2.1.2)."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from dsvl2_app.model.experts import Router


class RouterBalance:
    """Counts the choices of every router with a bias; `step` raises the bias of idle experts and lowers busy ones'."""

    def __init__(self, model: nn.Module, rate: float = 1e-3) -> None:
        self.rate = rate
        self.routers = [module for module in model.modules() if isinstance(module, Router) and module.bias is not None]
        self.loads = [torch.zeros_like(router.bias) for router in self.routers]
        for router, load in zip(self.routers, self.loads, strict=True):
            router.register_forward_hook(lambda _router, _inputs, output, load=load: _count(output[1], load))

    @torch.no_grad()
    def step(self, accelerator: Accelerator) -> Tensor:
        """Move the biases once; returns the largest share of one expert over the mean, 1 when all are equally busy."""
        busiest = torch.ones(())
        for router, load in zip(self.routers, self.loads, strict=True):
            total = accelerator.reduce(load, "sum")
            router.bias += self.rate * (total.mean() - total).sign()
            busiest = torch.maximum(busiest.to(total), total.max() / total.mean())
            load.zero_()
        return busiest


def _count(experts: Tensor, load: Tensor) -> None:
    chosen = experts.flatten()
    load.scatter_add_(0, chosen, torch.ones_like(chosen, dtype=load.dtype))
