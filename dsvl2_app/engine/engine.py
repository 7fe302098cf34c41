"""One answer, step by step: prompt -> tiles -> features -> prefill -> decode, as a generator of `Step`s.

T prompt tokens, D decoder width, N tiles. The engine knows nothing of threads or callers; `worker` does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from dsvl2_app.engine.request import Finish, ModelCard, PromptPlan, Request, Step, Timings
from dsvl2_app.errors import PromptError
from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.vision import merge_identical
from dsvl2_app.text.grammar import BoxGrammar
from dsvl2_app.text.processor import DeepseekVL2Processor, Prompt
from dsvl2_app.text.prompt import Message
from dsvl2_app.text.sampling import Sampler
from dsvl2_app.text.stream import TextStream

PREFILL_CHUNK = 512  # tokens between two chances to serve others, report progress or stop


class Engine:
    def __init__(
        self,
        model: DeepseekVL2ForConditionalGeneration,
        processor: DeepseekVL2Processor,
        card: ModelCard,
        prefill_chunk: int = PREFILL_CHUNK,
        vocabulary: int | None = None,
    ) -> None:
        """`vocabulary` keeps a model with random weights to the ids that its tokenizer can spell."""
        self.model = model
        self.processor = processor
        self.card = card
        self.prefill_chunk = prefill_chunk
        self.vocabulary = vocabulary
        self._tokenizer_lock = threading.Lock()  # `plan` is called from other threads than `answer`

    @cached_property
    def grammar(self) -> BoxGrammar:
        return BoxGrammar(self.processor.tokenizer)

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        """Tokens and tile layouts of a conversation, without running the model."""
        prompt = self._build(Request(messages, tiling=tiling, max_tiles=max_tiles))
        return PromptPlan(len(prompt.input_ids), tuple(prompt.layouts), self.card.context)

    @torch.inference_mode()
    def answer(self, request: Request) -> Iterator[Step]:
        """Steps of one answer; closing the generator between two of them stops the work.

        Raises PromptError where the conversation is malformed or longer than the context.
        """
        prompt = self._build(request)
        room = self.card.context - len(prompt.input_ids)
        if room < 1:
            raise PromptError(self._explain_length(prompt))
        embeds, timings = yield from self._encode(prompt)
        cache = KVCache(
            self.model.config.language_config,
            self.card.context - max(0, room - request.sampling.max_new_tokens),
        )
        logits, timings = yield from self._prefill(embeds, cache, timings)
        yield from self._decode(request, prompt, cache, logits, room, timings)

    def _build(self, request: Request) -> Prompt:
        with self._tokenizer_lock:
            return self.processor.build(
                request.messages, allow=request.allow, tiling=request.tiling, max_tiles=request.max_tiles
            )

    def _encode(self, prompt: Prompt) -> Generator[Step, None, tuple[Tensor, Timings]]:
        """Embeds [1, T, D] of text and images; a step after each batch of tiles."""
        started = time.perf_counter()
        distinct, twins = merge_identical(torch.from_numpy(self.processor.cut(prompt)))
        timings = Timings(tiles=len(twins), encoded_tiles=len(distinct), prompt_tokens=len(prompt.input_ids))
        tokens: list[Tensor] = []
        if len(distinct):
            yield Step("vision", done=0, total=len(distinct), timings=timings)
        for batch in distinct.split(self.model.tile_batch) if len(distinct) else ():
            tokens.append(self.model.encode_tiles(self.processor.normalise(batch.to(self.model.device))))
            timings = replace(timings, vision=time.perf_counter() - started)
            yield Step("vision", done=sum(map(len, tokens)), total=len(distinct), timings=timings)
        embeds = self.model.embed(torch.tensor([prompt.input_ids], device=self.model.device))
        if tokens:
            views = torch.cat(tokens)[twins.to(self.model.device)].split(
                [layout.num_tiles for layout in prompt.layouts]
            )
            for view, layout, start in zip(views, prompt.layouts, prompt.starts, strict=True):
                embeds[0, start : start + layout.num_tokens] = self.model.adaptor.arrange(view, layout.grid)
        return embeds, timings

    def _prefill(
        self, embeds: Tensor, cache: KVCache, timings: Timings
    ) -> Generator[Step, None, tuple[Tensor, Timings]]:
        """Logits [vocabulary] after the whole prompt; a step after each chunk."""
        started, total = time.perf_counter(), embeds.shape[1]
        for chunk in embeds.split(self.prefill_chunk, dim=1):
            hidden = self.model.decoder(chunk, cache=cache)
            timings = replace(timings, prefill=time.perf_counter() - started)
            yield Step("prefill", done=cache.get_seq_length(), total=total, timings=timings)
        return self.model.lm_head(hidden[0, -1]), timings

    def _decode(
        self, request: Request, prompt: Prompt, cache: KVCache, logits: Tensor, room: int, timings: Timings
    ) -> Iterator[Step]:
        """A step per token, then the closing one. Only the end token ends an answer early, never its text."""
        started = time.perf_counter()
        sampler = Sampler(request.sampling, prompt.input_ids, logits.device)
        boxes = self.grammar.start() if request.grammar else None
        stream = TextStream(self.processor.decode)
        limit = min(request.sampling.max_new_tokens, room)
        finish: Finish = "length"
        for number in range(1, limit + 1):
            allowed = boxes.allowed(room=limit - number + 1) if boxes else None
            token = sampler.choose(logits[: self.vocabulary], allowed)
            if token == self.processor.tokenizer.eos_token_id:
                finish = "eos"
                break
            if boxes:
                boxes.advance(token)
            timings = replace(timings, decode=time.perf_counter() - started, new_tokens=number)
            yield Step("decode", stream.push(token), token, timings=timings)
            if number < limit:
                embeds = self.model.decoder.embed_tokens(torch.tensor([[token]], device=self.model.device))
                logits = self.model.lm_head(self.model.decoder(embeds, cache=cache)[0, -1])
        timings = replace(timings, decode=time.perf_counter() - started)
        yield Step("done", stream.flush(), finish=finish, timings=timings)

    def _explain_length(self, prompt: Prompt) -> str:
        pictures = sum(layout.num_tokens for layout in prompt.layouts)
        share = f", {pictures} of them for {len(prompt.images)} picture(s)," if pictures else ""
        return (
            f"The conversation has {len(prompt.input_ids)} tokens{share} and {self.card.name} holds "
            f"{self.card.context} with its answer; remove pictures or earlier turns, or write less."
        )
