"""Weights of four bits, two to a byte, with a scale of eight bits for every 32 inputs of an output.

Weight [F, D] is `number * scale`, numbers from -8 to 7. Byte i of every 64 inputs holds number i in its low half and
number 32 + i in its high half, each plus 8; of fewer inputs at the end of a row likewise, one half of them and the
other. So a row of D inputs, an even number, is D / 2 bytes. A scale has five bits of exponent and three of fraction and
no sign, so that a weight has eight significant bits at most: it is exact in bfloat16, and no kernel rounds it.
"""

from __future__ import annotations

import torch
from torch import Tensor

GROUP = 32  # inputs that share a scale
UNIT = 64  # inputs that are packed together
LEAST, MOST = -8, 7
EXPONENT = 103 << 3  # code 0 is the scale 2^(103 - 127)
FRACTION = 20  # bits of a float32 that a scale has not
TRIED = 5  # codes of a scale, from a sixth of the largest number down; a code less is 9 % smaller
AT_ONCE = 2**18  # numbers that are quantised together, which caches hold


def inputs_of(weight: Tensor) -> int:
    """D of a weight [..., F, D] in any format."""
    return weight.shape[-1] * (2 if weight.dtype == torch.uint8 else 1)


def empty(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Room for `quantise(weight)`."""
    *rows, inputs = weight.shape
    sizes = inputs // 2, -(-inputs // GROUP)
    numbers, codes = (torch.empty(*rows, size, dtype=torch.uint8, device=weight.device) for size in sizes)
    return numbers, codes


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [..., F, D], D even -> uint8 numbers [..., F, D / 2] and codes of scales [..., F, D / 32], rounded up. Of
    each group's scale it tries a few and takes that of the least square error."""
    rows = weight.reshape(-1, weight.shape[-1])
    pieces = [_quantise(piece) for piece in rows.split(max(1, AT_ONCE // rows.shape[-1]))]
    numbers, codes = (torch.cat(parts).unflatten(0, weight.shape[:-1]) for parts in zip(*pieces, strict=True))
    return numbers, codes


def dequantise(numbers: Tensor, codes: Tensor, dtype: torch.dtype) -> Tensor:
    """Numbers [..., F, D / 2] and codes of their scales -> weight [..., F, D], exactly, in a format of at least eight
    significant bits."""
    inputs = inputs_of(numbers)
    whole = inputs // UNIT * UNIT
    units = numbers[..., : whole // 2].unflatten(-1, (-1, UNIT // 2)) if whole else numbers[..., None, :0]
    rest = numbers[..., None, whole // 2 :]
    parts = [torch.cat((part & 15, part >> 4), dim=-1).flatten(-2) for part in (units, rest)]
    scales = decode_scales(codes).to(dtype).repeat_interleave(GROUP, dim=-1)[..., :inputs]
    return torch.cat(parts, dim=-1).to(dtype).add_(LEAST).mul_(scales)


def decode_scales(codes: Tensor) -> Tensor:
    """float32 scales of codes."""
    return ((codes.int() + EXPONENT) << FRACTION).view(torch.float32)


def encode_scales(scales: Tensor) -> Tensor:
    """Codes [int32] of the largest scales that are not above these, float32."""
    return ((scales.view(torch.int32) >> FRACTION) - EXPONENT).clamp_(0, 255)


def _quantise(rows: Tensor) -> tuple[Tensor, Tensor]:
    inputs = rows.shape[-1]
    groups = torch.nn.functional.pad(rows.float(), (0, -inputs % GROUP)).unflatten(-1, (-1, GROUP))
    codes = _choose_codes(groups)
    numbers = _round(groups, decode_scales(codes)[..., None]).flatten(-2)[..., :inputs]
    return _pack((numbers - LEAST).to(torch.uint8)), codes.to(torch.uint8)


def _choose_codes(groups: Tensor) -> Tensor:
    highest = encode_scales(groups.abs().amax(-1) / 6)
    best, least = highest, torch.full_like(groups[..., 0], torch.inf)
    for lower in range(TRIED):
        codes = (highest - lower).clamp_(min=0)
        scales = decode_scales(codes)[..., None]
        error = (_round(groups, scales).mul_(scales)).sub_(groups).square_().sum(-1)
        best, least = torch.where(error < least, codes, best), torch.minimum(error, least)
    return best


def _round(groups: Tensor, scales: Tensor) -> Tensor:
    return (groups / scales).round_().clamp_(LEAST, MOST)


def _pack(numbers: Tensor) -> Tensor:
    """uint8 numbers [R, D] from 0 to 15 -> [R, D / 2]."""
    inputs = numbers.shape[-1]
    whole = inputs // UNIT * UNIT
    units, rest = numbers[:, :whole].unflatten(-1, (-1, UNIT)), numbers[:, None, whole:]
    halves = [part.unflatten(-1, (2, -1)) if part.numel() else part[..., None, :] for part in (units, rest)]
    return torch.cat([(half[..., 0, :] | half[..., -1, :] << 4).flatten(1) for half in halves], dim=-1)
