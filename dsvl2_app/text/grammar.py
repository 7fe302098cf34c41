# pyright: reportUnknownMemberType=false
# PyTorch and transformers leave some of their types open.
"""Token ids so far -> the ids that may come next, so that every list of boxes is well formed.

Between `<|det|>` and `<|/det|>` nothing but `[[x1, y1, x2, y2], ...]` in whole numbers 0..999 can be written; anywhere
else anything can. A small automaton reads characters; which tokens it can read from which of its phases, and where
they lead, is found out once per tokenizer, so a step costs a look into a table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from transformers import PreTrainedTokenizerBase

from dsvl2_app.errors import CheckpointError

OPENING, CLOSING = "<|det|>", "<|/det|>"
MOST_BOXES = 100  # in a list, so that each ends
NEVER = 1 << 30  # tokens

_LIST = "[[#, #, #, #], ["  # `#` is a number; behind the end it goes on at the first one
_NUMBER = _LIST.index("#")
_CHOICE = _LIST.index("]") + 1  # either the comma before another box or the list's closing bracket
_DIGITS = "0123456789"
# As vocabularies write them: byte-level ones have Ġ for a space, sentencepiece's have ▁.
_SPELLING = re.compile(r"[\[\], Ġ▁0-9]+")


class Phase(NamedTuple):
    """How far a list is: the place in `_LIST` to write next, and how many digits its number has (a 0 is full)."""

    place: int = 0
    digits: int = 0


_END = Phase(len(_LIST))


@dataclass(frozen=True, slots=True)
class _Table:
    """The tokens that can be read from a phase. All arrays are parallel."""

    ids: np.ndarray
    phases: tuple[Phase, ...]  # that they lead to
    commas: np.ndarray  # before another box, in the token
    room: np.ndarray  # tokens that it takes at least to close the list by that way, the token and the tag included


class BoxGrammar:
    """What every answer of one tokenizer shares; `start` an answer's own state."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, most_boxes: int = MOST_BOXES) -> None:
        self.opening, self.closing = cast("list[int]", tokenizer.convert_tokens_to_ids([OPENING, CLOSING]))
        self.most_boxes = most_boxes
        self.tables = self._tabulate(_spell(tokenizer, self.opening))
        if Phase() not in self.tables:
            raise CheckpointError("The checkpoint's tokenizer has no tokens to write boxes with; use its own one.")

    def start(self) -> BoxState:
        return BoxState(self)

    def _tabulate(self, spellings: dict[int, str]) -> dict[Phase, _Table]:
        """A table for every phase from which a list can be closed."""
        readable: dict[Phase, list[tuple[int, Phase, int]]] = {}
        pending = [Phase()]
        while pending:
            phase = pending.pop()
            if phase not in readable:
                read = ((token, _read(phase, text)) for token, text in spellings.items())
                readable[phase] = [(token, *outcome) for token, outcome in read if outcome]
                pending += [following for _, following, _ in readable[phase] if following != _END]
        shortest = _measure(readable)
        tables = {_END: _Table(np.array([self.closing]), (_END,), np.array([0]), np.array([1]))}
        for phase, choices in readable.items():
            useful = [choice for choice in choices if choice[1] in shortest]
            if useful:
                ids, phases, commas = zip(*useful, strict=True)
                room = [1 + shortest[following] for following in phases]
                tables[phase] = _Table(np.array(ids), phases, np.array(commas), np.array(room))
        return tables


class BoxState:
    """Where one answer is. `allowed` says what may come next, `advance` what did."""

    def __init__(self, grammar: BoxGrammar) -> None:
        self.grammar = grammar
        self.phase: Phase | None = None  # None outside a list
        self.boxes = 0

    def allowed(self, room: int = NEVER) -> np.ndarray | None:
        """Ids of which the next must be one; None where any may be. With `room` tokens left to the answer's limit,
        only those after which the list can still be closed, if there are any."""
        if self.phase is None:
            return None
        table = self.grammar.tables[self.phase]
        within = self.boxes + table.commas <= self.grammar.most_boxes
        return table.ids[within & (table.room <= max(room, table.room[within].min()))]

    def advance(self, token: int) -> None:
        """`token` must be one of those allowed."""
        if self.phase is None:
            if token == self.grammar.opening:
                self.phase, self.boxes = Phase(), 1
        elif token == self.grammar.closing:
            self.phase = None
        else:
            table = self.grammar.tables[self.phase]
            (place,) = np.flatnonzero(table.ids == token)
            self.phase = table.phases[place]
            self.boxes += int(table.commas[place])


def _spell(tokenizer: PreTrainedTokenizerBase, opening: int) -> dict[int, str]:
    """The tokens of nothing but a list's characters -> what they write. Each is decoded behind another one, because
    some tokenizers drop a space at the start."""
    return {
        token: cast("str", tokenizer.decode([opening, token], clean_up_tokenization_spaces=False)).removeprefix(OPENING)
        for entry, token in tokenizer.get_vocab().items()
        if _SPELLING.fullmatch(entry)
    }


def _read(phase: Phase, text: str) -> tuple[Phase, int] | None:
    """The phase after a token, and the commas before another box in it; None where it is no part of a list."""
    commas = 0
    for sign in text:
        following = _read_sign(phase, sign)
        if following is None:
            return None
        commas += following.place == _CHOICE + 1
        phase = following
    return (phase, commas) if text else None


def _read_sign(phase: Phase, sign: str) -> Phase | None:
    place, digits = phase
    if phase == _END:
        return None
    if _LIST[place] == "#":
        if sign in _DIGITS:
            return Phase(place, 3 if (sign, digits) == ("0", 0) else digits + 1) if digits < 3 else None
        if not digits:
            return None
        place += 1
    if (place, sign) == (_CHOICE, "]"):
        return _END
    if sign != _LIST[place]:
        return None
    return Phase(place + 1 if place + 1 < len(_LIST) else _NUMBER)


def _measure(readable: dict[Phase, list[tuple[int, Phase, int]]]) -> dict[Phase, int]:
    """How few tokens close a list from each phase, the tag included; without those from which none do."""
    shortest = {_END: 1}
    changed = True
    while changed:
        changed = False
        for phase, choices in readable.items():
            least = min((1 + shortest[after] for _, after, _ in choices if after in shortest), default=NEVER)
            if least < shortest.get(phase, NEVER):
                shortest[phase] = least
                changed = True
    return shortest
