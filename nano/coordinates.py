"""Numbers as places on a line: what lets 1000 number tokens be learnt as coordinates from few boxes.

Neighbouring numbers get neighbouring embeddings through a smooth basis, and a box corner's target is a bell curve over
the numbers around it. Both exist in training only; `fold` gives the state of an ordinary checkpoint.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

NUMBERS = 1000
FREQUENCIES = 64


class SmoothRows(nn.Module):
    """Adds a smooth curve over the numbers to their rows: rows[n] += sum_k cos(pi k (n + 1/2) / 1000) c_k."""

    number_ids: Tensor
    basis: Tensor

    def __init__(self, number_ids: list[int], width: int, spread: float) -> None:
        super().__init__()
        places = (torch.arange(NUMBERS) + 0.5) / NUMBERS
        frequencies = torch.arange(FREQUENCIES)
        # larger coefficients for lower frequencies, so that coarse places are learnt first
        basis = (math.pi * places[:, None] * frequencies).cos() / (1 + frequencies).sqrt()
        self.register_buffer("number_ids", torch.tensor(number_ids), persistent=False)
        self.register_buffer("basis", basis, persistent=False)
        self.coefficients = nn.Parameter(torch.randn(FREQUENCIES, width) * spread)

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            return weight.index_add(0, self.number_ids, self.basis @ self.coefficients)


def smooth(module: nn.Embedding | nn.Linear, number_ids: list[int], spread: float) -> None:
    """Give the number rows of an embedding or output layer the smooth basis; `spread` of its first coefficients."""
    parametrize.register_parametrization(module, "weight", SmoothRows(number_ids, module.weight.shape[1], spread))


def fold(model: nn.Module) -> dict[str, Tensor]:
    """The state of `model` with its smooth rows written out, as an ordinary model loads it."""
    state = {name: value for name, value in model.state_dict().items() if "parametrizations." not in name}
    smoothed = [each for each in model.named_modules() if isinstance(each[1], parametrize.ParametrizationList)]
    return state | {name.replace("parametrizations.", ""): rows().detach() for name, rows in smoothed}


def bell_loss(log_probabilities: Tensor, numbers: Tensor, sigma: float) -> Tensor:
    """Cross entropy [A] of log probabilities [A, 1000] of the numbers against bell curves around `numbers` [A]."""
    distance = torch.arange(NUMBERS, device=numbers.device) - numbers[:, None]
    target = (-0.5 * (distance / sigma).square()).softmax(-1)
    return -(target * log_probabilities).sum(-1)
