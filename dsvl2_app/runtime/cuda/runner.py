"""The runner of a GPU: vision, prompts and decode as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor

from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.runtime.cuda.decode import GraphDecoder
from dsvl2_app.runtime.cuda.graphs import Recorded
from dsvl2_app.runtime.cuda.operations import CudaOperations
from dsvl2_app.runtime.cuda.prefill import GraphPrefill, can_record
from dsvl2_app.runtime.eager import EagerRunner
from dsvl2_app.runtime.runner import Options


class CudaRunner(EagerRunner):
    """On a single GPU everything runs as graphs, unless memory is too short for a conversation's row. That GPU need not
    be the current one of the thread that calls."""

    cuts_on_device = True
    operations_type = CudaOperations
    prefill_chunk = 2048  # launch overhead exceeds compute for smaller chunks

    def __init__(self, model: DeepseekVL2ForConditionalGeneration, context: int, *, fuses: bool = True) -> None:
        """`context` bounds the tokens of a conversation. `fuses`: with kernels of our own and with graphs of vision and
        prompts; else decode alone is a graph, of the layers' own forward."""
        super().__init__(model)
        self.graphs: GraphDecoder | None = None
        self.graph_vision: GraphVision | None = None
        self.graph_prefill: GraphPrefill | None = None
        self._warm_ups: Iterator[Callable[[], None]] = iter(())
        self.is_spread = len({parameter.device for parameter in model.parameters()}) > 1
        if not self.is_spread:
            with self._here():
                self._prepare_graphs(context, fuses)
            self._warm_ups = self._list_warm_ups()

    @classmethod
    def start(cls, model: DeepseekVL2ForConditionalGeneration, options: Options) -> CudaRunner:
        return cls(model, options.context, fuses=options.compile != "off")

    def _prepare_graphs(self, context: int, fuses: bool) -> None:
        model, config = self.model, self.model.config.language_config
        per_token = config.num_hidden_layers * config.cache_width * model.dtype.itemsize
        graphs = GraphDecoder(model.decoder, model.lm_head, per_token, context, fuses)
        self.graphs = graphs if graphs.max_batch else None
        if fuses:
            side = model.config.geometry.tile
            self.graph_vision = GraphVision(model.encode_tiles, self.tile_batch, side, model.device)
            if can_record(model.decoder):
                self.graph_prefill = GraphPrefill(model.decoder, config)

    def _here(self) -> AbstractContextManager[object]:
        """Makes its GPU the current one, on whose streams graphs are recorded and kernels launched."""
        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()

    @property
    def max_batch(self) -> int | None:  # type: ignore[override]
        return self.graphs.max_batch if self.graphs else None

    @property
    def samples_ahead(self) -> bool:  # type: ignore[override]
        return self.graphs is not None

    @property
    def decode_prompt_up_to(self) -> int:  # type: ignore[override]
        """With at most this many tokens, replaying the decode graph for each beats a prefill without a graph (11 ms
        against 25, tiny on an H200)."""
        return 32 if self.graphs else 0

    def encode(self, tiles: Tensor) -> Tensor:
        with self._here():
            return self.graph_vision(tiles) if self.graph_vision else super().encode(tiles)

    def chunk(self, tokens: int, cache: KVCache, *, alone: bool) -> int:
        if self.graph_prefill and self.graph_prefill.supports(tokens, cache):
            return tokens
        return super().chunk(tokens, cache, alone=alone)

    def prefill(self, embeds: Tensor, cache: KVCache) -> Tensor:
        with self._here():
            if self.graph_prefill and self.graph_prefill.supports(embeds.shape[1], cache):
                return self.graph_prefill(embeds, cache)
            return super().prefill(embeds, cache)

    @torch.inference_mode()
    def decode(self, tokens: Sequence[int | Tensor], caches: Sequence[KVCache]) -> Tensor:
        with self._here():
            return self.graphs.forward(tokens, caches) if self.graphs else super().decode(tokens, caches)

    def release(self, cache: KVCache) -> None:
        if self.graphs:
            self.graphs.release(cache)

    def warm_up(self) -> bool:
        """Record one graph: of decode for one conversation, then of vision, then of prompts. The first of each also
        compile their kernels."""
        record = next(self._warm_ups, None)
        if record is not None:
            with self._here(), torch.inference_mode():
                record()
        return record is not None

    def _list_warm_ups(self) -> Iterator[Callable[[], None]]:
        if self.device.type != "cuda":
            return
        if self.graphs:
            yield from self.graphs.list_warm_ups(self._begin)
        if self.graph_vision:
            yield from self.graph_vision.list_warm_ups()
        if self.graph_prefill:
            yield from self.graph_prefill.list_warm_ups()

    def _begin(self) -> KVCache:
        """A conversation of one token."""
        assert self.graphs
        cache = KVCache(self.model.config.language_config, self.graphs.context)
        first = torch.zeros(1, 1, dtype=torch.long, device=self.device)
        super().prefill(self.model.decoder.embed_tokens(first), cache)
        return cache

    def describe(self) -> str:
        if self.is_spread:
            return "layer by layer, because several devices share it: graphs and fused kernels are for a single one"
        if self.graphs is None:
            return "layer by layer, because memory is too short for graphs"
        kinds = [("kernels of our own", self.graphs.fuses), ("graphs of vision", self.graph_vision is not None)]
        return ", ".join(["as graphs of decode", *(name for name, there in kinds if there)])


class GraphVision:
    """Like `encode` (normalised tiles [N, 3, H, W] -> tokens [N, s * s, D]), for up to `most` tiles, as a CUDA graph
    per number of tiles."""

    def __init__(self, encode: Callable[[Tensor], Tensor], most: int, side: int, device: torch.device) -> None:
        self._tiles = torch.zeros(most, 3, side, side, device=device)
        self._encode = Recorded(lambda count: encode(self._tiles[:count]), device)

    def list_warm_ups(self) -> Iterator[Callable[[], None]]:
        return (partial(self._encode.prepare, count) for count in range(1, len(self._tiles) + 1))

    def __call__(self, tiles: Tensor) -> Tensor:
        self._tiles[: len(tiles)] = tiles
        return self._encode(len(tiles)).clone()
