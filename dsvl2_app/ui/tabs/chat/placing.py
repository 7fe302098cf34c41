"""Which picture of a conversation each box of an answer is on.

The model writes corners and no picture, and the official demo draws every box on the last picture of the conversation.
Words say more at times: the answer's ("Image_2 shows <|ref|>corn<|/ref|>..."), or else the question's ("in the first
picture"). Where neither names one picture, nobody but a person can know it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from dsvl2_app.text.messages import IMAGE_TOKEN

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_NUMERALS = "一二三四五六七八九"
_NOUN = r"(?:picture|image|photograph|photo|page)"
_NAME = (
    rf"\b(?P<ordinal>{'|'.join(_ORDINALS)}|last)\s+(?P<thing>{_NOUN})\b"
    rf"|\b(?P<noun>{_NOUN})[\s_-]*(?:no\.?|number|\#)?\s*(?P<number>\d{{1,3}})\b"
    rf"|第\s*(?P<numeral>[{_NUMERALS}]|\d{{1,3}})\s*(?P<measure>张|幅|页|个图)|图片?\s*(?P<figure>\d{{1,3}})"
)
_NAMES = re.compile(_NAME, re.IGNORECASE)
_CAPTIONED = re.compile(
    rf"(?:{_NAME})\s*[:\uff1a]\s*{re.escape(IMAGE_TOKEN)}", re.IGNORECASE
)  # "This is image_1: <image>"


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture that the model was shown, as words may name it."""

    number: int | None  # counting from 1; None where it is sent no more
    page: int = 0  # of a document, counting from 1; 0 for any other picture


@dataclass(frozen=True, slots=True)
class Placed:
    """Of each box the place of its picture among all that were shown; and whether words say so of every box."""

    places: tuple[int, ...]
    known: bool

    @classmethod
    def read(cls, told: Any) -> Placed | None:
        """Of what `describe` made, which may be anything by now; None where it is nothing of the kind."""
        match told:
            case {"places": [*places], "known": bool(known)} if all(type(place) is int for place in places):
                return cls(tuple(places), known)
        return None

    def describe(self) -> dict[str, Any]:
        """As JSON."""
        return {"places": [*self.places], "known": self.known}

    def fits(self, boxes: int, pictures: int) -> bool:
        """Whether it can be of so many boxes on so many pictures."""
        return len(self.places) == boxes and all(0 <= place < pictures for place in self.places)


def place_boxes(question: str, answer: str, starts: Sequence[int], pictures: Sequence[Seen], first: int = 0) -> Placed:
    """Of the boxes that begin at `starts` in the answer. `pictures` are those of the conversation until then, at least
    one; `first` is the place of the first that came with the question. A box whose picture no words name is on the last
    one, as in the official demo."""
    sent = [place for place, picture in enumerate(pictures) if picture.number] or [len(pictures) - 1]
    if len(sent) == 1:
        return Placed((sent[0],) * len(starts), known=True)
    if _CAPTIONED.search(question):  # it counts its own pictures
        own = itertools.count(1)
        pictures = [
            replace(picture, number=next(own) if picture.number and place >= first else None)
            for place, picture in enumerate(pictures)
        ]
    asked = _read_name(_CAPTIONED.sub(" ", question), pictures)
    named: list[int | None] = []
    here, read = None, 0
    for start in starts:
        said, read = answer[read:start], start
        if _NAMES.search(said):
            here = _read_name(said, pictures)
        named.append(asked if here is None else here)
    return Placed(tuple(sent[-1] if place is None else place for place in named), None not in named)


def _read_name(text: str, pictures: Sequence[Seen]) -> int | None:
    """The place of the only picture that is named in `text`; None where there are several, or none."""
    named = {_find(match, pictures) for match in _NAMES.finditer(text)}
    return named.pop() if len(named) == 1 else None  # one that there is not is None, too


def _find(name: re.Match[str], pictures: Sequence[Seen]) -> int | None:
    said = (name["ordinal"] or name["number"] or name["numeral"] or name["figure"]).lower()
    places = [place for place, picture in enumerate(pictures) if picture.number]
    if said == "last":
        return places[-1] if places else None
    number = int(said) if said.isdecimal() else 1 + (_ORDINALS if said in _ORDINALS else tuple(_NUMERALS)).index(said)
    is_page = "page" in (name["thing"] or name["noun"] or "").lower() or name["measure"] == "页"
    if is_page and not name["ordinal"] and any(picture.page for picture in pictures):
        found = [place for place in places if pictures[place].page == number]
    else:
        found = [place for place in places if pictures[place].number == number]
    return found[0] if len(found) == 1 else None
