"""One decode step on a GPU: the kernels of `fused` in order, on the weights of a decoder and a pool of caches.

Gives what the layers' own forward gives, to rounding. B rows that decode, D decoder width, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from dsvl2_app.model.attention import MultiHeadAttention, MultiHeadLatentAttention, RMSNorm
from dsvl2_app.model.decoder import Decoder, DecoderLayer
from dsvl2_app.model.experts import MLP, Router
from dsvl2_app.model.linear import Linear
from dsvl2_app.model.rotary import rotary_frequencies

# Bytes of weights, at most, that a program of each kernel holds at once for a single row, which has to be one output's.
# These and the numbers of warps in `cut_one` are what was fastest on an H200 for tiny, small and base together.
HELD = {"project": 10_240, "route": 2_560, "enter_experts": 16_384, "leave_experts": 16_384}
MATRIX_ROWS = 16  # the least that matrix units take; also heads of latent attention in a program
MATRIX_OUTPUTS, MATRIX_WIDTH, MATRIX_WARPS = 32, 128, 2  # of a program with several rows
INNER = 2048  # width of an expert, and of the parts that a dense layer is cut into, at most
SPLIT = 64  # tokens of the cache for a program of attention
MOST_SPLITS = 64
SHARED_BYTES = 120_000  # that `SPLIT` tokens of latents need; the smaller cards of a generation have 100 kB
PAIRS = 256  # of rows and experts, sorted at once
JOINED = 512  # columns of a program that sums what experts made


def has_triton() -> bool:
    """Whether Triton is there, which comes with torch for GPUs."""
    return find_spec("triton") is not None


def choose_kernels(device: torch.device, dtype: torch.dtype) -> tuple[bool, int]:
    """Whether kernels overlap, which Hopper and later can; and how many tokens of latents a program holds at once."""
    overlap, block = False, SPLIT
    if device.type == "cuda":
        overlap = torch.cuda.get_device_capability(device) >= (9, 0)
        if torch.cuda.get_device_properties(device).shared_memory_per_block_optin < SHARED_BYTES:
            block //= 2
    return overlap, block // 2 if dtype == torch.float32 else block


@dataclass(frozen=True, slots=True)
class FeedForward:
    """The weights of a layer's second half; a dense layer is one shared expert and none to choose from."""

    norm: RMSNorm
    router: Router | None
    enter: tuple[Tensor, ...]  # gate and up: the stack of routed experts, its scale, and the same of shared ones
    leave: tuple[Tensor, ...]  # down, likewise
    inner: int  # width of an expert
    active: int
    parts: int  # of that width, of the shared ones

    @classmethod
    def of(cls, layer: DecoderLayer) -> FeedForward:
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


