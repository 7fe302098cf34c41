"""How a model runs: what the engine asks of a device, whatever the device is.

T tokens, D decoder width, N tiles, B conversations that decode together.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration

if TYPE_CHECKING:
    from dsvl2_app.runtime.cpu.library import Library


@dataclass(frozen=True, slots=True)
class Options:
    """What `choose` was told."""

    compile: str  # "on", "auto" or "off", as --compile
    context: int  # tokens of a conversation, at most
    library: Future[Library] | None = None  # of a CPU, perhaps still being built


class Runner(Protocol):
    """Runs one model for one engine. Everything but the attributes is for the engine's thread alone.

    Whatever runs, the numbers are those of the layers' own forward (`eager`), to rounding.
    """

    model: DeepseekVL2ForConditionalGeneration
    tile_batch: int  # tiles that are one piece of work
    prefill_chunk: int  # tokens of a prompt between two chances to serve others, report progress or stop
    cuts_on_device: bool  # the device cuts pictures into tiles sooner than a thread of the CPU does
    samples_ahead: bool  # a token is fed before the CPU has read it, so that the device need not wait
    decode_prompt_up_to: int  # tokens behind a known prefix that decode steps take sooner than `prefill` does

    @property
    def max_batch(self) -> int | None:
        """How many conversations may decode together; None: any number."""
        ...

    def encode(self, tiles: Tensor) -> Tensor:
        """Normalised tiles [N, 3, side, side], at most `tile_batch` -> tokens [N, s * s, D]."""
        ...

    def chunk(self, tokens: int, cache: KVCache, *, alone: bool) -> int:
        """How many of a prompt's `tokens` are one piece of work behind what `cache` holds; `alone`: nobody else is
        served meanwhile."""
        ...

    def prefill(self, embeds: Tensor, cache: KVCache) -> Tensor:
        """Embeds [1, T, D] of a chunk, which join `cache` -> the normalised hidden state of the last one [1, 1, D]."""
        ...

    def decode(self, tokens: Sequence[int | Tensor], caches: Sequence[KVCache]) -> Tensor:
        """One token for each of B conversations -> logits [B, vocabulary], valid until the next step. A token may
        still be on the device."""
        ...

    def release(self, cache: KVCache) -> None:
        """A conversation decodes no more; `cache` keeps what it holds."""
        ...

    def warm_up(self) -> bool:
        """Make one thing ready that would otherwise be made when it is first needed, while nobody waits; False when
        there is nothing left."""
        ...

    def describe(self) -> str:
        """What runs, and why, in half a sentence."""
        ...
