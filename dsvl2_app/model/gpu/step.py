"""One decode step on a GPU: the kernels of `fused` in order, on the weights of a decoder and a pool of caches.

Gives what the layers' own forward gives, to rounding. B rows that decode, D decoder width, H heads.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from dsvl2_app.model.attention import MultiHeadAttention, MultiHeadLatentAttention, RMSNorm
from dsvl2_app.model.decoder import Decoder, DecoderLayer
from dsvl2_app.model.experts import MLP, MixtureOfExperts, Router
from dsvl2_app.model.linear import Linear
from dsvl2_app.model.rotary import rotary_frequencies

NUMBERS = 5120  # of weights, at most, that a program holds at once for a single row
MATRIX_ROWS = 16  # the least that matrix units take; also heads of latent attention in a program
MATRIX_OUTPUTS, MATRIX_WIDTH, MATRIX_WARPS = 32, 128, 2  # of a program with several rows
INNER = 2048  # width of an expert, and of the parts that a dense layer is cut into, at most
SPLIT = 64  # tokens of the cache for a program of attention
MOST_SPLITS = 64
SHARED_BYTES = 120_000  # that `SPLIT` tokens of latents need; the smaller cards of a generation have 100 kB
PAIRS = 256  # of rows and experts, sorted at once
JOINED = 512  # columns of a program that sums what experts made


def are_fused() -> bool:
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


class FusedStep:
    """Tokens and positions [B] -> logits [B, vocabulary], for caches that are rows of `buffers` (see `decode`)."""

    def __init__(self, decoder: Decoder, lm_head: Linear, buffers: list[tuple[Tensor, Tensor]], length: int) -> None:
        """`length` bounds the positions."""
        from dsvl2_app.model.gpu import fused  # which needs Triton

        self.kernels: Any = fused
        self.decoder, self.lm_head, self.buffers = decoder, lm_head, buffers
        self.split = max(SPLIT, round_up(length) // MOST_SPLITS)
        self.splits = -(-length // self.split)
        device = lm_head.weight.device
        self.overlap, self.block = choose_kernels(device, decoder.embed_tokens.weight.dtype)
        self.nobody = torch.zeros(1, dtype=torch.int32, device=device)  # stands in for a choice that nobody makes
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
        attention = layer.self_attn
        attend = self._attend_heads if isinstance(attention, MultiHeadAttention) else self._attend_latents
        context = attend(attention, layer.input_layernorm, hidden, positions, buffers)
        hidden = self._project(context, attention.o_proj, residual=hidden)
        return self._feed_forward(layer.mlp, layer.post_attention_layernorm, hidden)

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
        weights, scales = ([*given, given[0], given[0]][:3] for given in (weights, scales))
        scaled = scales[0] is not None
        batch, width = rows.shape[0], weights[0].shape[1]
        shape = self._cut(batch, width)
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
        self._launch(
            "attend_heads",
            (heads, self.splits, batch),
            *(queries, keys, values, positions, self.frequencies, part, weights, keys.shape[2], attention.scale),
            H=heads,
            G=groups,
            HEAD=head,
            HALF=round_up(head // 2),
            SPLIT=self.split,
            BLOCK=SPLIT,
        )
        context = torch.empty(batch, heads * head, dtype=hidden.dtype, device=hidden.device)
        self._launch(
            "join_splits",
            (heads, batch),
            *(part, weights, positions, context),
            H=heads,
            HEAD=head,
            WIDE=round_up(head),
            splits=self.splits,
            SPLIT=self.split,
            SPLITS=round_up(self.splits),
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

    def _feed_forward(self, block: MLP | MixtureOfExperts, norm: RMSNorm, hidden: Tensor) -> Tensor:
        """Hidden [B, D] plus the block's output; a dense layer is one shared expert and none to choose from."""
        batch, width = hidden.shape
        if isinstance(block, MLP):
            routed = shared = block
            weights, experts = hidden, self.nobody
            active, inner_width, parts = 0, *cut(block.down.in_features)
        else:
            routed, shared = block.experts, block.shared_experts or block.experts
            experts, weights = self._choose(block.router, norm, hidden)
            active, inner_width = block.router.active, routed.down.shape[2]
            parts = 0 if block.shared_experts is None else shared.down.in_features // inner_width
        rows = batch * (active + parts)
        gate_up, gate_up_scale = _find(routed, "gate_up")
        down, down_scale = _find(routed, "down")
        order, groups, count = experts, experts, active
        if batch > 1 and active:
            count = len(gate_up)
            order, groups = self._group(experts, count)
        inner = torch.empty(rows, inner_width, dtype=hidden.dtype, device=hidden.device)
        constants = dict(B=batch, GROUPS=count, K=active, N=parts, SCALED=down.dtype == torch.int8)
        constants["R"] = 1 if batch == 1 else MATRIX_ROWS
        shape = self._cut(batch, width, matrices=2)
        self._launch(
            "multiply_groups",
            (-(-inner_width // shape["OUTPUTS"]), count + parts),
            *(hidden, norm.weight, order, groups, gate_up, gate_up_scale, *_find(shared, "gate_up"), inner, norm.eps),
            D=width,
            F=inner_width,
            ENTER=True,
            **constants,
            **shape,
        )
        out, shape = torch.empty_like(hidden), self._cut(batch, inner_width)
        blocks = -(-width // shape["OUTPUTS"])
        matrices = (down, down_scale, *_find(shared, "down"))
        if batch == 1:
            self._launch(
                "leave_experts",
                (blocks,),
                *(inner, experts, weights, *matrices, hidden, out),
                D=width,
                I=inner_width,
                K=active,
                N=parts,
                SCALED=down.dtype == torch.int8,
                **shape,
            )
            return out
        outputs = torch.empty(rows, width, dtype=hidden.dtype, device=hidden.device)
        self._launch(
            "multiply_groups",
            (blocks, count + parts),
            *(inner, norm.weight, order, groups, *matrices, outputs, norm.eps),
            D=inner_width,
            F=width,
            ENTER=False,
            **constants,
            **shape,
        )
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

    def _group(self, experts: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Pairs [B * K] by expert, and where those of each expert begin [E + 1]."""
        order = torch.empty(experts.numel(), dtype=torch.int32, device=experts.device)
        starts = torch.empty(count + 1, dtype=torch.int32, device=experts.device)
        self._launch(
            "group_pairs",
            (1,),
            *(experts, order, starts),
            E=count,
            PAIRS=experts.numel(),
            E_WIDE=round_up(count + 1),
            PAIRS_WIDE=max(PAIRS, round_up(experts.numel())),
        )
        return order, starts

    @staticmethod
    def _cut(batch: int, width: int, matrices: int = 1) -> dict[str, int]:
        """Which part of matrices with inputs of `width` a program holds at once: a single row wants all of it."""
        if batch > 1:
            narrow = min(max(MATRIX_ROWS, round_up(width)), MATRIX_WIDTH)
            return {"OUTPUTS": MATRIX_OUTPUTS, "WIDTH": narrow, "num_warps": MATRIX_WARPS}
        return {"OUTPUTS": round_down(max(1, NUMBERS // width // matrices)), "WIDTH": round_up(width)}

    def _choose(self, router: Router, norm: RMSNorm, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Experts [B, K] int32 and their weights [B, K] float32."""
        batch, count = hidden.shape[0], router.weight.shape[0]
        logits = self._project(hidden, router.weight, norm=norm, dtype=torch.float32)
        experts = torch.empty(batch, router.active, dtype=torch.int32, device=hidden.device)
        weights = torch.empty(batch, router.active, dtype=torch.float32, device=hidden.device)
        self._launch(
            "choose_experts",
            (batch,),
            *(logits, logits if router.bias is None else router.bias, experts, weights, router.scaling),
            E=count,
            K=router.active,
            E_WIDE=round_up(count),
            SIGMOID=router.sigmoid,
            BIASED=router.bias is not None,
            NORMALISE=router.normalise,
        )
        return experts, weights


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
