"""Activation and rotation of every row on a GPU: the launches of their kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from dsvl2_app.model.rotary import Rotary
from dsvl2_app.runtime.cuda.launcher import Launcher, divide_up, round_up

COLUMNS = 1024  # of a program
NUMBERS = 2048  # of heads, rotated by a program


def swiglu(launcher: Launcher, gate_up: Tensor) -> Tensor:
    """Gates before ups [..., 2 F] -> [..., F]."""
    gate_up = gate_up.contiguous()
    inner = gate_up.shape[-1] // 2
    out = gate_up.new_empty(*gate_up.shape[:-1], inner)
    width = min(COLUMNS, round_up(inner))
    grid = (divide_up(inner, width), out.numel() // inner)
    launcher.launch("swiglu", grid, gate_up, out, F=inner, WIDTH=width)
    return out


def turn(launcher: Launcher, queries: Tensor, keys: Tensor, rotary: Rotary, *, pairs: bool) -> tuple[Tensor, Tensor]:
    """`Operations.rotate_pairs`, else `Operations.rotate_halves`; what comes out lies token by token."""
    batch, heads, tokens, width = queries.shape
    groups = keys.shape[1]
    queries, keys = (part if part.stride(-1) == 1 else part.contiguous() for part in (queries, keys))
    turned = [
        torch.empty(batch, tokens, count, width, dtype=queries.dtype, device=queries.device)
        for count in (heads, groups)
    ]
    cos, sin = (angles.expand(batch, 1, tokens, width // 2).contiguous() for angles in rotary)
    half = round_up(width // 2)
    together = min(round_up(heads + groups), max(1, NUMBERS // half))
    launcher.launch(
        "turn",
        (batch * tokens, divide_up(heads + groups, together)),
        *(queries, keys, cos, sin, *turned, tokens, *queries.stride()[:3], *keys.stride()[:3]),
        H=heads,
        G=groups,
        R=width,
        PAIRS=pairs,
        HEADS=together,
        HALF=half,
    )
    return turned[0].transpose(1, 2), turned[1].transpose(1, 2)
