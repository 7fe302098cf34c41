"""A layer's second half for one token of each of B conversations: the launches of its kernels.

D decoder width, E routed experts, K active ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dsvl2_app.model.attention import RMSNorm
from dsvl2_app.model.decoder import DecoderLayer
from dsvl2_app.model.experts import MLP, Router
from dsvl2_app.model.linear import Linear
from dsvl2_app.runtime.cuda.launcher import (
    MATRIX_OUTPUTS,
    MATRIX_ROWS,
    Launcher,
    cut_one,
    cut_rows,
    divide_up,
    round_up,
)

INNER = 2048  # width of an expert, and of the parts that a dense layer is cut into, at most
PAIRS = 256  # of rows and experts, sorted at once
JOINED = 512  # columns of a program that sums what experts made


@dataclass(frozen=True, slots=True)
class MlpWeights:
    """The weights of a layer's second half; a dense layer is one shared expert and none to choose from."""

    norm: RMSNorm
    router: Router | None
    enter: tuple[Tensor, ...]  # gate and up: the stack of routed experts, its scale, and the same of shared ones
    leave: tuple[Tensor, ...]  # down, likewise
    inner: int  # width of an expert
    active: int
    parts: int  # of that width, of the shared ones

    @classmethod
    def of(cls, layer: DecoderLayer) -> MlpWeights:
        block = layer.mlp
        if isinstance(block, MLP):
            router, routed, shared, active, (inner, parts) = None, block, block, 0, cut(block.down.in_features)
        else:
            router, routed, shared = block.router, block.experts, block.shared_experts or block.experts
            active, inner = router.active, routed.down.shape[2]
            parts = 0 if block.shared_experts is None else block.shared_experts.down.in_features // inner
        enter, leave = ((*_find(routed, name), *_find(shared, name)) for name in ("gate_up", "down"))
        return cls(layer.post_attention_layernorm, router, enter, leave, inner, active, parts)

    @property
    def slots(self) -> int:
        """Experts that a row passes through."""
        return self.active + self.parts

    @property
    def scaled(self) -> bool:
        return self.leave[0].dtype == torch.int8


