"""The layers' own forward: what runs on a device that has no runner of its own (Apple's), and what every other runner
is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.operations import Operations, use
from dsvl2_app.runtime.runner import Options

ALONE = 2  # chunks at once while nobody else is served: experts with more tokens are faster per token


class EagerRunner:
    """A `Runner` in plain torch. The others derive from it and override what their device does faster."""

    tile_batch = 16  # a device that is not the CPU is idle with few
    cuts_on_device = False
    samples_ahead = False
    decode_prompt_up_to = 0
    max_batch: int | None = None
    operations_type: type[Operations] = Operations
    prefill_chunk = 512  # tokens between two chances to serve others, report progress or stop

    def __init__(self, model: DeepseekVL2ForConditionalGeneration) -> None:
        """The layers of `model` call this runner's operations from now on."""
        self.model, self.device = model, model.device
        self.operations = self.operations_type()
        use(model, self.operations)

    @classmethod
    def start(cls, model: DeepseekVL2ForConditionalGeneration, options: Options) -> EagerRunner:
        """As `runtime.choose` wants it."""
        return cls(model)

    def encode(self, tiles: Tensor) -> Tensor:
        return self.model.encode_tiles(tiles)

    def chunk(self, tokens: int, cache: KVCache, *, alone: bool) -> int:
        return min(tokens, self.prefill_chunk * (ALONE if alone else 1))

    def prefill(self, embeds: Tensor, cache: KVCache) -> Tensor:
        return self.model.decoder(embeds, cache=cache)[:, -1:]

    @torch.inference_mode()
    def decode(self, tokens: Sequence[int | Tensor], caches: Sequence[KVCache]) -> Tensor:
        ids = torch.tensor([[int(token)] for token in tokens], device=self.device)
        hidden = self.step(self.model.decoder.embed_tokens(ids), caches)
        return self.model.lm_head(hidden[:, 0])

    def step(self, embeds: Tensor, caches: Sequence[KVCache]) -> Tensor:
        """Embeds of one token of each of B conversations [B, 1, D] -> normalised hidden states [B, 1, D]."""
        return self.model.decoder.decode(embeds, caches)

    def release(self, cache: KVCache) -> None:
        """Every cache has memory of its own already."""

    def warm_up(self) -> bool:
        """Nothing is made beforehand."""
        return False

    def describe(self) -> str:
        return "in plain torch, because no runner knows this device"
