"""The prompt of a fresh conversation on a GPU, as a CUDA graph per length.

Lengths are rounded up. Padding comes after the prompt, where causal attention never sees it, and its keys are not
copied out. T prompt tokens, D decoder width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.decoder import Decoder
from dsvl2_app.model.experts import Experts
from dsvl2_app.model.sections import DecoderConfig
from dsvl2_app.runtime.cuda.graphs import Recorded
from dsvl2_app.runtime.cuda.launcher import has_triton
from dsvl2_app.runtime.cuda.operations import OWN_STACKS

BUCKET = 128  # lengths are multiples of it
MOST = 2048  # tokens; longer prompts keep a GPU busy without graphs


def can_record(decoder: Decoder) -> bool:
    """Whether experts of a prompt run without asking the CPU how many tokens each of them has: with kernels of our own,
    or with torch's from Hopper on, which int4 weights are made wide for."""
    weight = decoder.norm.weight
    if not weight.is_cuda or weight.dtype != torch.bfloat16:
        return False
    capability = torch.cuda.get_device_capability(weight.device)
    stacks = [stack for each in decoder.modules() if isinstance(each, Experts) for stack in (each.gate_up, each.down)]
    ours = has_triton() and {stack.dtype for stack in stacks} <= OWN_STACKS
    return capability >= ((8, 0) if ours else (9, 0)) and (ours or hasattr(F, "grouped_mm"))


class GraphPrefill:
    def __init__(self, decoder: Decoder, config: DecoderConfig) -> None:
        weight = decoder.norm.weight
        self.decoder = decoder
        self._embeds = torch.zeros(1, MOST, config.hidden_size, dtype=weight.dtype, device=weight.device)
        self._last = torch.zeros(1, dtype=torch.long, device=weight.device)  # of the prompt
        self._cache = KVCache(config, MOST)
        self._run = Recorded(self._prefill, weight.device)

    @staticmethod
    def supports(tokens: int, cache: KVCache) -> bool:
        return cache.get_seq_length() == 0 and tokens <= MOST

    def __call__(self, embeds: Tensor, cache: KVCache) -> Tensor:
        """Embeds [1, T, D] into an empty cache -> normalised hidden state of the last token [1, 1, D]."""
        tokens = embeds.shape[1]
        self._embeds[:, :tokens] = embeds
        self._last.fill_(tokens - 1)
        hidden = self._run(-(-tokens // BUCKET) * BUCKET)
        for layer, (first, second) in enumerate(self._cache.pairs):
            cache.update(first[..., :tokens, :], second[..., :tokens, :], layer)
        return hidden.clone()

    def list_warm_ups(self) -> Iterator[Callable[[], None]]:
        """One for each length."""
        return (partial(self._warm_up, length) for length in range(BUCKET, MOST + 1, BUCKET))

    def _warm_up(self, length: int) -> None:
        self._last.zero_()  # that of an earlier prompt may lie behind this one
        self._run.prepare(length)

    def _prefill(self, length: int) -> Tensor:
        self._cache.truncate(0)
        return self.decoder(self._embeds[:, :length], cache=self._cache).index_select(1, self._last)
