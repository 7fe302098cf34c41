"""What layers ask for where the choice of a kernel decides speed, in plain torch: products with weights, attention,
and experts.

A layer calls its `operations`. Unless a runner gave it others, these are `Operations`, which run anywhere, have
gradients, and are what all others are compared with.
Shapes: T tokens, D and F widths, E experts, K chosen ones per token, P pairs of a token and an expert; B batch,
H heads, G groups of keys, S tokens so far. int8 weights come with a float32 scale per output channel:
`weight[f, d] * scale[f]`. int4 weights are packed in uint8 [F, D / 2] and come with codes of their scales (`int4`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right

from dsvl2_app.model import int4
from dsvl2_app.model.rotary import Rotary, rotate_halves, rotate_pairs

FEW_TOKENS = 4  # up to here one product per (token, expert) pair is sooner done than pairs are sorted

Stack = tuple[Tensor, "Tensor | None"]  # weights [E, F, D] and, where they are int8 or int4, their scales


class Operations:
    """The plain form of every operation. A subclass overrides what its device does faster."""

    int4_at_once: int | None = None  # weights that `linear` makes wide together; None: all of a matrix

    # -- matrices ---------------------------------------------------------------------------------------------------

    def linear(self, rows: Tensor, weight: Tensor, scale: Tensor | None = None) -> Tensor:
        """Rows [..., D] times weight [F, D] -> [..., F]."""
        most = max(1, self.int4_at_once // int4.inputs_of(weight)) if self.int4_at_once else len(weight)
        if scale is None or weight.dtype != torch.uint8 or len(weight) <= most:
            return multiply(rows, weight, scale)
        pieces = zip(weight.split(most), scale.split(most), strict=True)
        return torch.cat([multiply(rows, *piece) for piece in pieces], dim=-1)

    def linear_bias(self, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Rows [..., D] times weight [F, D] plus bias [F] -> [..., F]."""
        return F.linear(rows, weight, bias)

    def linear_gelu(self, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """GELU (tanh) of a linear layer."""
        return F.gelu(F.linear(rows, weight, bias), approximate="tanh")

    def linear_each(self, rows: Tensor, weights: Tensor, scales: Tensor | None, experts: Tensor) -> Tensor:
        """Pair p multiplies row `p // pairs_per_row` of rows [P / pairs_per_row, D] with weights[experts[p]]
        [E, F, D] -> [P, F]."""
        rows = rows.repeat_interleave(experts.shape[0] // rows.shape[0], dim=0)
        if rows.is_cpu:  # with a number a stack gives a view, not a copy
            each = zip(rows.split(1), experts.tolist(), strict=True)
            return torch.cat([multiply(row, weights[e], _of(scales, e)) for row, e in each])
        # Numbers would have to be waited for, and could not be recorded in a graph.
        weights, scales = widen(weights[experts], _of(scales, experts), rows.dtype)
        products = torch.einsum("pd,pfd->pf", rows, weights)
        return products if scales is None else (products * scales).to(rows.dtype)

    def linear_groups(self, rows: Tensor, weights: Tensor, scales: Tensor | None, counts: Tensor) -> Tensor:
        """Rows [P, D] sorted by expert, `counts[e]` of them for weights[e] [E, F, D] -> [P, F]. In bfloat16 on a GPU
        one grouped product, for which the CPU need not know how many rows each expert has."""
        if rows.is_cuda and torch.is_autocast_enabled("cuda"):  # which does not know grouped_mm
            rows = rows.bfloat16()
        if rows.is_cuda and rows.dtype == torch.bfloat16 and hasattr(F, "grouped_mm"):
            ends = counts.cumsum(0)
            weights, scales = widen(weights, scales, rows.dtype)
            products = F.grouped_mm(rows, weights.mT, offs=ends.to(torch.int32))
            if scales is None:
                return products
            experts = torch.searchsorted(ends, torch.arange(len(rows), device=rows.device), right=True)
            return (products * scales[experts]).to(rows.dtype)
        groups = enumerate(rows.split(counts.tolist()))
        return torch.cat([multiply(group, weights[e], _of(scales, e)) for e, group in groups])

    # -- norms and positions ----------------------------------------------------------------------------------------

    def rms_norm(self, hidden: Tensor, weight: Tensor, eps: float) -> Tensor:
        return F.rms_norm(hidden, weight.shape, weight, eps)

    def layer_norm(self, hidden: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        return F.layer_norm(hidden, weight.shape, weight, bias, eps)

    def rotate_halves(self, queries: Tensor, keys: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor]:
        """Queries [B, H, T, R] and keys [B, G, T, R], turned by their tokens' angles (`rotary.rotate_halves`)."""
        return rotate_together(rotate_halves, queries, keys, rotary)

    def rotate_pairs(self, queries: Tensor, keys: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor]:
        """The same of neighbours (`rotary.rotate_pairs`)."""
        return rotate_together(rotate_pairs, queries, keys, rotary)

    # -- experts ----------------------------------------------------------------------------------------------------

    def feed_forward(self, hidden: Tensor, gate_up: Stack, down: Stack) -> Tensor:
        """Hidden [..., D] through matrices [2 * F, D] and [D, F], with SwiGLU between them -> [..., D]."""
        return self.linear(swiglu(self.linear(hidden, *gate_up)), *down)

    def choose_experts(
        self,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        active: int,
        scaling: float,
        *,
        sigmoid: bool,
        normalise: bool,
    ) -> tuple[Tensor, Tensor]:
        """Hidden [T, D] and a router's weight [E, D] -> weights [T, K] float32 and experts [T, K]. The bias [E] steers
        the choice, never a weight."""
        logits = self.linear(hidden.float(), weight)
        scores = logits.sigmoid() if sigmoid else logits.softmax(-1)
        ranking = scores if bias is None else scores + bias.float()
        experts = ranking.topk(active, dim=-1, sorted=False).indices
        weights = scores.gather(-1, experts)
        if normalise:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return weights * scaling, experts

    def run_experts(self, hidden: Tensor, weights: Tensor, experts: Tensor, gate_up: Stack, down: Stack) -> Tensor:
        """Hidden [T, D], weights and experts [T, K]; stacks [E, 2 * F, D] and [E, D, F] -> the weighted sum of the
        chosen experts' outputs [T, D]."""
        run = self.gather_experts if len(hidden) <= FEW_TOKENS else self.group_experts
        return run(hidden, weights, experts, gate_up, down)

    def gather_experts(self, hidden: Tensor, weights: Tensor, experts: Tensor, gate_up: Stack, down: Stack) -> Tensor:
        """`run_experts` of few tokens: every pair multiplies with its expert's matrices where they lie."""
        pairs = experts.flatten()  # [T * K]
        inner = swiglu(self.linear_each(hidden, *gate_up, pairs))
        outputs = self.linear_each(inner, *down, pairs).unflatten(0, experts.shape)
        return (outputs.float() * weights[..., None]).sum(1).to(hidden.dtype)

    def group_experts(self, hidden: Tensor, weights: Tensor, experts: Tensor, gate_up: Stack, down: Stack) -> Tensor:
        """`run_experts` of many tokens: sorted by expert, with one matrix product per expert over its tokens."""
        order = experts.flatten().argsort(stable=True)  # [T * K]
        tokens = order // experts.shape[1]
        counts = torch.zeros(len(gate_up[0]), dtype=torch.long, device=hidden.device)
        counts.scatter_add_(0, experts.flatten(), torch.ones_like(order))
        inner = swiglu(self.linear_groups(hidden.index_select(0, tokens), *gate_up, counts))
        outputs = self.linear_groups(inner, *down, counts)
        if outputs.is_cuda and not outputs.requires_grad:  # where sums by index have another order every time
            outputs = torch.empty_like(outputs).index_copy_(0, order, outputs).unflatten(0, experts.shape)
            return (outputs.float() * weights[..., None]).sum(1).to(hidden.dtype)
        outputs = outputs.float() * weights.flatten()[order, None]
        return torch.zeros_like(hidden, dtype=torch.float32).index_add_(0, tokens, outputs).to(hidden.dtype)

    # -- attention --------------------------------------------------------------------------------------------------

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float) -> Tensor:
        """Softmax attention [B, H, T, K] x [B, G, S, K] -> [B, H, T, V]; `mask` True = may look. Without one every
        token looks at itself, the last of S, and at all before.

        torch's fast kernel wants keys and values of one width and one number of heads, and falls back to a slow one
        without a word, so narrower values are padded for it.
        """
        keys, values = repeat_groups(queries, keys, values)
        new, total, width = queries.shape[2], keys.shape[2], values.shape[-1]
        if width < keys.shape[-1]:
            values = F.pad(values, (0, keys.shape[-1] - width))
        causal = mask is None and new == total > 1
        if mask is None and 1 < new < total:
            mask = causal_lower_right(new, total)
        context = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=causal, scale=scale)
        return context[..., :width]

    def attend_all(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Softmax attention of every patch to every patch [N, H, P, width] -> [N, P, H, width]."""
        return F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2)

    def attend_one(
        self, query: Tensor, keys: Tensor, values: Tensor, scale: float, rope: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """One token's query [H, K] over keys [G, S, K] and values [G, S, V], heads in G groups -> context [H, V].

        `rope` is a second part of query [H, R] and keys [G, S, R] whose products are added.
        """
        heads, groups = query.shape[0], keys.shape[0]
        scores = query.float().unflatten(0, (groups, heads // groups)) @ keys.float().mT  # [G, H / G, S]
        if rope is not None:
            scores = scores + rope[0].float().unflatten(0, (groups, heads // groups)) @ rope[1].float().mT
        return ((scores * scale).softmax(-1) @ values.float()).flatten(0, 1).to(query.dtype)


PLAIN = Operations()


class Operated(nn.Module):
    """A layer that calls `operations`."""

    operations: Operations = PLAIN


def use(model: nn.Module, operations: Operations) -> None:
    """Let every layer in `model` call these operations from now on."""
    for module in model.modules():
        if isinstance(module, Operated):
            module.operations = operations


def multiply(rows: Tensor, weight: Tensor, scale: Tensor | None) -> Tensor:
    """Rows [..., D] times weight [F, D], made wide whole -> [..., F]."""
    weight, scale = widen(weight, scale, rows.dtype)
    products = F.linear(rows, weight)
    return products if scale is None else (products * scale).to(rows.dtype)


def widen(weight: Tensor, scale: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
    """A weight in the format of activations, exactly, and the scales that its products have still to be multiplied
    with: those of int8 are the outputs' and wait until these are there."""
    if weight.dtype != torch.uint8:
        return weight.to(dtype), scale
    assert scale is not None
    return int4.dequantise(weight, scale, dtype), None


def rotate_together(
    rotate: Callable[[Tensor, Rotary], Tensor], queries: Tensor, keys: Tensor, rotary: Rotary
) -> tuple[Tensor, Tensor]:
    """Queries and keys, with half as many calls of torch as one after the other."""
    turned = rotate(torch.cat((queries, keys), dim=1), rotary)
    return turned[:, : queries.shape[1]], turned[:, queries.shape[1] :]


def swiglu(gate_up: Tensor) -> Tensor:
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up


def repeat_groups(queries: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
    """Keys and values [B, G, S, ...] with a head for each of the queries' [B, H, S, ...]."""
    groups = queries.shape[1] // parts[0].shape[1]
    return parts if groups == 1 else tuple(part.repeat_interleave(groups, dim=1) for part in parts)


def _of(scales: Tensor | None, experts: int | Tensor) -> Tensor | None:
    return None if scales is None else scales[experts]