class FusedStep:
    """Tokens and positions [B] -> logits [B, vocabulary], for caches that are rows of `buffers` (see `decode`)."""

    def __init__(self, decoder: Decoder, lm_head: Linear, buffers: list[tuple[Tensor, Tensor]], length: int) -> None:
        """`length` bounds the positions."""
        from dsvl2_app.runtime.cuda import fused  # which needs Triton

        self.kernels: Any = fused
        self.decoder, self.lm_head, self.buffers = decoder, lm_head, buffers
        self.split = max(SPLIT, round_up(length) // MOST_SPLITS)
        self.splits = -(-length // self.split)
        device = lm_head.weight.device
        self.overlap, self.block = choose_kernels(device, decoder.embed_tokens.weight.dtype)
        # programs of a kernel that have arrived, for each row and head
        heads = decoder.layers[0].self_attn.o_proj.in_features // decoder.rotary_width
        self.arrivals = torch.zeros(len(buffers[0][0]) * heads, dtype=torch.int32, device=device)
        self.frequencies = rotary_frequencies(decoder.rotary_width, decoder.rotary_theta, device)

    def _launch(self, name: str, grid: tuple[int, ...], *tensors: Any, **constants: Any) -> None:
        if self.overlap:
            constants["launch_pdl"] = True
        getattr(self.kernels, name)[grid](*tensors, **constants, OVERLAP=self.overlap)

    def __call__(self, tokens: Tensor, positions: Tensor) -> Tensor:
        hidden = self.decoder.embed_tokens(tokens)
        for layer, buffers in zip(self.decoder.layers, self.buffers, strict=True):
            hidden = self._run(layer, hidden, positions, buffers)
        return self._project(hidden, self.lm_head, norm=self.decoder.norm)

    def _run(self, layer: DecoderLayer, hidden: Tensor, positions: Tensor, buffers: tuple[Tensor, Tensor]) -> Tensor:
        attention, inputs = layer.self_attn, (layer.input_layernorm, hidden, positions, buffers)
        if isinstance(attention, MultiHeadAttention):
            context = self._attend_heads(attention, *inputs)
        else:
            context = self._attend_latents(attention, *inputs)
        hidden = self._project(context, attention.o_proj, residual=hidden)
        feed = self._feed_one if len(hidden) == 1 else self._feed_rows
        return feed(FeedForward.of(layer), hidden)

    def _project(
        self,
        rows: Tensor,
        *linears: nn.Linear | Tensor,
        norm: RMSNorm | None = None,
        residual: Tensor | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Rows [B, D] through up to three linear layers that share them -> [B, F], their outputs in a row."""
        weights = [linear if isinstance(linear, Tensor) else linear.weight for linear in linears]
        scales = [getattr(linear, "weight_scale", None) for linear in linears]
        sizes = [*(weight.shape[0] for weight in weights), 0, 0][:3]
        weights, scales = [*weights, *weights[:1] * 2][:3], [*scales, *scales[:1] * 2][:3]
        scaled = scales[0] is not None
        batch, width = rows.shape[0], weights[0].shape[1]
        shape = cut_rows(width) if batch > 1 else cut_one("project", width, weights[0])
        out = torch.empty(batch, sum(sizes), dtype=dtype or rows.dtype, device=rows.device)
        self._launch(
            "project",
            (sum(-(-size // shape["OUTPUTS"]) for size in sizes),),
            rows,
            rows if norm is None else norm.weight,
            *weights,
            *(scales if scaled else weights),
            out if residual is None else residual,
            out,
            rows.stride(0),
            0.0 if norm is None else norm.eps,
            *sizes,
            B=batch,
            D=width,
            NORM=norm is not None,
            SCALED=scaled,
            RESIDUAL=residual is not None,
            R=1 if batch == 1 else max(MATRIX_ROWS, round_up(batch)),
            **shape,
        )
        return out

    def _attend_heads(
        self,
        attention: MultiHeadAttention,
        norm: RMSNorm,
        hidden: Tensor,
        positions: Tensor,
        buffers: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Context [B, H * head] of multi-head attention."""
        keys, values = buffers
        batch, head, groups = hidden.shape[0], attention.head_dim, keys.shape[1]
        heads = attention.o_proj.in_features // head
        queries = self._project(hidden, attention.q_proj, attention.k_proj, attention.v_proj, norm=norm)
        part, weights = self._reserve_splits(hidden, heads, head)
        context = torch.empty(batch, heads * head, dtype=hidden.dtype, device=hidden.device)
        self._launch(
            "attend_heads",
            (heads, self.splits, batch),
            *(queries, keys, values, positions, self.frequencies, part, weights, self.arrivals, context),
            *(keys.shape[2], attention.scale),
            H=heads,
            G=groups,
            HEAD=head,
            HALF=round_up(head // 2),
            SPLIT=self.split,
            SPLITS=round_up(self.splits),
            BLOCK=SPLIT,
        )
        return context

    def _attend_latents(
        self,
        attention: MultiHeadLatentAttention,
        norm: RMSNorm,
        hidden: Tensor,
        positions: Tensor,
        buffers: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Context [B, H * value] of latent attention."""
        latents, ropes = buffers
        batch, heads, rank = hidden.shape[0], attention.heads, attention.rank
        nope, value, rope, capacity = attention.nope, attention.value_dim, attention.rope, latents.shape[2]
        if hasattr(attention, "q_proj"):
            projected = self._project(hidden, attention.q_proj, attention.kv_a_proj_with_mqa, norm=norm)
            latent_at = heads * (nope + rope)
            query_rows = latent_rows = projected
        else:
            latent_rows = self._project(hidden, attention.q_a_proj, attention.kv_a_proj_with_mqa, norm=norm)
            latent_at = attention.q_a_proj.out_features
            query_rows = self._project(latent_rows, attention.q_b_proj, norm=attention.q_a_layernorm)
        kv_b = attention.kv_b_proj.weight
        queries = torch.empty(batch, heads, rank, dtype=hidden.dtype, device=hidden.device)
        wide, half = round_up(rank), round_up(rope // 2)
        block = min(wide, 64)
        self._launch(
            "absorb",
            (heads + 1, -(-rank // block), batch),
            *(query_rows, latent_rows, kv_b, attention.kv_a_layernorm.weight, positions, self.frequencies),
            *(latents, ropes, queries, query_rows.stride(0), latent_rows.stride(0), latent_at, capacity),
            attention.kv_a_layernorm.eps,
            H=heads,
            NOPE=nope,
            VALUE=value,
            L=rank,
            R=rope,
            NOPE_WIDE=round_up(nope),
            L_WIDE=wide,
            R_HALF=half,
            BLOCK=block,
        )
        part, weights = self._reserve_splits(hidden, heads, rank)
        self._launch(
            "attend_latents",
            (-(-heads // MATRIX_ROWS), self.splits, batch),
            *(queries, query_rows, latents, ropes, positions, self.frequencies, part, weights),
            *(query_rows.stride(0), capacity, attention.scale),
            H=heads,
            NOPE=nope,
            L=rank,
            R=rope,
            HEADS=MATRIX_ROWS,
            L_WIDE=wide,
            R_HALF=max(half, 16),
            SPLIT=self.split,
            BLOCK=self.block,
            num_warps=8,
        )
        context = torch.empty(batch, heads * value, dtype=hidden.dtype, device=hidden.device)
        block = min(round_up(value), 32)
        self._launch(
            "expand",
            (heads, -(-value // block), batch),
            *(part, weights, kv_b, positions, context, self.splits),
            H=heads,
            NOPE=nope,
            VALUE=value,
            L=rank,
            L_WIDE=wide,
            SPLIT=self.split,
            SPLITS=round_up(self.splits),
            BLOCK=block,
        )
        return context

    def _reserve_splits(self, hidden: Tensor, heads: int, width: int) -> tuple[Tensor, Tensor]:
        place = (hidden.shape[0], heads, self.splits)
        return (
            torch.empty(*place, width, dtype=torch.float32, device=hidden.device),
            torch.empty(*place, 2, dtype=torch.float32, device=hidden.device),
        )

    def _feed_one(self, block: FeedForward, hidden: Tensor) -> Tensor:
        """Hidden [1, D] plus the block's output."""
        width = hidden.shape[1]
        experts, weights = self.arrivals, self.frequencies  # stand in for a choice that nobody makes
        if block.router is not None:
            experts, weights = self._route(block.router, block.norm, hidden)
        middle = torch.empty(block.slots, block.inner, dtype=hidden.dtype, device=hidden.device)
        out = torch.empty_like(hidden)
        constants = dict(D=width, I=block.inner, N=block.parts, SCALED=block.scaled)
        shape = cut_one("enter_experts", width, block.enter[0], matrices=2)
        self._launch(
            "enter_experts",
            (-(-block.inner // shape["OUTPUTS"]), block.slots),
            *(hidden, block.norm.weight, experts, *block.enter, middle, block.norm.eps),
            **constants,
            **shape,
        )
        shape = cut_one("leave_experts", block.inner, block.leave[0], matrices=block.slots)
        self._launch(
            "leave_experts",
            (-(-width // shape["OUTPUTS"]),),
            *(middle, experts, weights, *block.leave, hidden, out),
            K=block.active,
            SLOTS=round_up(block.slots),
            **constants,
            **shape,
        )
        return out

    def _feed_rows(self, block: FeedForward, hidden: Tensor) -> Tensor:
        """Hidden [B, D] plus the block's output."""
        batch, width = hidden.shape
        count, order, starts, weights = 0, self.arrivals, self.arrivals, self.frequencies
        if block.router is not None:
            count = len(block.router.weight)
            order, starts, weights = self._choose(block.router, block.norm, hidden)
        rows, active, parts = batch * block.slots, block.active, block.parts
        middle = torch.empty(rows, block.inner, dtype=hidden.dtype, device=hidden.device)
        outputs = torch.empty(rows, width, dtype=hidden.dtype, device=hidden.device)
        for entering, sources, matrices, targets in (
            (True, hidden, block.enter, middle),
            (False, middle, block.leave, outputs),
        ):
            self._launch(
                "multiply_groups",
                (-(-targets.shape[1] // MATRIX_OUTPUTS), count + parts),
                *(sources, block.norm.weight, order, starts, *matrices, targets, block.norm.eps),
                B=batch,
                D=sources.shape[1],
                F=targets.shape[1],
                E=count,
                K=active,
                N=parts,
                ENTER=entering,
                SCALED=block.scaled,
                R=MATRIX_ROWS,
                **cut_rows(sources.shape[1]),
            )
        out = torch.empty_like(hidden)
        self._launch(
            "join_experts",
            (-(-width // JOINED), batch),
            *(outputs, weights, hidden, out),
            B=batch,
            D=width,
            K=active,
            N=parts,
            WIDTH=JOINED,
        )
        return out

    def _route(self, router: Router, norm: RMSNorm, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Experts [K] int32 of a single row, and their weights [K] float32."""
        width, count = hidden.shape[1], len(router.weight)
        logits, weights = (hidden.new_empty(size, dtype=torch.float32) for size in (count, router.active))
        experts = hidden.new_empty(router.active, dtype=torch.int32)
        shape = cut_one("route", width, router.weight)
        self._launch(
            "route",
            (-(-count // shape["OUTPUTS"]),),
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
        logits = self._project(hidden, router.weight, norm=norm, dtype=torch.float32)
        experts, order, starts = (hidden.new_empty(size, dtype=torch.int32) for size in (pairs, pairs, count + 1))
        weights = hidden.new_empty(pairs, dtype=torch.float32)
        self._launch(
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


def cut_one(kernel: str, width: int, weight: Tensor, matrices: int = 1) -> dict[str, int]:
    """How many outputs of so many matrices, with inputs of `width`, a program computes for a single row."""
    outputs = round_down(max(1, HELD[kernel] // (weight.itemsize * width * matrices)))
    warps = {"route": 8, "enter_experts": 2 if outputs == 1 else 4}.get(kernel, 4)
    return {"OUTPUTS": outputs, "WIDTH": round_up(width), "num_warps": warps}


def cut_rows(width: int) -> dict[str, int]:
    """Which part of a matrix with inputs of `width` a program holds at once for several rows."""
    narrow = min(max(MATRIX_ROWS, round_up(width)), MATRIX_WIDTH)
    return {"OUTPUTS": MATRIX_OUTPUTS, "WIDTH": narrow, "num_warps": MATRIX_WARPS}


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


def round_down(number: int) -> int:
    """To a power of two."""
    return 1 << (number.bit_length() - 1)


def round_up(number: int) -> int:
    """To a power of two."""
    return 1 << (number - 1).bit_length()
