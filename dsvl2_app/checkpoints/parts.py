"""The parts of a model, and what each has: numbers, bytes and formats, from names and shapes alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PARTS = (  # the first whose pattern is found in an official name
    ("vision head, unused", r"^vision\.attn_pool\."),
    ("vision encoder", r"^vision\."),
    ("adaptor", r"^(projector\.|image_newline|view_seperator)"),
    ("token embeddings", r"\.embed_tokens\."),
    ("output matrix", r"\.lm_head\."),
    ("attention", r"\.self_attn\."),
    ("routed experts", r"\.mlp\.experts\."),
    ("shared experts", r"\.mlp\.shared_experts\."),
    ("routers", r"\.mlp\.gate\."),
    ("dense layers", r"\.mlp\."),
    ("norms", r"norm"),
)
EXPERTS = "routed experts"
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor: its official name, how many numbers it has, in which format (as safetensors spells it), in bytes."""

    name: str
    numbers: int
    format: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    numbers: int
    nbytes: int
    formats: tuple[str, ...]


def find_part(name: str) -> str:
    return next((part for part, pattern in PARTS if re.search(pattern, name)), OTHER)


def sum_up(weights: Iterable[Weight]) -> list[Part]:
    """Each part that has a weight, in the order in which data flows through them."""
    found: dict[str, list[Weight]] = {name: [] for name, _ in PARTS} | {OTHER: []}
    for weight in weights:
        found[find_part(weight.name)].append(weight)
    return [
        Part(
            name,
            sum(weight.numbers for weight in own),
            sum(weight.nbytes for weight in own),
            tuple(sorted({weight.format for weight in own})),
        )
        for name, own in found.items()
        if own
    ]


def count_active(parts: Sequence[Part], experts: int | None, chosen: int | None) -> int:
    """Numbers that one token passes, of those that `parts` have: all, but of the routed experts the chosen ones."""
    routed = sum(part.numbers for part in parts if part.name == EXPERTS)
    return sum(part.numbers for part in parts) - (routed * (experts - chosen) // experts if experts and chosen else 0)
