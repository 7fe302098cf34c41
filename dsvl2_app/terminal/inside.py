"""`dsvl2 inspect MODEL QUESTION`: an answer, looked into, as a table and as a file."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence

import numpy as np
from rich import box as borders
from rich.console import Console
from rich.table import Table

from dsvl2_app.errors import PromptError, ResourceError, SettingsError
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.inspection import Inspection, write
from dsvl2_app.inspection.file import LONGEST_SIDE, encode
from dsvl2_app.request import Request, Sampling
from dsvl2_app.terminal.answer import OUTPUT, answer, open_backend
from dsvl2_app.text.grounding import ALLOWED
from dsvl2_app.text.prompt import place_images

MOST_EXPERTS = 3  # of each kind in the table


def look_inside(flags: argparse.Namespace) -> None:
    """Raises PromptError where the backend cannot, SettingsError for an --out of another kind."""
    if flags.out and not flags.out.endswith((".npz", ".json")):
        raise SettingsError(f"--out is {flags.out!r}; choose a name that ends in .npz or .json.")
    images = [ImageRef.of(name).opened() for name in flags.image]
    content = place_images(flags.question, images)
    request = Request(
        [{"role": "user", "content": content}],
        Sampling(max_new_tokens=flags.max_new_tokens),
        ALLOWED,
        max_tiles=flags.max_tiles,
    )
    with open_backend(flags) as backend:
        if not backend.capabilities.inspection:
            raise PromptError(
                "A model's server elsewhere cannot be looked into; run the model in this process for that."
            )
        ids = [event.token for event in answer(backend, request) if event.token is not None]
        *_, last = backend.inspect(request, ids)
    seen = last.inspection
    assert seen is not None
    if flags.out:
        _write(flags.out, seen, images)
    if flags.json:
        print(json.dumps(_sum_up(seen)))
    else:
        _print(seen)


def _write(name: str, seen: Inspection, images: Sequence[ImageRef]) -> None:
    try:
        write(seen, name, [encode(image.open_small(LONGEST_SIDE)) for image in images])
    except OSError as error:
        raise ResourceError(f"{name} cannot be written: {error.strerror}; choose another --out.") from error


def _sum_up(seen: Inspection) -> dict[str, object]:
    """For each word of the answer its probability, its rivals, and where it looked; the experts of either kind."""
    words = []
    for token, piece in enumerate(seen.tokens):
        begin, text, before = seen.elsewhere(token).tolist()
        others = [
            [seen.words[other], math.exp(logprob)]
            for other, logprob in zip(
                seen.alternatives[token, 1:].tolist(), seen.logprobs[token, 1:].tolist(), strict=True
            )
        ]
        shares = {"begin": begin, "text": text, "answer": before, "pictures": 1 - begin - text - before}
        chance = math.exp(float(seen.logprobs[token, 0]))
        words.append({"word": piece, "probability": chance, "alternatives": others, "attention": shares})
    shares = seen.expert_shares().mean(0) if seen.expert_layers else []
    return {
        "model": seen.model,
        "prompt_tokens": seen.prompt_tokens,
        "seconds": seen.seconds,
        "memory": seen.memory,
        "words": words,
        "experts": {name: each.tolist() for name, each in zip(("pictures", "text"), shares, strict=False)},
    }


def _print(seen: Inspection) -> None:
    table = Table(box=borders.SIMPLE_HEAD)
    for name in ("word", "chance", "or else", "chance", "pictures", "question", "answer"):
        table.add_column(name, justify="right" if name not in ("word", "or else") else "left", overflow="fold")
    for token, piece in enumerate(seen.tokens):
        begin, text, before = seen.elsewhere(token).tolist()
        ids, logprobs = seen.alternatives[token, 1:].tolist(), seen.logprobs[token, 1:].tolist()
        other = next(at for at, each in enumerate(ids) if each != seen.answer_ids[token])
        shares = [f"{share:.0%}" for share in (1 - begin - text - before, text, before)]
        chances = [f"{math.exp(logprob):.1%}" for logprob in (float(seen.logprobs[token, 0]), logprobs[other])]
        table.add_row(repr(piece)[1:-1], chances[0], repr(seen.words[ids[other]])[1:-1], chances[1], *shares)
    Console(**OUTPUT).print(table)
    both = seen.expert_shares().mean(0) if seen.expert_layers else np.zeros((0, 0))
    for kind, shares in zip(("pictures", "text"), both, strict=False):
        most = shares.argsort()[::-1][:MOST_EXPERTS].tolist()
        listed = ", ".join(f"{expert + 1} ({shares[expert]:.0%})" for expert in most)
        print(f"Experts that took most tokens of {kind}, over all layers: {listed}")
    print(f"Looking inside took {seen.seconds:.2f} s and {seen.memory / 1e6:,.1f} MB.")
