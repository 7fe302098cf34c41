"""Weights of a model without a checkpoint: of a fresh model's spread, for its costs and for training from nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dsvl2_app.model.linear import SCALE
from dsvl2_app.progress import Meter

INT8_SPREAD = 30.0  # of random int8 weights; the largest of some thousand normal numbers is about 4 times that


@torch.no_grad()
def fill_random(model: nn.Module, seed: int = 0, std: float = 0.02) -> None:
    """Random weights of a fresh model's spread, fast: large matrices repeat one block of random numbers, which goes to
    each device once."""
    generator = torch.Generator().manual_seed(seed)
    block = torch.randn(2**20 + 7, generator=generator) * std  # odd length: rows of a matrix differ
    blocks: dict[tuple[torch.device, torch.dtype], Tensor] = {}
    meter = Meter("read", sum(parameter.nbytes for parameter in model.parameters()))
    for name, parameter in model.named_parameters():
        meter.add(parameter.nbytes)
        if "norm" in name and name.endswith("weight"):
            parameter.fill_(1)
        elif name.endswith("bias"):
            parameter.zero_()
        elif name.endswith(SCALE):
            parameter.fill_(std / INT8_SPREAD)
        else:
            key = parameter.device, parameter.dtype
            if key not in blocks:
                numbers = block / std * INT8_SPREAD if parameter.dtype == torch.int8 else block
                blocks[key] = numbers.clamp(-127, 127).to(*key)
            target, source = parameter.view(-1), blocks[key]
            for start in range(0, target.numel(), source.numel()):
                piece = target[start : start + source.numel()]
                piece.copy_(source[: piece.numel()])
