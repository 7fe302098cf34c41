"""Decode on a GPU as CUDA graphs: one launch per step in place of a thousand.

A graph replays the same kernels on the same addresses, so conversations that decode together live in the rows of one
pool of keys and values, and there is a graph per number of rows and per length that attention runs over. They are
captured when first needed, those of one conversation before (`warm_up`). Nothing inside a step waits for the CPU.
B rows that decode, S tokens that attention runs over.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

import torch
from torch import Tensor

from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.decoder import Decoder
from dsvl2_app.model.linear import Linear
from dsvl2_app.runtime.cuda.graphs import record
from dsvl2_app.runtime.cuda.launcher import has_triton
from dsvl2_app.runtime.cuda.step import FusedStep

logger = logging.getLogger(__name__)

BATCHES = (1, 2, 4, 8, 16, 32)
SHORTEST = 256  # tokens that attention runs over; longer ones are powers of two
POOL_SHARE = 0.25  # of the memory that is free when the model is loaded


class GraphDecoder:
    def __init__(
        self, decoder: Decoder, lm_head: Linear, bytes_per_token: int, context: int, fuses: bool = False
    ) -> None:
        """`fuses`: in kernels of its own, where Triton can make them and weights are not int4, which they do not read;
        else as the layers' own forward."""
        self.decoder, self.lm_head, self.context = decoder, lm_head, context
        self.device = lm_head.weight.device
        self._graphs: dict[tuple[int, int], tuple[Callable[[], None], Tensor]] = {}
        int4 = any(parameter.dtype == torch.uint8 for parameter in decoder.parameters())
        self.fuses = fuses and has_triton() and not int4
        self._fused: dict[int, FusedStep] = {}
        self._memory = None
        rows = BATCHES[-1]
        if self.device.type == "cuda":
            self._memory = torch.cuda.graph_pool_handle()
            free, _ = torch.cuda.mem_get_info(self.device)
            rows = int(min(rows, free * POOL_SHARE // (bytes_per_token * context)))
        self.rows: list[KVCache | None] = [None] * rows
        self.buffers: list[tuple[Tensor, Tensor]] = []  # per layer, [rows, heads, context, ...]
        # Tokens and positions that a step reads are copied to the GPU at once, from one of two buffers: the copy of the
        # step before may still be under way. Its result need not have been read: the CPU may be many steps ahead.
        pinned = self.device.type == "cuda"
        self._hosts = [torch.zeros(2, max(rows, 1), dtype=torch.long, pin_memory=pinned) for _ in range(2)]
        self._copied = [torch.cuda.Event() for _ in self._hosts] if pinned else []
        self._inputs = torch.zeros_like(self._hosts[0], device=self.device)

    @property
    def max_batch(self) -> int:
        """How many conversations may decode together."""
        return len(self.rows)

    def forward(self, tokens: Sequence[int | Tensor], caches: Sequence[KVCache]) -> Tensor:
        """One token of each of B conversations -> logits [B, vocabulary], valid until the next step. A token that is on
        the device is not waited for."""
        self._seat(caches)
        seated = self.rows[: self._used]
        order = [caches.index(cache) if cache in caches else None for cache in seated]
        # Idle rows write to their next free position, which the real token overwrites.
        positions = [cache.get_seq_length() if cache else 0 for cache in seated]
        self._write([0 if number is None else tokens[number] for number in order], positions)
        batch = BATCHES[bisect_left(BATCHES, self._used)]
        length = min(max(SHORTEST, 1 << max(positions).bit_length()), self.context)
        replay, logits = self._find(min(batch, self.max_batch), length)
        replay()
        for cache in caches:
            cache.append()
        places = [order.index(number) for number in range(len(caches))]
        return logits[: len(caches)] if places == [*range(len(caches))] else logits[places]

    def release(self, cache: KVCache) -> None:
        """Give a conversation's row to others. What it holds is copied out, because the next one will write there."""
        if cache in self.rows:
            row = self.rows.index(cache)
            try:
                cache.move(cache.fork(cache.get_seq_length() or 1))
            finally:  # for which there may be no memory
                self.rows[row] = None

    def list_warm_ups(self, begin: Callable[[], KVCache]) -> Iterator[Callable[[], None]]:
        """A step of one conversation at each length. `begin` gives a conversation with room for the whole context."""
        length = SHORTEST
        while length < self.context:
            yield partial(self._warm_up, begin, length)
            length *= 2
        yield partial(self._warm_up, begin, self.context)

    def _warm_up(self, begin: Callable[[], KVCache], length: int) -> None:
        """A step at a place for which attention runs over `length` tokens, all of them nothing."""
        cache = begin()
        for buffer in chain.from_iterable(cache.pairs):
            buffer.zero_()  # what is no number would stay in the row for those who come after
        cache.lengths = [length - 1] * len(cache.lengths)
        self.forward([0], [cache])
        cache.truncate(1)  # there is nothing to keep
        self.release(cache)

    @property
    def _used(self) -> int:
        """Rows up to the last that is taken."""
        return max((row + 1 for row, cache in enumerate(self.rows) if cache is not None), default=0)

    def _write(self, tokens: Sequence[int | Tensor], positions: Sequence[int]) -> None:
        """A row each, for the step that comes next on the device."""
        self._hosts.reverse()
        self._copied.reverse()
        host, rows = self._hosts[0], len(positions)
        numbers = host.numpy()
        for copied in self._copied[:1]:
            copied.synchronize()
        numbers[0, :rows] = [0 if isinstance(token, Tensor) else token for token in tokens]
        numbers[1, :rows] = positions
        numbers[:, rows:] = 0  # a graph has more rows: a place left there may lie behind all that it looks at
        self._inputs.copy_(host, non_blocking=True)
        for copied in self._copied[:1]:
            copied.record(torch.cuda.current_stream(self.device))
        for row, together in find_runs(tokens):
            self._inputs[0, row : row + len(together)].copy_(together)

    def _seat(self, caches: Sequence[KVCache]) -> None:
        """Move conversations that have no row into the first free ones. That copies what they hold: while its prompt is
        prefilled a conversation has no row, since every row that is taken costs time in the steps of the others."""
        for cache in caches:
            if cache not in self.rows:
                if not self.buffers:
                    self.buffers = [(self._reserve(first), self._reserve(second)) for first, second in cache.pairs]
                row = self.rows.index(None)
                pairs = [(first[row : row + 1], second[row : row + 1]) for first, second in self.buffers]
                for pair, own in zip(pairs, cache.pairs, strict=True):
                    for part, known in zip(pair, own, strict=True):
                        part[:, :, : cache.get_seq_length()] = known[:, :, : cache.get_seq_length()]
                cache.buffers = [*pairs]
                cache.capacity = self.context
                self.rows[row] = cache

    def _reserve(self, like: Tensor) -> Tensor:
        return torch.zeros(
            self.max_batch, like.shape[1], self.context, like.shape[3], dtype=like.dtype, device=self.device
        )

    def _find(self, batch: int, length: int) -> tuple[Callable[[], None], Tensor]:
        if (batch, length) not in self._graphs:
            self._graphs[batch, length] = self._capture(batch, length)
        return self._graphs[batch, length]

    def _capture(self, batch: int, length: int) -> tuple[Callable[[], None], Tensor]:
        """A function that runs one step, and where it leaves the logits [batch, vocabulary]."""
        tokens, positions = self._inputs[:, :batch]
        rows = _Rows(self.buffers, positions, length)

        def run_layers() -> Tensor:
            looks = torch.arange(length, device=self.device) <= positions[:, None]
            embeds = self.decoder.embed_tokens(tokens[:, None])
            hidden = self.decoder(embeds, looks[:, None, None], positions[:, None], rows)
            return self.lm_head(hidden[:, 0])

        step = self._fuse(tokens, positions, length) or run_layers
        if self.device.type != "cuda":  # the same without a graph
            logits = step()

            def replay() -> None:
                logits.copy_(step())

            return replay, logits
        return record(step, self._memory)

    def _fuse(self, tokens: Tensor, positions: Tensor, length: int) -> Callable[[], Tensor] | None:
        """The step in kernels of its own; None, from then on, where this GPU or its Triton cannot make one of them."""
        if not self.fuses:
            return None
        if length not in self._fused:  # kept for as long as graphs use its tensors
            self._fused[length] = FusedStep(self.decoder, self.lm_head, self.buffers, length)
        step = partial(self._fused[length], tokens, positions)
        try:
            step()
        except Exception as error:
            self.fuses = False
            logger.warning("Decoding without fused kernels, which is slower: %s", error)
            return None
        return step


def find_runs(tokens: Sequence[int | Tensor]) -> Iterator[tuple[int, Tensor]]:
    """Those that are on the device: the row of the first, and all that lie there one behind the other for the rows that
    follow, as a single tensor."""
    row = 0
    while row < len(tokens):
        first, count = tokens[row], 1
        if isinstance(first, Tensor):
            while row + count < len(tokens) and _follows(first, tokens[row + count], count):
                count += 1
            yield row, first.as_strided((count,), (1,))
        row += count


def _follows(first: Tensor, token: int | Tensor, places: int) -> bool:
    """Whether `token` lies so many places behind `first`."""
    return (
        isinstance(token, Tensor)
        and token.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        and token.data_ptr() == first.data_ptr() + places * first.itemsize
    )


class _Rows:
    """The first rows of the pool as the cache of one step: writes at each row's position, shows `length` tokens."""

    def __init__(self, buffers: list[tuple[Tensor, Tensor]], positions: Tensor, length: int) -> None:
        self.buffers, self.positions, self.length = buffers, positions, length

    def update(self, first: Tensor, second: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        shown = []
        for buffer, new in zip(self.buffers[layer], (first, second), strict=True):
            rows = buffer[: len(self.positions)]
            rows.scatter_(2, self.positions[:, None, None, None].expand_as(new), new)
            shown.append(rows[:, :, : self.length])
        return shown[0], shown[1]

    def get_seq_length(self, layer: int = 0) -> int:
        return 0
