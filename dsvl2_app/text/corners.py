# pyright: reportUnknownMemberType=false
# transformers leaves some of its types open.
"""How sure a model was of a box: the chances of every value of each number in an answer's <|det|> lists.

A number is one token or several, by the tokenizer. Each token's probabilities are those that followed what was really
written before it. Where one that was not written leaves digits open, because tokens hold a digit or two, its chance is
spread evenly over the values that begin with it and have as many digits as the number that was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from transformers import PreTrainedTokenizerFast

from dsvl2_app.text.boxes import LARGEST
from dsvl2_app.text.tokenizer import spell

OPEN, CLOSE = "<|det|>", "<|/det|>"
CORNERS = 4  # numbers of a box


@dataclass(frozen=True, slots=True)
class Number:
    """A number in an answer: its first token, and the digits of each of its tokens."""

    start: int
    digits: tuple[str, ...]

    @property
    def end(self) -> int:
        return self.start + len(self.digits)

    @property
    def value(self) -> int:
        return int("".join(self.digits))


def find_numbers(pieces: Sequence[str]) -> list[Number]:
    """The numbers of whole boxes in an answer of these tokens, four for each box, in order."""
    found: list[Number] = []
    box: list[Number] = []
    inside = False
    for index, piece in enumerate(pieces):
        if piece in (OPEN, CLOSE):
            inside, box = piece == OPEN, []
        elif inside and is_number(piece):
            last = box.pop() if box and box[-1].end == index else Number(index, ())
            box.append(Number(last.start, (*last.digits, piece.strip())))
        elif inside and ("[" in piece or "]" in piece):
            if len(box) == CORNERS and all(number.value <= LARGEST for number in box):
                found += box
            box = []
    return found


def is_number(piece: str) -> bool:
    digits = piece.strip(" ")
    return digits.isascii() and digits.isdigit()


@lru_cache(maxsize=2)
def list_numbers(tokenizer: PreTrainedTokenizerFast) -> tuple[tuple[int, str], ...]:
    """Every id that adds digits and nothing else, with these."""
    spelled = ((token, spell(tokenizer, token).decode(errors="replace")) for token in range(len(tokenizer)))
    return tuple((token, piece.strip()) for token, piece in spelled if is_number(piece))


def spread(number: Number, chances: Sequence[np.ndarray], numbers: Sequence[tuple[int, str]]) -> np.ndarray:
    """float32 [LARGEST + 1]: the chance of each value. `chances` are of all ids [vocabulary], for each of the number's
    tokens; what is no number has the rest."""
    values = np.zeros(LARGEST + 1)
    length = len("".join(number.digits))
    one_token = max(len(piece) for _, piece in numbers) >= len(str(LARGEST))  # holds every number, so nothing is open
    before, written = 1.0, ""
    for digits, chance in zip(number.digits, chances, strict=True):
        goes_on = 0.0
        for token, piece in numbers:
            if token >= len(chance):
                continue
            share, text = before * float(chance[token]), written + piece
            left = length - len(text)
            if piece == digits and left > 0:
                goes_on += share
            elif one_token or left <= 0 or int(text) == 0:
                if int(text) <= LARGEST:
                    values[int(text)] += share
            else:
                first = int(text) * 10**left
                values[first : first + 10**left] += share / 10**left
        before, written = goes_on, written + digits
    return values.astype(np.float32)
