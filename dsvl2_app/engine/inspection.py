# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# PyTorch and numpy leave the types of many tensors open.
"""What went on inside while an answer was written: one more pass over prompt and answer, watched from outside.

T prompt tokens, A answer tokens, I image tokens, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.lens import AT_ONCE, choose_layers, nearest
from dsvl2_app.engine.pictures import Features
from dsvl2_app.engine.task import Steps, Task, wait_for
from dsvl2_app.engine.watching import Watch, join
from dsvl2_app.errors import PromptError
from dsvl2_app.inspection import Inspection
from dsvl2_app.inspection.record import NEAREST, PLACES
from dsvl2_app.request import Event, Request
from dsvl2_app.text.corners import find_numbers, list_numbers, spread
from dsvl2_app.text.sampling import Ranking
from dsvl2_app.text.stream import TextStream
from dsvl2_app.text.tokenizer import spell
from dsvl2_app.text.tokens import Prompt

ROWS = 64  # answer tokens whose scores [H, ROWS, S] are in memory at once

Inspecting = Generator["Event | Future[Any]", Any, Inspection]


def inspect(engine: Engine, request: Request, answer_ids: Sequence[int]) -> Inspection:
    """All at once. Raises PromptError where there is no answer to look into."""
    *_, last = serve_inspection(engine, request, answer_ids).run(engine.decode)
    assert last.inspection
    return last.inspection


def serve_inspection(engine: Engine, request: Request, answer_ids: Sequence[int]) -> Task:
    """A piece is a batch of tiles, a chunk of tokens or a part of a lens, so that others can be served in between; the
    last event carries what was found. Its `seconds` count the work alone. Raises as `inspect`, at the first piece."""
    return Task(_time(_collect(engine, request, answer_ids)))


def _time(steps: Inspecting) -> Steps:
    seconds = 0.0
    try:
        while True:
            started = time.perf_counter()
            try:
                item = next(steps)
            except StopIteration as end:
                seconds += time.perf_counter() - started
                yield Event("done", finish="eos", inspection=replace(end.value, seconds=seconds))
                return
            seconds += time.perf_counter() - started
            yield item
    finally:
        steps.close()


@torch.inference_mode()
def _collect(engine: Engine, request: Request, answer_ids: Sequence[int]) -> Inspecting:
    if not answer_ids:
        raise PromptError("The answer is empty, so there is nothing to look into; ask something else.")
    model = engine.model
    prompt, _ = yield from wait_for(engine.start_preparing(request))
    before_answer, _, features = yield from engine.pictures.embed(prompt, reused=0)
    fed = torch.tensor([list(answer_ids[:-1])], dtype=torch.long, device=model.device)
    embeds = torch.cat((before_answer, model.decoder.embed_tokens(fed)), dim=1)
    image = prompt.image_mask
    watch = Watch(image, choose_layers(model, int(image.sum())))
    answer = _Answer(engine, answer_ids)
    before, behind = embeds.split([watch.first, len(answer_ids)], dim=1)
    for chunk in (*before.split(engine.runner.prefill_chunk, dim=1), *behind.split(ROWS, dim=1)):
        reached = watch.cache.get_seq_length() >= watch.first
        with watch.on(model.decoder):  # between two steps others use the same layers
            logits = model(inputs_embeds=chunk, past_key_values=watch.cache, logits_to_keep=0 if reached else 1).logits
        if reached:
            answer.read(logits[0])
        yield Event("prefill", done=watch.cache.get_seq_length(), total=embeds.shape[1])
    lens = yield from _read_lenses(engine, watch, embeds.shape[1])
    found = _put_together(engine, prompt, features, watch, answer, lens)
    cached = sum(tensor.nbytes for layer in range(len(watch.cache.layers)) for tensor in watch.cached(layer))
    return replace(found, memory=cached + found.nbytes)


def _read_lenses(engine: Engine, watch: Watch, total: int) -> Generator[Event, Any, np.ndarray]:
    """[N, I, NEAREST], a step after each `AT_ONCE` tokens of a layer."""
    layers: list[np.ndarray] = []
    for layer in sorted(watch.states):
        states = torch.cat(watch.states.pop(layer))
        parts = [np.zeros((0, NEAREST), np.int32)]
        for part in states.split(AT_ONCE):
            if len(part):
                ids = nearest(engine.model, part, NEAREST, engine.vocabulary)
                parts.append(ids.cpu().numpy().astype(np.int32))
                yield Event("prefill", done=total, total=total)
        layers.append(np.concatenate(parts))
    return np.stack(layers)


def _put_together(
    engine: Engine,
    prompt: Prompt,
    features: Sequence[Features],
    watch: Watch,
    answer: _Answer,
    lens: np.ndarray,
) -> Inspection:
    decoder, tokenizer = engine.model.config.language_config, engine.processor.tokenizer
    experts, weights = watch.experts, watch.expert_weights
    none = np.zeros((0, len(watch.image) + len(answer.ids) - 1, 0))
    alternatives = np.array(answer.alternatives, np.int32)
    known = np.unique(np.concatenate((lens.ravel(), alternatives.ravel()))).tolist()
    stream = TextStream(engine.processor.decode)
    return Inspection(
        prompt=_read_prompt(engine, prompt),
        tokens=tuple(stream.push(token) for token in answer.ids),
        answer_ids=tuple(answer.ids),
        starts=tuple(prompt.starts),
        layouts=tuple(prompt.layouts),
        twins=_number_twins(features),
        attention=join(watch.attention, 1),
        answer_attention=join(watch.answer_attention, 1),
        expert_layers=tuple(sorted(experts)),
        experts=join(experts, 0) if experts else none.astype(np.uint8),
        expert_weights=join(weights, 0) if weights else none.astype(np.float16),
        expert_count=decoder.n_routed_experts if experts else 0,
        lens_layers=tuple(sorted(watch.lens_layers)),
        lens=lens,
        alternatives=alternatives,
        logprobs=np.array(answer.logprobs, np.float32),
        corners=np.array(answer.corners, np.float32).reshape(-1, PLACES),
        corner_tokens=tuple(number.start for number in answer.numbers),
        words={token: spell(tokenizer, token).decode(errors="replace") for token in known},
        seconds=0.0,
        memory=0,
        model=engine.card.name,
    )


@dataclass
class _Answer:
    """What the logits say of an answer's tokens, chunk by chunk."""

    engine: Engine
    ids: Sequence[int]
    alternatives: list[list[int]] = field(default_factory=list[list[int]])
    logprobs: list[list[float]] = field(default_factory=list[list[float]])
    corners: list[np.ndarray] = field(default_factory=list[np.ndarray])
    _digits: dict[int, np.ndarray] = field(default_factory=dict[int, np.ndarray])  # token -> chances of all ids

    def __post_init__(self) -> None:
        tokenizer = self.engine.processor.tokenizer
        self.numbers = find_numbers([spell(tokenizer, token).decode(errors="replace") for token in self.ids])
        self._ids_of_numbers = list_numbers(tokenizer) if self.numbers else ()
        self._wanted = {number.start + at for number in self.numbers for at in range(len(number.digits))}

    def read(self, logits: Tensor) -> None:
        """Logits [tokens of the chunk, V], each of which chose the next token."""
        for row in logits[:, : self.engine.vocabulary]:
            token = len(self.alternatives)
            ranked = Ranking(row, torch.tensor(self.ids[token], device=row.device), NEAREST)
            self.alternatives.append(ranked.ids.tolist())
            self.logprobs.append(ranked.logprobs.tolist())
            if token in self._wanted:
                self._digits[token] = row.float().softmax(-1).cpu().numpy()
        for number in self.numbers[len(self.corners) :]:
            places = range(number.start, number.start + len(number.digits))
            if places[-1] >= len(self.alternatives):
                break
            self.corners.append(spread(number, [self._digits.pop(place) for place in places], self._ids_of_numbers))


def _read_prompt(engine: Engine, prompt: Prompt) -> tuple[str, ...]:
    """Each token's text, "" for those of images. Unfinished characters go to the token that finishes them."""
    stream = TextStream(engine.processor.decode)
    image = prompt.image_mask.tolist()
    return tuple(
        "" if is_image else stream.push(token) for token, is_image in zip(prompt.input_ids, image, strict=True)
    )


def _number_twins(features: Sequence[Features]) -> tuple[int, ...]:
    """Tile -> the distinct one that was encoded for it, over all images, of which equal ones are encoded once."""
    twins: list[int] = []
    known: dict[int, list[int]] = {}
    for each in features:
        first = max(twins, default=-1) + 1
        twins += known.setdefault(id(each), [first + twin for twin in each.twins.tolist()])
    return tuple(twins)
