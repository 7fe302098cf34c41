# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# PyTorch leaves the types of many tensors open.
"""One request on its way through the engine: encode its pictures, prefill its prompt, decode its answer, in that order.

T prompt tokens, D decoder width.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dsvl2_app.engine.prefixes import Key
from dsvl2_app.engine.task import DecodeRequest, Steps, loses_device, wait_for
from dsvl2_app.errors import ContextError, PromptError, SettingsError
from dsvl2_app.model.cache import KVCache
from dsvl2_app.request import Event, ModelCard, Request, Timings
from dsvl2_app.text.repetition import Repetition
from dsvl2_app.text.sampling import Choice, Ranking, Sampler
from dsvl2_app.text.stream import TextStream
from dsvl2_app.text.tokens import Prompt

if TYPE_CHECKING:
    from dsvl2_app.engine.engine import Engine


logger = logging.getLogger(__name__)

TELLING = 128  # tokens of a prompt that tell how long one takes: fewer cost mostly what each step costs
CHECKED = 16  # tokens from one whose logits are looked at to the next, where they are sampled ahead


class Overflow(Exception):
    """The logits are no numbers."""


class Sequence:
    """A request, and what has become of it so far."""

    prompt: Prompt
    cache: KVCache
    timings: Timings

    def __init__(self, engine: Engine, request: Request, is_alone: Callable[[], bool]) -> None:
        """`is_alone` says whether nobody else is served meanwhile, so that larger pieces keep nobody waiting."""
        self.engine, self.request, self.is_alone = engine, request, is_alone
        self.cached_ids: list[int] = []  # of the answer, what the cache holds as far as is known

    @torch.inference_mode()
    def steps(self) -> Steps:
        """All of it. Raises PromptError where the conversation is malformed, ContextError where it is too long."""
        engine, owner = self.engine, self.request.owner
        self.prompt, key = yield from wait_for(engine.start_preparing(self.request))
        tokens = len(self.prompt.input_ids)
        if self.request.answer_prefix[-1:] == (engine.processor.tokenizer.eos_token_id,):
            yield Event("done", finish="eos", timings=Timings(prompt_tokens=tokens))
            return
        limit = min(self.request.sampling.max_new_tokens, engine.card.context - tokens)
        if limit < 1:
            raise explain_length(self.prompt, engine.card)
        self.cache = engine.prefixes.fork(owner, key, tokens + limit, self.prompt.shareable_prefix)
        try:
            embeds, self.timings, _ = yield from engine.pictures.embed(self.prompt, self.cache.get_seq_length())
            logits = yield from self._prefill(embeds)
            yield from self._decode(logits, limit)
        except Overflow as error:  # what was kept may be the cause, or hold what came of it
            self.cache.truncate(0)
            engine.forget()
            raise explain_overflow(engine.card, engine.model.dtype) from error
        finally:
            self._keep(key)

    def _keep(self, key: Key) -> None:
        """Leave the cache for the next question. Where that fails, the next question takes longer, and no more."""
        try:
            self.engine.runner.release(self.cache)
            owner = self.request.owner if self.request.keep else ""
            self.engine.prefixes.store(owner, self._extend(key), self.cache)
        except Exception as error:
            if loses_device(error):
                raise
            logger.exception("the keys and values of an answer could not be kept")

    def _extend(self, key: Key) -> Key:
        return np.concatenate((key, np.array(self.cached_ids, np.int64)))

    def _prefill(self, embeds: Tensor) -> Generator[Event | DecodeRequest, Any, Tensor]:
        """Embeds [1, T, D] behind what the cache holds -> logits [vocabulary] after the last; an event per chunk."""
        started, tokens = time.perf_counter(), self.prompt.input_ids[self.cache.get_seq_length() :]
        if self._prefers_decoding(tokens):
            for token in tokens[:-1]:
                yield DecodeRequest(token, self.cache)
            logits: Tensor = yield DecodeRequest(tokens[-1], self.cache)
            logits = logits.clone()  # others may take a step before this one goes on
            yield self._note_prefill(started)
            return logits
        runner = self.engine.runner
        while True:
            size = runner.chunk(embeds.shape[1], self.cache, alone=self.is_alone())
            hidden = runner.prefill(embeds[:, :size], self.cache)
            embeds = embeds[:, size:]
            yield self._note_prefill(started)
            if not embeds.shape[1]:
                return runner.model.lm_head(hidden[0, -1:])[0]

    def _prefers_decoding(self, tokens: list[int]) -> bool:
        """Whether decode steps take the rest of a prompt, few tokens of text, sooner than a prefill."""
        is_text = self.engine.processor.image_token_id not in tokens
        few = len(tokens) <= self.engine.runner.decode_prompt_up_to
        return bool(self.cache.get_seq_length() and few and is_text)

    def _note_prefill(self, started: float) -> Event:
        seconds, done = time.perf_counter() - started, self.cache.get_seq_length()
        if (read := done - self.timings.reused_tokens) >= TELLING:
            self.engine.prompt_pace = seconds / read
        self.timings = replace(
            self.timings,
            prefill=seconds,
            cache_bytes=self.cache.used_bytes,
            prompt_pace=self.engine.prompt_pace,
        )
        return Event("prefill", done=done, total=self.timings.prompt_tokens, timings=self.timings)

    def _decode(self, logits: Tensor, limit: int) -> Generator[Event | DecodeRequest, Any, None]:
        """An event per token, then the closing one. The end token ends an answer early, its text only
        where that is wanted of one that repeats itself.

        With `samples_ahead` the next step begins before the CPU has read the token. A grammar sees it while that step
        runs, so that only the choice after it waits for what may come next.
        """
        started, finish = time.perf_counter(), "length"
        writer = Writer(self, limit, logits.device)
        ahead = self.engine.runner.samples_ahead
        for number in range(1, limit + 1):
            picked = writer.pick(logits, number)
            if ahead and number < limit:
                logits = yield DecodeRequest(picked.choice.token, self.cache)
            token = picked.choice.read()
            if picked.is_finite and not picked.is_finite.read():
                raise Overflow
            if ahead and number < limit:
                self.cached_ids.append(token)
            if token == writer.end:
                finish = "eos"
                break
            seconds = time.perf_counter() - started
            self.timings = replace(self.timings, decode=seconds, new_tokens=number, cache_bytes=self.cache.used_bytes)
            yield writer.write(token, picked)
            if writer.repeats and number >= self.request.sampling.min_new_tokens:
                finish = "repetition"
                break
            if not ahead and number < limit:
                logits = yield DecodeRequest(token, self.cache)
                self.cached_ids.append(token)
        self.timings = replace(self.timings, decode=time.perf_counter() - started)
        yield Event("done", writer.stream.flush(), finish=finish, timings=self.timings)


class Picked(NamedTuple):
    """The next token, perhaps still on its way from a GPU, and what is told of it."""

    choice: Choice
    ranking: Ranking | None
    is_finite: Choice | None  # whether the logits were numbers


class Writer:
    """Logits -> tokens -> text of one answer."""

    def __init__(self, sequence: Sequence, limit: int, device: torch.device) -> None:
        """At most `limit` tokens."""
        self._sequence, self._limit = sequence, limit
        engine, request = sequence.engine, sequence.request
        self._sampler = Sampler(request.sampling, sequence.prompt.input_ids, device)
        self._boxes = engine.grammar.start() if request.grammar else None
        self._repetition = Repetition() if request.sampling.stop_repetition else None
        self.stream = TextStream(engine.processor.decode)
        self.end: int = engine.processor.tokenizer.eos_token_id
        for token in request.answer_prefix:
            self._begin_with(token)

    def pick(self, logits: Tensor, number: int) -> Picked:
        """The token after logits [vocabulary], the answer's `number`th from 1. Where tokens are sampled ahead not all
        logits are looked at: one that is no number makes those of all later tokens none, through keys and values."""
        engine, request = self._sequence.engine, self._sequence.request
        known = logits[: engine.vocabulary]
        allowed = self._boxes.allowed(room=self._limit - number + 1) if self._boxes else None
        banned = self.end if number <= request.sampling.min_new_tokens else None
        choice = None
        if allowed is None and self._sampler.takes_likeliest:
            choice = engine.likeliest.choose(logits, engine.vocabulary, banned)
        choice = choice or self._sampler.choose(known, allowed, banned)
        ranking = None if request.alternatives is None else Ranking(known, choice.token, request.alternatives)
        checks = not engine.runner.samples_ahead or number % CHECKED == 1 or number == self._limit
        return Picked(choice, ranking, Choice(logits.sum(dtype=torch.float32).isfinite()) if checks else None)

    def write(self, token: int, picked: Picked) -> Event:
        if self._boxes:
            self._boxes.advance(token)
        likelihoods = picked.ranking.read(self._sequence.engine.processor.tokenizer) if picked.ranking else ()
        timings, text = self._sequence.timings, self.stream.push(token)
        if self._repetition:
            self._repetition.push(text)
        return Event("decode", text, token, timings=timings, likelihoods=likelihoods)

    @property
    def repeats(self) -> bool:
        """Whether the answer has begun to repeat itself, where that is looked for."""
        return self._repetition is not None and self._repetition.found

    def _begin_with(self, token: int) -> None:
        """One that was given. Raises PromptError where the grammar does not allow it."""
        if self._boxes:
            allowed = self._boxes.allowed()
            if allowed is not None and token not in allowed:
                raise PromptError("The answer begins with boxes that are not well-formed; ask without that grammar.")
            self._boxes.advance(token)
        self.stream.push(token)


def explain_overflow(card: ModelCard, dtype: torch.dtype) -> SettingsError:
    return SettingsError(
        "{model} computes what is no number in {dtype}; start it with --dtype bfloat16 or float32, "
        "or check its weights.",
        model=card.name,
        dtype=str(dtype).removeprefix("torch."),
    )


def explain_length(prompt: Prompt, card: ModelCard) -> ContextError:
    values = dict(tokens=len(prompt.input_ids), model=card.name, context=card.context)
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
