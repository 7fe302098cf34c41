"""A tokenizer and a model with words that they had not: new entries behind all others, which keep their numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from nano.tasks.talk import ABOUT_THINGS
from nano.tasks.thing_names import DO_NOT_KNOW, SOMETHING
from nano.things.vocabulary import kinds, known, nouns

SPREAD = 0.5  # of new rows around the mean of the old, in standard deviations of these


def thing_words() -> Iterator[str]:
    """What is said about things, each as it stands in a sentence; names also as they stand in a label."""
    for name in known():
        noun = nouns()[name]
        for called in (noun.name, noun.plural):
            yield called
        for called in (noun.name, noun.plural, *noun.others):
            yield f" {called}"
        yield f" {noun.purpose}"
    for kind in kinds().values():
        yield from (kind.name, kind.plural, f" {kind.name}", f" {kind.plural}")
    yield from (f" {DO_NOT_KNOW}.", f" {SOMETHING}", *(f" {answer}" for _, answer in ABOUT_THINGS.values()))


def grow_tokenizer(file: Path) -> int:
    """Add the words of things to a tokenizer.json that lacks them; returns how many entries it has then."""
    tokenizer = Tokenizer.from_file(str(file))
    vocabulary = set(tokenizer.get_vocab())
    new: dict[str, None] = {}
    for text in thing_words():
        for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text):
            if piece not in vocabulary and piece.removeprefix("Ġ").isalpha() and piece.isascii() | ("Ġ" in piece):
                new.setdefault(piece)
    if new:
        content = json.loads(file.read_text(encoding="utf-8"))
        first = tokenizer.get_vocab_size()
        content["model"]["vocab"] |= {piece: first + place for place, piece in enumerate(new)}
        file.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    return len(vocabulary) + len(new)


def grow_model(model: DeepseekVL2ForConditionalGeneration, size: int) -> None:
    """Give embedding and head `size` rows; the new ones lie around the mean of the old, the same ones every time."""
    before = model.lm_head.out_features
    if size == before:
        return
    generator = torch.Generator().manual_seed(0)

    def grow(weight: Tensor) -> nn.Parameter:
        noise = torch.randn(size - before, weight.shape[1], generator=generator).to(weight)
        return nn.Parameter(torch.cat((weight, weight.mean(0) + SPREAD * weight.std(0) * noise)))

    embedding, head = model.decoder.embed_tokens, model.lm_head
    with torch.no_grad():
        embedding.weight, head.weight = grow(embedding.weight), grow(head.weight)
    embedding.num_embeddings = head.out_features = size
    model.config.language_config.vocab_size = size


def keep_some(weights: dict[str, Tensor], before: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """The mean with the share of the weights before; rows of words that were added have nothing to keep."""
    mixed = {}
    for name, weight in weights.items():
        old = before[name].to(weight)
        kept = torch.lerp(weight[: len(old)] if weight.dim() else weight, old, share)
        mixed[name] = torch.cat((kept, weight[len(old) :])) if weight.dim() else kept
    return mixed
