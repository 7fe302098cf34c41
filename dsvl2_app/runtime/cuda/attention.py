"""Attention of one token of each of B conversations, over a pool of caches: the launches of its kernels.

H heads, L latent rank, R rope width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dsvl2_app.model.attention import MultiHeadAttention, MultiHeadLatentAttention, RMSNorm
from dsvl2_app.model.decoder import Decoder
from dsvl2_app.model.rotary import rotary_frequencies
from dsvl2_app.runtime.cuda.launcher import MATRIX_ROWS, Launcher, divide_up, has_shared, round_up

SPLIT = 64  # tokens of the cache for a program of attention
MOST_SPLITS = 64
SHARED_BYTES = 120_000  # that `SPLIT` tokens of latents need

Pool = tuple[Tensor, Tensor]  # of a layer: keys and values, or latents and rope keys, of all rows


class FusedAttention:
    """Context [B, H * value] of a layer's attention; what it computes of the new token is added to the pool."""

    def __init__(self, launcher: Launcher, decoder: Decoder, length: int, rows: int) -> None:
        """`length` bounds the positions, `rows` the conversations."""
        self.launcher = launcher
        self.split = max(SPLIT, round_up(length) // MOST_SPLITS)
        self.splits = divide_up(length, self.split)
        weight = decoder.norm.weight
        self.block = choose_block(weight.device, weight.dtype)
        # programs of a kernel that have arrived, for each row and head (the semaphores of a split-K reduction)
        heads = decoder.layers[0].self_attn.o_proj.in_features // decoder.rotary_width
        self.arrivals = torch.zeros(rows * heads, dtype=torch.int32, device=weight.device)
        self.frequencies = rotary_frequencies(decoder.rotary_width, decoder.rotary_theta, weight.device)

    def __call__(
        self,
        attention: MultiHeadAttention | MultiHeadLatentAttention,
        norm: RMSNorm,
        hidden: Tensor,
        positions: Tensor,
        pool: Pool,
    ) -> Tensor:
        if isinstance(attention, MultiHeadAttention):
            return self._attend_heads(attention, norm, hidden, positions, pool)
        return self._attend_latents(attention, norm, hidden, positions, pool)

    def _attend_heads(
        self,
        attention: MultiHeadAttention,
        norm: RMSNorm,
        hidden: Tensor,
        positions: Tensor,
        pool: Pool,
    ) -> Tensor:
        """Context [B, H * head] of multi-head attention."""
        keys, values = pool
        batch, head, groups = hidden.shape[0], attention.head_dim, keys.shape[1]
        heads = attention.o_proj.in_features // head
        queries = self.launcher.project(hidden, attention.q_proj, attention.k_proj, attention.v_proj, norm=norm)
        part, m_l = self._reserve_splits(hidden, heads, head)
        context = torch.empty(batch, heads * head, dtype=hidden.dtype, device=hidden.device)
        self.launcher.launch(
            "attend_heads",
            (heads, self.splits, batch),
            *(queries, keys, values, positions, self.frequencies, part, m_l, self.arrivals, context),
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
        self, attention: MultiHeadLatentAttention, norm: RMSNorm, hidden: Tensor, positions: Tensor, pool: Pool
    ) -> Tensor:
        query_rows, latent_rows, latent_at = self._project_latents(attention, norm, hidden)
        queries = self._absorb(attention, query_rows, latent_rows, latent_at, positions, pool)
        latents, ropes = pool
        heads, rank, rope = attention.heads, attention.rank, attention.rope
        part, m_l = self._reserve_splits(hidden, heads, rank)
        self.launcher.launch(
            "attend_latents",
            (divide_up(heads, MATRIX_ROWS), self.splits, len(hidden)),
            *(queries, query_rows, latents, ropes, positions, self.frequencies, part, m_l),
            *(query_rows.stride(0), latents.shape[2], attention.scale),
            H=heads,
            NOPE=attention.nope,
            L=rank,
            R=rope,
            HEADS=MATRIX_ROWS,
            L_WIDE=round_up(rank),
            R_HALF=max(round_up(rope // 2), 16),
            SPLIT=self.split,
            BLOCK=self.block,
            num_warps=8,
        )
        return self._expand(attention, part, m_l, positions, hidden)

    def _project_latents(
        self, attention: MultiHeadLatentAttention, norm: RMSNorm, hidden: Tensor
    ) -> tuple[Tensor, Tensor, int]:
        """Rows of queries; rows with latents and rope keys, and from which column on these are there."""
        project, latent = self.launcher.project, attention.kv_a_proj_with_mqa
        if hasattr(attention, "q_proj"):
            rows = project(hidden, attention.q_proj, latent, norm=norm)
            return rows, rows, attention.heads * (attention.nope + attention.rope)
        rows = project(hidden, attention.q_a_proj, latent, norm=norm)
        return project(rows, attention.q_b_proj, norm=attention.q_a_layernorm), rows, attention.q_a_proj.out_features

    def _absorb(
        self,
        attention: MultiHeadLatentAttention,
        query_rows: Tensor,
        latent_rows: Tensor,
        latent_at: int,
        positions: Tensor,
        pool: Pool,
    ) -> Tensor:
        """Queries in latent space [B, H, L]; the new token's latent and rope key go into the pool."""
        latents, ropes = pool
        batch, heads, rank, rope = len(query_rows), attention.heads, attention.rank, attention.rope
        queries = torch.empty(batch, heads, rank, dtype=query_rows.dtype, device=query_rows.device)
        block = min(round_up(rank), 64)
        self.launcher.launch(
            "absorb",
            (heads + 1, divide_up(rank, block), batch),
            *(query_rows, latent_rows, attention.kv_b_proj.weight, attention.kv_a_layernorm.weight, positions),
            *(self.frequencies, latents, ropes, queries, query_rows.stride(0), latent_rows.stride(0), latent_at),
            *(latents.shape[2], attention.kv_a_layernorm.eps),
            H=heads,
            NOPE=attention.nope,
            VALUE=attention.value_dim,
            L=rank,
            R=rope,
            NOPE_WIDE=round_up(attention.nope),
            L_WIDE=round_up(rank),
            R_HALF=round_up(rope // 2),
            BLOCK=block,
        )
        return queries

    def _expand(
        self, attention: MultiHeadLatentAttention, part: Tensor, m_l: Tensor, positions: Tensor, hidden: Tensor
    ) -> Tensor:
        batch, heads, value, rank = len(hidden), attention.heads, attention.value_dim, attention.rank
        context = torch.empty(batch, heads * value, dtype=hidden.dtype, device=hidden.device)
        block = min(round_up(value), 32)
        self.launcher.launch(
            "expand",
            (heads, divide_up(value, block), batch),
            *(part, m_l, attention.kv_b_proj.weight, positions, context, self.splits),
            H=heads,
            NOPE=attention.nope,
            VALUE=value,
            L=rank,
            L_WIDE=round_up(rank),
            SPLIT=self.split,
            SPLITS=round_up(self.splits),
            BLOCK=block,
        )
        return context

    def _reserve_splits(self, hidden: Tensor, heads: int, width: int) -> tuple[Tensor, Tensor]:
        """Of each split: its context, and m and l of its softmax (see triton/heads.py)."""
        place = (hidden.shape[0], heads, self.splits)
        return (
            torch.empty(*place, width, dtype=torch.float32, device=hidden.device),
            torch.empty(*place, 2, dtype=torch.float32, device=hidden.device),
        )


def choose_block(device: torch.device, dtype: torch.dtype) -> int:
    """How many tokens of latents a program holds at once."""
    block = SPLIT if has_shared(device, SHARED_BYTES) else SPLIT // 2
    return block // 2 if dtype == torch.float32 else block
