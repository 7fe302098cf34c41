"""Rotary position angles, in float32 whatever the model's dtype.

In bfloat16 positions above 256 collapse onto each other (8 bits of mantissa), and one picture is at least 421
tokens; that is why nothing here is a buffer that `.to(dtype)` could reach.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Rotary(NamedTuple):
    """Cosines and sines [B, 1, T, R / 2], alike for all heads, float32."""

    cos: Tensor
    sin: Tensor


def rotary_angles(positions: Tensor, width: int, theta: float) -> Rotary:
    """Positions [B, T] (integers) -> angles of the R / 2 frequencies theta^(-2i / R)."""
    angles = positions[..., None].float() * rotary_frequencies(width, theta, positions.device)
    return Rotary(angles.cos()[:, None], angles.sin()[:, None])


def rotary_frequencies(width: int, theta: float, device: torch.device) -> Tensor:
    """Radians per position [R / 2], float32."""
    return 1.0 / theta ** (torch.arange(0, width, 2, dtype=torch.float32, device=device) / width)


def rotate_halves(x: Tensor, rotary: Rotary) -> Tensor:
    """Rotate number i against number i + R / 2, as Llama and DeepSeek-VL2-tiny do. x [B, H, T, R]."""
    first, second = x.float().chunk(2, dim=-1)
    return _rotate(first, second, rotary).to(x.dtype)


def rotate_pairs(x: Tensor, rotary: Rotary) -> Tensor:
    """Rotate neighbours 2i against 2i + 1, as latent attention does. x [B, H, T, R].

    The result holds all first members, then all second ones. Queries and keys are permuted alike, so their products
    are those of the interleaved order, and the official code caches rope keys in this order too.
    """
    first, second = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return _rotate(first, second, rotary).to(x.dtype)


def _rotate(first: Tensor, second: Tensor, rotary: Rotary) -> Tensor:
    cos, sin = rotary
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
