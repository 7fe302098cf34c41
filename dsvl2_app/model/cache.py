"""What attention remembers of earlier tokens, in buffers that are written in place.

Each layer keeps two tensors whose second to last dimension is the sequence: keys and values [B, H, T, head] for
multi-head attention, normalised latent and rotated rope key [B, 1, T, L] and [B, 1, T, R] for latent attention.
`update` and `get_seq_length` are those of transformers' caches, so the layers accept either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dsvl2_app.model.sections import DecoderConfig


class KVCache:
    """Room for `capacity` tokens. Memory is reserved when a layer first writes, for `reserve` of them, and for a fourth
    more each time that it is full; only then is what it holds copied."""

    def __init__(self, config: DecoderConfig, capacity: int, reserve: int | None = None) -> None:
        self.capacity = capacity
        self.buffers: list[tuple[Tensor, Tensor] | None] = [None] * config.num_hidden_layers
        self.lengths = [0] * config.num_hidden_layers
        self._reserve = min(capacity, capacity if reserve is None else reserve)

    @property
    def reserved(self) -> int:
        """Tokens that there is memory for; in every layer the same."""
        return next((pair[0].shape[-2] for pair in self.buffers if pair), self._reserve)

    def update(self, first: Tensor, second: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Append T tokens to a layer and return all of it so far."""
        start = self.lengths[layer_idx]
        stop = start + first.shape[-2]
        self._make_room(stop)
        buffers = self.buffers[layer_idx]
        if buffers is None:
            buffers = self.buffers[layer_idx] = (allocate(first, self.reserved), allocate(second, self.reserved))
        for buffer, new in zip(buffers, (first, second), strict=True):
            buffer[..., start:stop, :] = new
        self.lengths[layer_idx] = stop
        return buffers[0][..., :stop, :], buffers[1][..., :stop, :]

    def append(self) -> int:
        """Count a token that is written into every layer, and return its place."""
        (place,) = set(self.lengths)
        self._make_room(place + 1)
        self.lengths = [place + 1] * len(self.lengths)
        return place

    def _make_room(self, tokens: int) -> None:
        assert tokens <= self.capacity, f"cache of {self.capacity} tokens asked to hold {tokens}"
        if tokens > self.reserved:
            self.move(self.fork(self.capacity, reserve=max(tokens, self.reserved + self.reserved // 4)))

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.lengths[layer_idx]

    def truncate(self, length: int) -> None:
        """Forget everything from token `length` on."""
        self.lengths = [min(length, known) for known in self.lengths]

    def fork(self, capacity: int, length: int | None = None, reserve: int | None = None) -> KVCache:
        """An independent copy with room for `capacity` tokens, of all tokens or of the first `length`; `reserve` as
        above."""
        twin = object.__new__(KVCache)
        twin.capacity, twin._reserve = capacity, min(capacity, capacity if reserve is None else reserve)
        twin.lengths = [known if length is None else min(length, known) for known in self.lengths]
        twin.buffers = []
        for buffers, kept in zip(self.buffers, twin.lengths, strict=True):
            copies = None
            if buffers is not None:
                copies = (allocate(buffers[0], twin._reserve), allocate(buffers[1], twin._reserve))
                for copy, buffer in zip(copies, buffers, strict=True):
                    copy[..., :kept, :] = buffer[..., :kept, :]
            twin.buffers.append(copies)
        return twin

    def move(self, other: KVCache) -> None:
        """Take over another cache's memory and what is in it."""
        self.capacity, self.buffers, self.lengths = other.capacity, other.buffers, other.lengths
        self._reserve = other._reserve

    @property
    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """The buffers of a cache into which every layer has written."""
        return [pair for pair in self.buffers if pair is not None]

    @property
    def nbytes(self) -> int:
        return sum(first.nbytes + second.nbytes for first, second in self.pairs)

    @property
    def used_bytes(self) -> int:
        """Of the tokens that are there, without what is reserved for more."""
        return self.nbytes * self.get_seq_length() // self.reserved


def allocate(like: Tensor, tokens: int) -> Tensor:
    """Memory for so many tokens of such keys or values [B, H, T, width]."""
    return torch.empty(*like.shape[:-2], tokens, like.shape[-1], dtype=like.dtype, device=like.device)


def count_each(caches: Sequence[KVCache], device: torch.device) -> Tensor:
    """The position of each conversation's next token [B, 1]."""
    return torch.tensor([[cache.get_seq_length()] for cache in caches], device=device)


def update_each(caches: Sequence[KVCache], first: Tensor, second: Tensor, layer: int) -> list[tuple[Tensor, Tensor]]:
    """Append one token [B, heads, 1, ...], a row to each of B caches, and return all of each so far [heads, S, ...]."""
    rows = zip(caches, first.split(1), second.split(1), strict=True)
    known = [cache.update(one, other, layer) for cache, one, other in rows]
    return [(whole[0][0], whole[1][0]) for whole in known]


def capacity(cache: Any) -> int | None:
    """How many tokens a transformers cache hands out whatever it holds, where it is static."""
    return cache.get_max_length() if getattr(cache, "is_compileable", False) else None
