"""Operations on a CPU: for each an ordered choice of kernels, and plain torch where none takes what is given.

One token passes every active weight once, so decode is as fast as memory is read; torch's matrix products reach a third
to a half of that for a handful of rows, the compiled ones (csrc/matrices.h) all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from dsvl2_app.model.operations import Operations, Stack
from dsvl2_app.model.rotary import Rotary
from dsvl2_app.runtime.cpu import blocks
from dsvl2_app.runtime.cpu.library import Library
from dsvl2_app.runtime.cpu.prefill import ManyTokens
from dsvl2_app.runtime.cpu.products import FewRows
from dsvl2_app.runtime.cpu.rows import Rows
from dsvl2_app.runtime.cpu.tiles import Tiles


class Kernel(NamedTuple):
    """One way to do an operation. Both take what the operation takes."""

    supports: Callable[..., bool]
    run: Callable[..., Any]


class CpuOperations(Operations):
    """Each operation runs the first of its `kernels` that supports what is given."""

    int4_at_once = blocks.INT4_AT_ONCE

    def __init__(self, library: Library | None = None) -> None:
        self.library: Library | None = None
        self.kernels: dict[str, tuple[Kernel, ...]] = {
            "linear": (),
            "linear_each": (),
            "run_experts": (),
            "linear_bias": (),
            "rms_norm": (),
            "layer_norm": (),
            "rotate_halves": (),
            "rotate_pairs": (),
            "feed_forward": (),
            "linear_gelu": (Kernel(blocks.supports_gelu, blocks.linear_gelu),),
            "attend": (Kernel(blocks.supports_causal, blocks.attend),),
            "attend_all": (Kernel(blocks.supports, blocks.attend_all),),
        }
        if library is not None:
            self.install(library)

    def install(self, library: Library) -> None:
        """Put its kernels before the others: from the next call of an operation on, in whichever thread."""
        rows, tokens, tiles = FewRows(library), ManyTokens(library), Tiles(library)
        each = Rows(library)
        added = {
            "rms_norm": (Kernel(each.supports_norm, each.rms_norm),),
            "layer_norm": (Kernel(each.supports_norm, each.layer_norm),),
            "rotate_halves": (Kernel(each.supports_rotation, each.rotate_halves),),
            "rotate_pairs": (Kernel(each.supports_rotation, each.rotate_pairs),),
            "linear": (Kernel(rows.supports, rows.linear), Kernel(tiles.supports_linear, tiles.linear)),
            "linear_bias": (Kernel(tiles.supports_bias, tiles.linear_bias),),
            "linear_gelu": (Kernel(tiles.supports_bias, tiles.linear_gelu),),
            "linear_each": (Kernel(rows.supports_each, rows.linear_each),),
            "run_experts": (
                Kernel(rows.supports_experts, self.gather_experts),
                Kernel(tiles.supports_experts, tiles.run_experts),
                Kernel(tokens.supports_experts, tokens.run_experts),
            ),
            "feed_forward": (Kernel(tiles.supports_feed_forward, tiles.feed_forward),),
            "attend": tuple(Kernel(kind.supports_causal, kind.attend_causal) for kind in (tiles, tokens)),
            "attend_all": tuple(Kernel(kind.supports, kind.attend_all) for kind in (tiles, tokens)),
        }
        self.kernels = {name: (*added.get(name, ()), *known) for name, known in self.kernels.items()}
        self.library = library

    def choose(self, name: str, *given: Any) -> Callable[..., Any]:
        """What an operation runs for these arguments."""
        for kernel in self.kernels[name]:
            if kernel.supports(*given):
                return kernel.run
        return getattr(super(), name)

    def linear(self, rows: Tensor, weight: Tensor, scale: Tensor | None = None) -> Tensor:
        return self.choose("linear", rows, weight, scale)(rows, weight, scale)

    def rms_norm(self, hidden: Tensor, weight: Tensor, eps: float) -> Tensor:
        return self.choose("rms_norm", hidden, weight, eps)(hidden, weight, eps)

    def layer_norm(self, hidden: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        return self.choose("layer_norm", hidden, weight, bias, eps)(hidden, weight, bias, eps)

    def rotate_halves(self, queries: Tensor, keys: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor]:
        return self.choose("rotate_halves", queries, keys, rotary)(queries, keys, rotary)

    def rotate_pairs(self, queries: Tensor, keys: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor]:
        return self.choose("rotate_pairs", queries, keys, rotary)(queries, keys, rotary)

    def linear_bias(self, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return self.choose("linear_bias", rows, weight, bias)(rows, weight, bias)

    def feed_forward(self, hidden: Tensor, gate_up: Stack, down: Stack) -> Tensor:
        return self.choose("feed_forward", hidden, gate_up, down)(hidden, gate_up, down)

    def linear_gelu(self, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return self.choose("linear_gelu", rows, weight, bias)(rows, weight, bias)

    def linear_each(self, rows: Tensor, weights: Tensor, scales: Tensor | None, experts: Tensor) -> Tensor:
        return self.choose("linear_each", rows, weights, scales, experts)(rows, weights, scales, experts)

    def run_experts(self, hidden: Tensor, weights: Tensor, experts: Tensor, gate_up: Stack, down: Stack) -> Tensor:
        given = hidden, weights, experts, gate_up, down
        return self.choose("run_experts", *given)(*given)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float) -> Tensor:
        return self.choose("attend", queries, keys, values, mask, scale)(queries, keys, values, mask, scale)

    def attend_all(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return self.choose("attend_all", queries, keys, values)(queries, keys, values)

    def __reduce__(self) -> tuple[type[Operations], tuple[()]]:
        """A copy of a model belongs to no runner: its layers are plain."""
        return Operations, ()
