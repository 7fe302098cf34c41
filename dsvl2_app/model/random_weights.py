"""Weights of a model without a checkpoint: of a fresh model's spread, for its costs and for training from nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dsvl2_app.model import int4
from dsvl2_app.model.linear import SCALE
from dsvl2_app.progress import Meter

INT8_SPREAD = 30.0  # of random int8 weights; the largest of some thousand normal numbers is about 4 times that
INT4_SPREAD = 3.0  # of random int4 weights; the largest of 32 normal numbers is about 2.3 times that


@torch.no_grad()
def fill_random(model: nn.Module, seed: int = 0, std: float = 0.02) -> None:
    """Random weights of a fresh model's spread, fast: large matrices repeat one block of random numbers, which goes to
    each device once."""
    generator = torch.Generator().manual_seed(seed)
    block = torch.randn(2**20 + 7, generator=generator)  # odd length: rows of a matrix differ
    blocks: dict[tuple[torch.device, torch.dtype], Tensor] = {}
    meter = Meter("read", sum(parameter.nbytes for parameter in model.parameters()))
    for name, parameter in model.named_parameters():
        meter.add(parameter.nbytes)
        if "norm" in name and name.endswith("weight"):
            parameter.fill_(1)
        elif name.endswith("bias"):
            parameter.zero_()
        elif name.endswith(SCALE):
            packed = parameter.dtype == torch.uint8
            scale = torch.tensor(std / (INT4_SPREAD if packed else INT8_SPREAD))
            parameter.fill_((int4.encode_scales(scale) if packed else scale).item())
        else:
            key = parameter.device, parameter.dtype
            if key not in blocks:
                blocks[key] = _draw(block, parameter.dtype, std).to(*key)
            target, source = parameter.view(-1), blocks[key]
            for start in range(0, target.numel(), source.numel()):
                piece = target[start : start + source.numel()]
                piece.copy_(source[: piece.numel()])


def _draw(normal: Tensor, dtype: torch.dtype, std: float) -> Tensor:
    """Normal numbers as weights of that dtype."""
    if dtype == torch.int8:
        return (normal * INT8_SPREAD).clamp(-127, 127)
    if dtype == torch.uint8:
        numbers = (normal * INT4_SPREAD).round().clamp(int4.LEAST, int4.MOST) - int4.LEAST
        return numbers + 16 * numbers.roll(1)
    return normal * std
