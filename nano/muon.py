"""Muon for matrices, Adam for the rest, in one optimizer.

Muon (Jordan 2024; scaling after Moonlight, arXiv 2502.16982) replaces the momentum of a weight matrix by the nearest
orthogonal matrix, so that every direction learns at one pace. Here it made a model that starts from nothing see within
minutes. Matrices of one shape, the experts' stacks among them, are orthogonalised together.
"""

# pyright: reportPrivateImportUsage=false
# torch._foreach_ changes many tensors in a few launches, as torch's own optimizers do.

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """`matrices` [..., rows, columns] learn by Muon, `others` (embeddings, head, norms) by Adam."""

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Iterable[nn.Parameter],
        lr: float = 3e-3,
        other_lr: float = 1.5e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.05,
        betas: tuple[float, float] = (0.9, 0.95),
    ) -> None:
        groups = [
            {"params": list(matrices), "lr": lr, "muon": True},
            {"params": list(others), "lr": other_lr, "muon": False},
        ]
        super().__init__(groups, {"momentum": momentum, "weight_decay": weight_decay, "betas": betas, "eps": 1e-8})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            gradients = [parameter.grad for parameter in parameters]
            if group["muon"]:
                self._step_muon(parameters, gradients, group)
            else:
                self._step_adam(parameters, gradients, group)

    def _step_muon(self, parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        shapes: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            shapes[tuple(parameter.shape[-2:])].append((parameter, gradient))
        for shape, alike in shapes.items():
            members, slopes = [parameter for parameter, _ in alike], [gradient for _, gradient in alike]
            for parameter in members:
                if not self.state[parameter]:
                    self.state[parameter]["momentum"] = torch.zeros_like(parameter)
            momenta = [self.state[parameter]["momentum"] for parameter in members]
            torch._foreach_lerp_(momenta, slopes, 1 - group["momentum"])
            updates = [each.reshape(-1, *shape) for each in torch._foreach_lerp(slopes, momenta, group["momentum"])]
            orthogonal = orthogonalise(torch.cat(updates)).float().split([len(update) for update in updates])
            # 0.2 * sqrt(larger side) gives the updates the size that AdamW's have
            rate = group["lr"] * 0.2 * max(shape) ** 0.5
            torch._foreach_mul_(members, 1 - group["lr"] * group["weight_decay"])
            changes = [update.view_as(parameter) for update, parameter in zip(orthogonal, members, strict=True)]
            torch._foreach_add_(members, changes, alpha=-rate)

    def _step_adam(self, parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        if not parameters:
            return
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter].update(
                    step=torch.zeros(()),  # on the CPU: Adam reads it in every step
                    mean=torch.zeros_like(parameter),
                    square=torch.zeros_like(parameter),
                )
        states = [self.state[parameter] for parameter in parameters]
        adam(
            parameters,
            gradients,
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["step"] for state in states],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=0.0,
            eps=group["eps"],
            maximize=False,
            foreach=True,
        )


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Nearest orthogonal matrices [N, rows, columns], about, by Newton-Schulz iteration in bfloat16."""
    a, b, c = NEWTON_SCHULZ
    x = matrices.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
