# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# PyTorch and numpy leave the types of many tensors open.
"""What went on inside while an answer was written: one more pass over prompt and answer, watched from outside.

Hooks on the attention layers and the routers see what comes in and goes out, so the layers themselves have no line
for it and an answer that nobody inspects costs nothing. Attention is computed anew for the answer's tokens alone, from
their queries and the keys that the pass has cached.
T prompt tokens, A answer tokens, I image tokens, S tokens so far, H heads, L layers, E experts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle
from transformers import DynamicCache

from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.pictures import Features
from dsvl2_app.engine.task import Steps, Task, wait_for
from dsvl2_app.errors import PromptError
from dsvl2_app.model.attention import MultiHeadAttention, MultiHeadLatentAttention
from dsvl2_app.model.decoder import Decoder
from dsvl2_app.model.experts import Router
from dsvl2_app.model.rotary import Rotary, rotary_angles
from dsvl2_app.request import Event, Inspection, Request
from dsvl2_app.text.stream import TextStream

ROWS = 64  # answer tokens whose scores [H, ROWS, S] are in memory at once

Attention = MultiHeadAttention | MultiHeadLatentAttention
Inspecting = Generator["Event | Future[Any]", Any, Inspection]


def inspect(engine: Engine, request: Request, answer_ids: Sequence[int]) -> Inspection:
    """All at once. Raises PromptError where there is no answer to look into."""
    *_, last = serve_inspection(engine, request, answer_ids).run(engine.decode)
    assert last.inspection
    return last.inspection


def serve_inspection(engine: Engine, request: Request, answer_ids: Sequence[int]) -> Task:
    """A piece is a batch of tiles or a chunk of tokens, so that others can be served in between; the last event carries
    what was found. Its `seconds` count the work alone. Raises as `inspect`, at the first piece."""
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
    watch = _Watch(prompt.image_mask.tolist() + [False] * fed.shape[1], first=len(prompt.input_ids) - 1)
    before, answer = embeds.split([watch.first, len(answer_ids)], dim=1)
    for chunk in (*before.split(engine.runner.prefill_chunk, dim=1), *answer.split(ROWS, dim=1)):
        with watch.on(model.decoder):  # between two steps others use the same layers
            model(inputs_embeds=chunk, past_key_values=watch.cache, logits_to_keep=1)
        yield Event("prefill", done=watch.cache.get_seq_length(), total=embeds.shape[1])
    attention, elsewhere = watch.join_attention()
    experts = watch.join_experts()
    cached = sum(tensor.nbytes for layer in range(len(watch.cache.layers)) for tensor in watch.cached(layer))
    stream = TextStream(engine.processor.decode)
    return Inspection(
        tokens=tuple(stream.push(token) for token in answer_ids),
        layouts=tuple(prompt.layouts),
        twins=_number_twins(features),
        attention=attention,
        elsewhere=elsewhere,
        expert_layers=tuple(sorted(watch.choices)),
        experts=experts,
        prompt_tokens=len(prompt.input_ids),
        seconds=0.0,
        memory=cached + attention.nbytes + elsewhere.nbytes + experts.nbytes,
    )


def _number_twins(features: Sequence[Features]) -> tuple[int, ...]:
    """Tile -> the distinct one that was encoded for it, over all images, of which equal ones are encoded once."""
    twins: list[int] = []
    known: dict[int, list[int]] = {}
    for each in features:
        first = max(twins, default=-1) + 1
        twins += known.setdefault(id(each), [first + twin for twin in each.twins.tolist()])
    return tuple(twins)


@dataclass
class _Watch:
    """The hooks of one pass, and what they have seen."""

    is_image: list[bool]  # for each token
    first: int  # position of the first token whose attention counts
    cache: DynamicCache = field(default_factory=DynamicCache)
    attention: dict[int, list[np.ndarray]] = field(default_factory=dict)  # layer -> chunks
    elsewhere: dict[int, list[np.ndarray]] = field(default_factory=dict)
    choices: dict[int, Tensor] = field(default_factory=dict)  # layer -> counts [2, E]: by image tokens, by text

    @contextmanager
    def on(self, decoder: Decoder) -> Generator[None, None, None]:
        hooks: list[RemovableHandle] = []
        for number, layer in enumerate(decoder.layers):
            see = self._see_attention(decoder.rotary_width, decoder.rotary_theta)
            hooks.append(layer.self_attn.register_forward_hook(see))
            for module in layer.mlp.modules():
                if isinstance(module, Router):
                    hooks.append(module.register_forward_hook(self._see_choices(number)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def cached(self, layer: int) -> tuple[Tensor, Tensor]:
        found: Any = self.cache.layers[layer]  # transformers knows layers without keys as well
        return found.keys, found.values

    def _see_attention(self, rotary_width: int, theta: float) -> Callable[..., None]:
        def see(attention: Attention, given: tuple[Tensor, ...], _: Tensor) -> None:
            past = self.cache.get_seq_length(attention.layer)
            new = given[0].shape[1]
            if past - new < self.first:
                return
            positions = torch.arange(past - new, past, device=given[0].device)[None]
            rotary = rotary_angles(positions, rotary_width, theta)
            weights = attention_weights(attention, given[0], rotary, *self.cached(attention.layer)).cpu()
            image = torch.tensor(self.is_image[:past])
            others = ~image
            others[0] = others[self.first + 1 :] = False
            groups = weights[:, :1], weights[:, others], weights[:, self.first + 1 :]
            shares = torch.stack([group.sum(-1) for group in groups], dim=-1)  # [T, 3]
            self.attention.setdefault(attention.layer, []).append(weights[:, image].half().numpy())
            self.elsewhere.setdefault(attention.layer, []).append(shares.numpy())

        return see

    def _see_choices(self, layer: int) -> Callable[..., None]:
        def see(router: Router, given: tuple[Tensor, ...], found: tuple[Tensor, Tensor]) -> None:
            experts = found[1].cpu()  # [T, K]
            end = self.cache.get_seq_length(layer)  # the layer's attention has run already
            image = torch.tensor(self.is_image[end - len(experts) : end])
            counts = self.choices.setdefault(layer, torch.zeros(2, len(router.weight), dtype=torch.long))
            for row, chosen in enumerate((experts[image], experts[~image])):
                counts[row] += chosen.flatten().bincount(minlength=counts.shape[1])

        return see

    def join_attention(self) -> tuple[np.ndarray, np.ndarray]:
        """[L, A, I] and [L, A, 3]."""
        layers = sorted(self.attention)
        attention, elsewhere = (
            np.stack([np.concatenate(seen[layer]) for layer in layers]) for seen in (self.attention, self.elsewhere)
        )
        return attention, elsewhere

    def join_experts(self) -> np.ndarray:
        if not self.choices:
            return np.zeros((0, 2, 0), np.float32)
        counts = torch.stack([self.choices[layer] for layer in sorted(self.choices)]).float()
        return (counts / counts.sum(-1, keepdim=True).clamp(min=1)).numpy()


def attention_weights(attention: Attention, hidden: Tensor, rotary: Rotary, first: Tensor, second: Tensor) -> Tensor:
    """How T tokens, the last of S, look at all S: hidden [1, T, D] and what the cache holds of the layer -> [T, S]
    float32, the mean over heads. Every row sums to 1."""
    new, total = hidden.shape[1], first.shape[-2]
    if isinstance(attention, MultiHeadLatentAttention):  # absorbed, as in its `decode`
        q_nope, q_rope, _, _ = attention.project(hidden, rotary)
        to_keys, _ = attention.absorbed()
        scores = (q_nope @ to_keys @ first.mT + q_rope @ second.mT).float() * attention.scale
    else:
        queries, _, _ = attention.project(hidden, rotary)
        keys = first.repeat_interleave(queries.shape[1] // first.shape[1], dim=1)
        scores = (queries @ keys.mT).float() * attention.scale
    looks = torch.ones(new, total, dtype=torch.bool, device=hidden.device).tril(total - new)
    return scores.masked_fill(~looks, float("-inf")).softmax(-1).mean(1)[0]