class FusedExperts:
    """Hidden [B, D] plus the output of a layer's MLP or experts."""

    def __init__(self, launcher: Launcher, arrivals: Tensor, unread: Tensor) -> None:
        """`arrivals` are zeros; `unread` stands in for what a kernel gets and does not read."""
        self.launcher, self.arrivals, self.unread = launcher, arrivals, unread

    def __call__(self, layer: DecoderLayer, hidden: Tensor) -> Tensor:
        run = self._run_one if len(hidden) == 1 else self._run_rows
        return run(MlpWeights.of(layer), hidden)

    def _run_one(self, block: MlpWeights, hidden: Tensor) -> Tensor:
        """Hidden [1, D] plus the block's output."""
        width = hidden.shape[1]
        experts, weights = self.arrivals, self.unread  # stand in for a choice that nobody makes
        if block.router is not None:
            experts, weights = self._route(block.router, block.norm, hidden)
        middle = torch.empty(block.slots, block.inner, dtype=hidden.dtype, device=hidden.device)
        out = torch.empty_like(hidden)
        constants = dict(D=width, I=block.inner, N=block.parts, SCALED=block.scaled)
        shape = cut_one("enter_experts", width, block.enter[0], matrices=2)
        self.launcher.launch(
            "enter_experts",
            (divide_up(block.inner, shape["OUTPUTS"]), block.slots),
            *(hidden, block.norm.weight, experts, *block.enter, middle, block.norm.eps),
            **constants,
            **shape,
        )
        shape = cut_one("leave_experts", block.inner, block.leave[0], matrices=block.slots)
        self.launcher.launch(
            "leave_experts",
            (divide_up(width, shape["OUTPUTS"]),),
            *(middle, experts, weights, *block.leave, hidden, out),
            K=block.active,
            SLOTS=round_up(block.slots),
            **constants,
            **shape,
        )
        return out

    def _run_rows(self, block: MlpWeights, hidden: Tensor) -> Tensor:
        """Hidden [B, D] plus the block's output."""
        batch, width = hidden.shape
        count, order, starts, weights = 0, self.arrivals, self.arrivals, self.unread
        if block.router is not None:
            count = len(block.router.weight)
            order, starts, weights = self._choose(block.router, block.norm, hidden)
        rows = batch * block.slots
        middle = torch.empty(rows, block.inner, dtype=hidden.dtype, device=hidden.device)
        outputs = torch.empty(rows, width, dtype=hidden.dtype, device=hidden.device)
        for entering, sources, matrices, targets in (
            (True, hidden, block.enter, middle),
            (False, middle, block.leave, outputs),
        ):
            self.launcher.launch(
                "multiply_groups",
                (divide_up(targets.shape[1], MATRIX_OUTPUTS), count + block.parts),
                *(sources, block.norm.weight, order, starts, *matrices, targets, block.norm.eps),
                B=batch,
                D=sources.shape[1],
                F=targets.shape[1],
                E=count,
                K=block.active,
                N=block.parts,
                ENTER=entering,
                SCALED=block.scaled,
                R=MATRIX_ROWS,
                **cut_rows(sources.shape[1]),
            )
        return self._join(block, outputs, weights, hidden)

    def _join(self, block: MlpWeights, outputs: Tensor, weights: Tensor, hidden: Tensor) -> Tensor:
        """Weighted sums of `outputs` [B * slots, D], and hidden [B, D]."""
        (batch, width), out = hidden.shape, torch.empty_like(hidden)
        self.launcher.launch(
            "join_experts",
            (divide_up(width, JOINED), batch),
            *(outputs, weights, hidden, out),
            B=batch,
            D=width,
            K=block.active,
            N=block.parts,
            WIDTH=JOINED,
        )
        return out

    def _route(self, router: Router, norm: RMSNorm, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Experts [K] int32 of a single row, and their weights [K] float32."""
        width, count = hidden.shape[1], len(router.weight)
        logits, weights = (hidden.new_empty(size, dtype=torch.float32) for size in (count, router.active))
        experts = hidden.new_empty(router.active, dtype=torch.int32)
        shape = cut_one("route", width, router.weight)
        self.launcher.launch(
            "route",
            (divide_up(count, shape["OUTPUTS"]),),
            *(hidden, norm.weight, router.weight, logits if router.bias is None else router.bias, logits),
            *(experts, weights, self.arrivals, norm.eps, router.scaling),
            D=width,
            **_describe(router),
            **shape,
        )
        return experts, weights

    def _choose(self, router: Router, norm: RMSNorm, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pairs [B * K] of rows and experts, by expert; where those of each expert begin [E + 1]; and the weights of
        pairs [B * K], by row."""
        batch, count = len(hidden), len(router.weight)
        pairs = batch * router.active
        logits = self.launcher.project(hidden, router.weight, norm=norm, dtype=torch.float32)
        experts, order, starts = (hidden.new_empty(size, dtype=torch.int32) for size in (pairs, pairs, count + 1))
        weights = hidden.new_empty(pairs, dtype=torch.float32)
        self.launcher.launch(
            "choose_experts",
            (batch,),
            *(logits, logits if router.bias is None else router.bias, experts, weights, order, starts, self.arrivals),
            router.scaling,
            B=batch,
            PAIRS_WIDE=max(PAIRS, round_up(pairs)),
            **_describe(router),
        )
        return order, starts, weights


def _describe(router: Router) -> dict[str, Any]:
    count = len(router.weight)
    return dict(
        E=count,
        K=router.active,
        E_WIDE=round_up(count),
        SIGMOID=router.sigmoid,
        BIASED=router.bias is not None,
        NORMALISE=router.normalise,
    )


def cut(inner: int) -> tuple[int, int]:
    """Width and number of the equal parts that a dense layer is cut into."""
    parts = next(parts for parts in range(1, inner + 1) if inner % parts == 0 and inner // parts <= INNER)
    return inner // parts, parts


def _find(module: nn.Module, name: str) -> tuple[Tensor, Tensor]:
    """The weight `name` and its scale; where it has none, something that is never read stands in for it."""
    owner = getattr(module, name)
    if isinstance(owner, Linear):
        weight, scale = owner.weight, owner.weight_scale
    else:
        weight, scale = owner, getattr(module, f"{name}_scale")
    return weight, weight if scale is None else scale
