"""How much memory a piece of work takes while it runs: the layers' own forward on tensors that have no memory.

PyTorch's meta device computes shapes alone. `Peak` watches every tensor that comes and goes, so that the most there
ever is of them at once is known without a weight being loaded.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.operations import Operations, use
from dsvl2_app.runtime.cpu import blocks


class Shapes(Operations):
    """Operations whose plain form asks for values, or has steps that fused kernels do without: only what comes out."""

    def linear_groups(self, rows: Tensor, weights: Tensor, scales: Tensor | None, counts: Tensor) -> Tensor:
        return rows.new_empty(len(rows), weights.shape[1])

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float) -> Tensor:
        width = values.shape[-1]
        if width < keys.shape[-1]:
            values = F.pad(values, (0, keys.shape[-1] - width))
        return torch.empty_like(queries)[..., :width]

    def attend_all(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return torch.empty_like(queries).transpose(1, 2)


class CpuShapes(Shapes):
    """Those of a CPU without compiled kernels, which take less."""

    int4_at_once = blocks.INT4_AT_ONCE

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float) -> Tensor:
        if mask is None and queries.dtype == torch.bfloat16 and queries.shape[2] > 1:
            return blocks.attend(queries, keys, values, mask, scale)
        new, total = queries.shape[2], keys.shape[2]
        looks = queries.new_empty(new, total, dtype=torch.long) if mask is None and 1 < new < total else None
        marks = None if looks is None else (looks.bool(), looks.to(queries.dtype))  # as torch writes the mask out
        context = super().attend(queries, keys, values, mask, scale)
        del marks
        return context

    def attend_all(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        if queries.dtype == torch.bfloat16:
            return blocks.attend_all(queries, keys, values)
        return super().attend_all(queries, keys, values)


class Peak(TorchDispatchMode):
    """Within a `with` block, the bytes of new tensors that are there at once, at most."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = self._live = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {each.untyped_storage()._cdata for each in tree_iter((args, kwargs)) if isinstance(each, Tensor)}
        results = func(*args, **(kwargs or {}))
        for result in tree_iter(results):
            if isinstance(result, Tensor):
                self._count(result.untyped_storage(), given)
        return results

    def _count(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        number = storage._cdata
        if number in given or number in self._known:
            return
        self._known.add(number)
        self._live += storage.nbytes()
        self.bytes = max(self.bytes, self._live)
        weakref.finalize(storage, self._forget, number, storage.nbytes())

    def _forget(self, number: int, nbytes: int) -> None:
        self._known.discard(number)
        self._live -= nbytes


class Taken(NamedTuple):
    """Bytes that come and go."""

    vision: int
    prefill: int


def rehearse(
    model: DeepseekVL2ForConditionalGeneration, tiles: int, chunk: int, context: int, *, on_cpu: bool
) -> Taken:
    """Of a model on the meta device: for a batch of `tiles`, and for a prompt of `context` tokens that is read in
    pieces of `chunk`, of which the last two take the most."""
    use(model, CpuShapes() if on_cpu else Shapes())
    side = model.config.geometry.tile
    pixels = torch.empty(tiles, 3, side, side, device="meta")
    last = context % chunk or chunk
    pieces = [(context - last, last), (context - last - chunk, chunk)][: 2 if context > last else 1]
    return Taken(measure(lambda: model.encode_tiles(pixels)), max(_measure_prefill(model, *piece) for piece in pieces))


def _measure_prefill(model: DeepseekVL2ForConditionalGeneration, known: int, new: int) -> int:
    """For the next `new` tokens of a prompt, behind `known` ones."""
    config = model.config.language_config
    embeds = torch.empty(1, new, config.hidden_size, dtype=model.dtype, device="meta")
    cache = KVCache(config, known + new)
    with torch.inference_mode():
        for layer in range(config.num_hidden_layers):
            cache.update(*empty_entries(config, known or 1, model.dtype), layer)
        cache.truncate(known)
    return measure(lambda: model.lm_head(model.decoder(embeds, cache=cache)[:, -1:]))


def measure(run: Callable[[], Any]) -> int:
    with torch.inference_mode(), torch.device("meta"), Peak() as peak:
        run()
    return peak.bytes


def empty_entries(config: Any, tokens: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """What `tokens` tokens would leave in a layer of a cache, without memory."""
    shapes = [(1, 1, tokens, config.kv_lora_rank), (1, 1, tokens, config.qk_rope_head_dim)]
    if not config.use_mla:
        shapes = [(1, config.num_key_value_heads, tokens, config.head_dim)] * 2
    first, second = (torch.empty(shape, dtype=dtype, device="meta") for shape in shapes)
    return first, second
