"""Experts of a prompt on a GPU: the launches of their kernels. Nothing waits for the CPU to know how many tokens an
expert has: there are programs for as many blocks of rows as there can be, and those left over end at once.

T tokens, K active experts, P = T * K pairs, E experts, D decoder width, F width of an expert.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dsvl2_app.model.operations import Stack
from dsvl2_app.runtime.cuda.launcher import Launcher, divide_up, has_shared, round_up

PAIRS = 256  # sorted by a program
SUMMED = 512  # columns of a program that sums what experts made
# What a program multiplies, by how many pairs an expert has on average: fastest on an H200 for tiny, small and base.
FEW, MANY = 64, 128  # rows
OUTPUTS = {FEW: 64, MANY: 128}
WARPS = {FEW: 4, MANY: 8}
WIDTH = 64
ENTER_STAGES, LEAVE_STAGES = 4, 3  # of the pipeline that loads tiles, where a program may have so much shared memory
SHARED_BYTES = 200_000


def run_groups(
    launcher: Launcher, hidden: Tensor, weights: Tensor, experts: Tensor, gate_up: Stack, down: Stack
) -> Tensor:
    """`Operations.run_experts` of rows and weights in bfloat16, or of int8 weights."""
    (count, inner), width, active = down[0].shape[::2], hidden.shape[1], experts.shape[1]
    order, starts = sort_pairs(launcher, experts, count)
    pairs = len(order)
    rows = FEW if pairs <= FEW * count else MANY
    channels, blocks = OUTPUTS[rows], divide_up(pairs, rows) + count
    shape = dict(E=count, E_WIDE=round_up(count), ROWS=rows, OUTPUTS=channels, WIDTH=WIDTH, num_warps=WARPS[rows])
    constants: dict[str, Any] = {**shape, "SCALED": gate_up[1] is not None}
    middle = torch.empty(pairs, inner, dtype=hidden.dtype, device=hidden.device)
    launcher.launch(
        "enter_groups",
        (divide_up(inner, channels), blocks),
        *(hidden.contiguous(), order, starts, *_with_scale(gate_up), middle),
        D=width,
        F=inner,
        K=active,
        num_stages=limit_stages(ENTER_STAGES, hidden.device),
        **constants,
    )
    outputs = torch.empty(pairs, width, dtype=hidden.dtype, device=hidden.device)
    launcher.launch(
        "leave_groups",
        (divide_up(width, channels), blocks),
        *(middle, order, starts, *_with_scale(down), outputs),
        D=inner,
        F=width,
        num_stages=limit_stages(LEAVE_STAGES, hidden.device),
        **constants,
    )
    return sum_pairs(launcher, outputs, weights)


def sum_pairs(launcher: Launcher, outputs: Tensor, weights: Tensor) -> Tensor:
    """What the experts of each token made [P, D], weighed by [T, K] -> [T, D]."""
    (tokens, active), width = weights.shape, outputs.shape[1]
    out = torch.empty(tokens, width, dtype=outputs.dtype, device=outputs.device)
    grid = (divide_up(width, SUMMED), tokens)
    launcher.launch("sum_pairs", grid, outputs, weights.contiguous(), out, D=width, K=active, WIDTH=SUMMED)
    return out


def sort_pairs(launcher: Launcher, experts: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Experts [T, K] -> pairs [P] by expert, and where those of each begin [E + 1]; both int32."""
    experts = experts.contiguous()
    pairs = experts.numel()
    counts = torch.zeros(2, count, dtype=torch.int32, device=experts.device)
    order, starts = (torch.empty(size, dtype=torch.int32, device=experts.device) for size in (pairs, count + 1))
    grid = (divide_up(pairs, PAIRS),)
    launcher.launch("count_pairs", grid, experts, counts, pairs, E=count, PAIRS=PAIRS)
    constants = dict(E=count, E_WIDE=round_up(count), PAIRS=PAIRS)
    launcher.launch("place_pairs", grid, experts, counts, order, starts, pairs, **constants)
    return order, starts


def choose_each(
    launcher: Launcher, logits: Tensor, bias: Tensor | None, active: int, scaling: float, **how: bool
) -> tuple[Tensor, Tensor]:
    """`Operations.choose_experts` of a router's logits [T, E] float32; `how` are `sigmoid` and `normalise`."""
    tokens, count = logits.shape
    experts = torch.empty(tokens, active, dtype=torch.long, device=logits.device)
    weights = torch.empty(tokens, active, dtype=torch.float32, device=logits.device)
    launcher.launch(
        "choose_each",
        (tokens,),
        *(logits, logits if bias is None else bias, experts, weights, scaling),
        E=count,
        K=active,
        E_WIDE=round_up(count),
        BIASED=bias is not None,
        SIGMOID=how["sigmoid"],
        NORMALISE=how["normalise"],
    )
    return weights, experts


def limit_stages(stages: int, device: torch.device) -> int:
    """At most what a program has room for."""
    return stages if has_shared(device, SHARED_BYTES) else 2


def _with_scale(stack: Stack) -> tuple[Tensor, Tensor]:
    """The weights and their scales; where there are none, something that is never read stands in for them."""
    weights, scales = stack
    return weights, weights if scales is None else scales
