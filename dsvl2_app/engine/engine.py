# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# PyTorch leaves the types of many tensors open.
"""What answers: a model's runner, with caches of pictures and of earlier turns.

The engine knows nothing of threads or callers; `backend.local` does. An answer is a `Task`, done in pieces; whoever
drives several hands all that want their next token to `decode` at once. `answer` drives one alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import cached_property

import torch
from torch import Tensor

from dsvl2_app.engine.pictures import Pictures
from dsvl2_app.engine.prefixes import Key, PrefixCache, identify
from dsvl2_app.engine.sequence import Sequence as Answering
from dsvl2_app.engine.task import DecodeRequest, Task, loses_device
from dsvl2_app.errors import PromptError
from dsvl2_app.request import Event, ModelCard, PromptPlan, Request
from dsvl2_app.runtime import Runner
from dsvl2_app.runtime.devices import gpu_memory
from dsvl2_app.text.grammar import BoxGrammar
from dsvl2_app.text.planner import Planner
from dsvl2_app.text.processor import DeepseekVL2Processor
from dsvl2_app.text.prompt import Message
from dsvl2_app.text.sampling import Likeliest
from dsvl2_app.text.tokens import Prompt

logger = logging.getLogger(__name__)

CACHE_BYTES = 2**30
FEATURE_SHARE = 0.25  # of the cache for features of pictures, the rest for keys and values


class Engine:
    """One model that answers many.

    | method | may be called from |
    |---|---|
    | `serve`, `answer`, `decode`, `decode_each`, `forget`, `advance` of tasks | one thread, always the same |
    | `plan`, `prepare`, `count_memory` | any thread, at any time; the tokenizer is locked |
    | `start_preparing` | any thread; `prepare` then runs on a thread of the engine's own pool, as reading tiles does |
    """

    def __init__(
        self,
        runner: Runner,
        processor: DeepseekVL2Processor,
        card: ModelCard,
        vocabulary: int | None = None,
        cache_bytes: int = CACHE_BYTES,
        threads: Executor | None = None,
    ) -> None:
        """`vocabulary` keeps a model with random weights to the ids that its tokenizer can spell. `threads` run what
        needs no model: tokens, hashes, tiles; by default two of the engine's own."""
        self.runner = runner
        self.model = runner.model
        self.processor = processor
        self.card = card
        self.vocabulary = vocabulary
        self.cache_bytes = cache_bytes
        self._threads = threads or ThreadPoolExecutor(2, "prepare")
        self._planner = Planner(processor)
        self.likeliest = Likeliest(torch.empty(0, 1))  # of the last step
        self.prompt_pace = 0.0  # seconds a token of the last long prompt took
        self.pictures = Pictures(runner, processor, self._threads, int(cache_bytes * FEATURE_SHARE))
        self.forget()

    def forget(self) -> None:
        """Empty the caches. Features are found by content, whoever asks; so are keys and values of pictures that come
        before any words, all others by their owner alone."""
        self.pictures.forget()
        self.prefixes = PrefixCache(self.model.config.language_config, int(self.cache_bytes * (1 - FEATURE_SHARE)))

    @cached_property
    def grammar(self) -> BoxGrammar:
        return BoxGrammar(self.processor.tokenizer)

    @property
    def max_batch(self) -> int | None:
        """How many answers may decode together; None: any number."""
        return self.runner.max_batch

    @cached_property
    def _weights(self) -> int:
        return sum(parameter.nbytes for parameter in self.model.parameters())

    def warm_up(self) -> bool:
        """Make one thing ready while nobody asks; False when there is nothing left."""
        return self.runner.warm_up()

    def count_memory(self) -> dict[str, int]:
        """Bytes of weights and of what is kept, and of all that PyTorch holds on a GPU."""
        held = {"weights": self._weights, "pictures": self.pictures.kept.nbytes, "prefixes": self.prefixes.nbytes}
        on_gpu = gpu_memory(self.model.device)
        return held if on_gpu is None else held | {"gpu": on_gpu}

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        """Tokens and tile layouts of a conversation, without running the model."""
        return self._planner.plan(messages, tiling, max_tiles, self.card.context)

    def answer(self, request: Request) -> Generator[Event, None, None]:
        """The events of one answer that is served alone; closing the generator between two of them stops the work.

        Raises PromptError where the conversation is malformed, ContextError where it is longer than the context.
        """
        return self.serve(request).run(self.decode)

    def serve(self, request: Request, is_alone: Callable[[], bool] = lambda: True) -> Task:
        """One answer, still to be worked on. `is_alone` says whether nobody else is served meanwhile, so that larger
        pieces keep nobody waiting. Its `advance` raises as `answer` does."""
        return Task(Answering(self, request, is_alone).steps())

    def decode(self, requests: Sequence[DecodeRequest]) -> Tensor:
        """One token of each of B answers -> logits [B, vocabulary], valid until the next step."""
        logits = self.runner.decode([each.token for each in requests], [each.cache for each in requests])
        self.likeliest = Likeliest(logits)
        return logits

    def decode_each(self, requests: Sequence[DecodeRequest]) -> list[Tensor | Exception]:
        """As `decode`, with an error in the place of the logits of those that have none. A step that fails is taken
        again by each answer alone, so that one of them costs the others time and nothing else. Raises where the device
        is lost."""
        lengths = [each.cache.get_seq_length() for each in requests]
        try:
            return [*self.decode(requests)]
        except Exception as error:
            if loses_device(error):
                raise
            logger.warning(
                "a step of %d answer(s) failed and is taken again by each alone", len(requests), exc_info=True
            )
        for each, length in zip(requests, lengths, strict=True):
            each.cache.truncate(length)  # some layers may have had the token
        return [self._decode_alone(each, length) for each, length in zip(requests, lengths, strict=True)]

    def _decode_alone(self, request: DecodeRequest, length: int) -> Tensor | Exception:
        try:
            return self.decode([request])[0].clone()  # the next step writes to the same memory
        except Exception as error:
            if loses_device(error):
                raise
            request.cache.truncate(length)
            return error

    def prepare(self, request: Request) -> tuple[Prompt, Key]:
        """The prompt, and the key of its keys and values, for which its images are hashed."""
        self._check_prefix(request.answer_prefix)
        prompt = self._planner.build(request, self.card.context)
        return prompt, identify(prompt)

    def start_preparing(self, request: Request) -> Future[tuple[Prompt, Key]]:
        return self._threads.submit(self.prepare, request)

    def _check_prefix(self, ids: Sequence[int]) -> None:
        """Raises PromptError where one is no token that an answer can hold, or ends it before the last."""
        known, end = self.model.config.language_config.vocab_size, self.processor.tokenizer.eos_token_id
        for place, token in enumerate(ids, start=1):
            ends = token == end and place < len(ids)
            if not 0 <= token < known or token == self.processor.image_token_id or ends:
                raise PromptError(
                    "An answer cannot begin with token {token}, the {place}th of its prefix; leave it out.",
                    token=token,
                    place=place,
                )
