"""One answer, step by step: prompt -> tiles -> features -> prefill -> decode, as a generator.

T prompt tokens, D decoder width, N tiles, B answers that decode together. The engine knows nothing of threads or
callers; `backend.local` does.

`serve` is cooperative. It yields a `Event` for the reader; a `Future` when it cannot go on before that is done; and a
`Feed` when it wants the logits after one more token, which whoever drives it gets from `forward`, for as many answers
at once as there are, and sends back. `answer` drives one alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsvl2_app.engine.pictures import Pictures, wait_for
from dsvl2_app.engine.prefixes import PrefixCache, identify
from dsvl2_app.errors import ContextError, SettingsError
from dsvl2_app.image.load import content_hash
from dsvl2_app.model.cache import KVCache
from dsvl2_app.request import Event, Finish, ModelCard, PromptPlan, Request, Timings
from dsvl2_app.runtime import Runner
from dsvl2_app.text.grammar import BoxGrammar
from dsvl2_app.text.processor import DeepseekVL2Processor
from dsvl2_app.text.prompt import Message
from dsvl2_app.text.sampling import Choice, Ranking, Sampler
from dsvl2_app.text.stream import TextStream
from dsvl2_app.text.tokens import Prompt

CACHE_BYTES = 2**30
FEATURE_SHARE = 0.25  # of the cache for features of pictures, the rest for keys and values


@dataclass(frozen=True, slots=True)
class Feed:
    """The logits after `token`, which joins `cache`, are wanted. It may be a number on the device."""

    token: int | Tensor
    cache: KVCache


Serving = Generator["Event | Future[Any] | Feed", "Tensor | None", None]


class Engine:
    def __init__(
        self,
        runner: Runner,
        processor: DeepseekVL2Processor,
        card: ModelCard,
        vocabulary: int | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        """`vocabulary` keeps a model with random weights to the ids that its tokenizer can spell."""
        self.runner = runner
        self.model = runner.model
        self.processor = processor
        self.card = card
        self.vocabulary = vocabulary
        self.cache_bytes = cache_bytes
        self._threads = ThreadPoolExecutor(2, "prepare")  # for what needs no model: tokens, hashes, tiles
        self.pictures = Pictures(runner, processor, self._threads, int(cache_bytes * FEATURE_SHARE))
        self.forget()
        self._tokenizer_lock = threading.Lock()  # `plan` is called from other threads than `serve`

    def forget(self) -> None:
        """Empty the caches. Features are found by content, whoever asks; so are keys and values of pictures that come
        before any words, all others by their owner alone."""
        self.pictures.forget()
        self.prefixes = PrefixCache(self.model.config.language_config, int(self.cache_bytes * (1 - FEATURE_SHARE)))

    @cached_property
    def grammar(self) -> BoxGrammar:
        return BoxGrammar(self.processor.tokenizer)

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        """Tokens and tile layouts of a conversation, without running the model."""
        prompt = self._build(Request(messages, tiling=tiling, max_tiles=max_tiles))
        return PromptPlan(len(prompt.input_ids), tuple(prompt.layouts), self.card.context)

    def answer(self, request: Request) -> Generator[Event, None, None]:
        """Steps of one answer that is served alone; closing the generator between two of them stops the work.

        Raises PromptError where the conversation is malformed, ContextError where it is longer than the context.
        """
        serving, reply = self.serve(request), None
        try:
            while True:
                item = serving.send(reply)
                reply = None
                if isinstance(item, Event):
                    yield item
                elif isinstance(item, Feed):
                    reply = self.forward([item])[0]
                else:
                    item.exception()  # waits; what went wrong is raised in `serve`
        except StopIteration:
            return
        finally:
            serving.close()

    @torch.inference_mode()
    def forward(self, feeds: Sequence[Feed]) -> Tensor:
        """One token of each of B answers -> logits [B, vocabulary]."""
        return self.runner.decode([feed.token for feed in feeds], [feed.cache for feed in feeds])

    @torch.inference_mode()
    def serve(self, request: Request, is_alone: Callable[[], bool] = lambda: True) -> Serving:
        """One answer; see the module. `is_alone` says whether nobody else is served meanwhile, so that larger pieces
        keep nobody waiting. Raises as `answer` does."""
        prompt, digests = yield from wait_for(self._threads.submit(self.prepare, request))
        room = self.card.context - len(prompt.input_ids)
        if room < 1:
            raise self._explain_length(prompt)
        key, fed = identify(prompt, digests), list[int]()
        capacity = self.card.context - max(0, room - request.sampling.max_new_tokens)
        cache = self.prefixes.fork(request.owner, key, capacity, prompt.opening)
        try:
            embeds, timings = yield from self.pictures.embed(prompt, digests, cache.get_seq_length())
            rest = prompt.input_ids[cache.get_seq_length() :]
            if self._can_feed(rest, cache):
                logits, timings = yield from self._feed(rest, cache, timings)
            else:
                logits, timings = yield from self._prefill(embeds, cache, timings, is_alone)
            yield from self._decode(request, prompt, cache, logits, room, timings, fed)
        finally:
            self.runner.release(cache)
            self.prefixes.store(request.owner, np.concatenate((key, np.array(fed, np.int64))), cache)

    @property
    def max_batch(self) -> int | None:
        """How many answers may decode together; None: any number."""
        return self.runner.max_batch

    def _build(self, request: Request) -> Prompt:
        with self._tokenizer_lock:
            return self.processor.build(
                request.messages,
                allow=request.allow,
                tiling=request.tiling,
                max_tiles=request.max_tiles,
                context=self.card.context,
            )

    def prepare(self, request: Request) -> tuple[Prompt, list[bytes]]:
        """The prompt, and a digest of each image's pixels."""
        prompt = self._build(request)
        return prompt, [content_hash(image) for image in prompt.images]

    def _prefill(
        self, embeds: Tensor, cache: KVCache, timings: Timings, is_alone: Callable[[], bool]
    ) -> Generator[Event, Any, tuple[Tensor, Timings]]:
        """Logits [vocabulary] after the whole prompt; a step after each chunk."""
        started = time.perf_counter()
        while True:
            size = self.runner.chunk(embeds.shape[1], cache, alone=is_alone())
            hidden = self.runner.prefill(embeds[:, :size], cache)
            embeds = embeds[:, size:]
            seconds = time.perf_counter() - started
            timings = replace(timings, prefill=seconds, cache_bytes=cache.used_bytes)
            yield Event("prefill", done=cache.get_seq_length(), total=timings.prompt_tokens, timings=timings)
            if not embeds.shape[1]:
                return self.model.lm_head(hidden[0, -1:])[0], timings

    def _can_feed(self, tokens: list[int], cache: KVCache) -> bool:
        """Whether graphs of decode take the rest of a prompt sooner than layers without graphs."""
        is_text = self.processor.image_token_id not in tokens
        return bool(cache.get_seq_length() and len(tokens) <= self.runner.decode_prompt_up_to and is_text)

    def _feed(
        self, tokens: list[int], cache: KVCache, timings: Timings
    ) -> Generator[Event | Feed, Any, tuple[Tensor, Timings]]:
        """`_prefill` of few tokens of text, each with a step of those who decode."""
        started = time.perf_counter()
        for token in tokens[:-1]:
            yield Feed(token, cache)
        logits: Tensor = yield Feed(tokens[-1], cache)
        logits = logits.clone()  # others may take a step before this one goes on
        timings = replace(timings, prefill=time.perf_counter() - started, cache_bytes=cache.used_bytes)
        yield Event("prefill", done=cache.get_seq_length(), total=timings.prompt_tokens, timings=timings)
        return logits, timings

    def _decode(
        self,
        request: Request,
        prompt: Prompt,
        cache: KVCache,
        logits: Tensor,
        room: int,
        timings: Timings,
        fed: list[int],
    ) -> Generator[Event | Feed, Any, None]:
        """A step per token, then the closing one; what the cache has been fed is noted in `fed`. Only the end token
        ends an answer early, never its text."""
        started = time.perf_counter()
        sampler = Sampler(request.sampling, prompt.input_ids, logits.device)
        boxes = self.grammar.start() if request.grammar else None
        stream = TextStream(self.processor.decode)
        limit, end = min(request.sampling.max_new_tokens, room), self.processor.tokenizer.eos_token_id
        finish: Finish = "length"
        for number in range(1, limit + 1):
            allowed = boxes.allowed(room=limit - number + 1) if boxes else None
            banned = end if number <= request.sampling.min_new_tokens else None
            choice = sampler.choose(logits[: self.vocabulary], allowed, banned)
            likely = request.alternatives
            ranking = None if likely is None else Ranking(logits[: self.vocabulary], choice.token, likely)
            # a GPU is asked once an answer: what overflows does so in its prompt
            sound = (
                Choice(logits.sum(dtype=torch.float32).isfinite())
                if number == 1 or not self.runner.samples_ahead
                else None
            )
            feeds_first = self.runner.samples_ahead and not boxes and number < limit
            if feeds_first:
                logits = yield Feed(choice.token, cache)
            token = choice.read()
            if sound and not sound.read():
                raise self._explain_overflow()
            if feeds_first:
                fed.append(token)
            if token == end:
                finish = "eos"
                break
            if boxes:
                boxes.advance(token)
            seconds = time.perf_counter() - started
            timings = replace(timings, decode=seconds, new_tokens=number, cache_bytes=cache.used_bytes)
            likelihoods = ranking.read(self.processor.tokenizer) if ranking else ()
            yield Event("decode", stream.push(token), token, timings=timings, likelihoods=likelihoods)
            if number < limit and not feeds_first:
                logits = yield Feed(token, cache)
                fed.append(token)
        timings = replace(timings, decode=time.perf_counter() - started)
        yield Event("done", stream.flush(), finish=finish, timings=timings)

    def _explain_overflow(self) -> SettingsError:
        return SettingsError(
            "{model} computes what is no number in {dtype}; start it with --dtype bfloat16 or float32, "
            "or check its weights.",
            model=self.card.name,
            dtype=str(self.model.dtype).removeprefix("torch."),
        )

    def _explain_length(self, prompt: Prompt) -> ContextError:
        values = dict(tokens=len(prompt.input_ids), model=self.card.name, context=self.card.context)
        if not prompt.images:
            return ContextError(
                "The conversation has {tokens} tokens and {model} holds {context} with its answer; "
                "remove pictures or earlier turns, or write less.",
                **values,
            )
        return ContextError(
            "The conversation has {tokens} tokens, {share} of them for {pictures} picture(s), and {model} holds "
            "{context} with its answer; remove pictures or earlier turns, or write less.",
            share=sum(layout.num_tokens for layout in prompt.layouts),
            pictures=len(prompt.images),
            **values,
        )
