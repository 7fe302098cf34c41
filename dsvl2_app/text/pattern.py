"""The answers that `grammar` allows, as a regular expression, for servers that take one.

It describes a whole answer, and uses only what every engine of guided decoding knows: classes, groups, `?`, `*` and
`{m,n}`. Nothing in it looks ahead: what may stand between lists is spelled out letter by letter.
"""

from __future__ import annotations

import re

from dsvl2_app.text.grammar import CLOSING, MOST_BOXES, OPENING

_NUMBER = "(0|[1-9][0-9]{0,2})"
_BOX = rf"\[{_NUMBER}, {_NUMBER}, {_NUMBER}, {_NUMBER}\]"


def write_pattern(most_boxes: int = MOST_BOXES) -> str:
    """Matches the answers in which every `<|det|>` begins a list of 1 to `most_boxes` boxes that ends in `<|/det|>`."""
    boxes = rf"\[{_BOX}(, {_BOX}){{0,{most_boxes - 1}}}\]"
    marked = f"{escape(OPENING)}{boxes}{escape(CLOSING)}{_WORDS}"
    return f"{_WORDS}({_write_other_mark()}|{marked})*"


def escape(text: str) -> str:
    """As `re.escape`, without a backslash before what means itself in every engine."""
    return re.sub(r"[][|(){}.*+?^$\\]", r"\\\g<0>", text)


_WORDS = f"[^{OPENING[0]}]*"  # as far as the next mark


def _write_other_mark() -> str:
    """`<` and what follows up to the next one, where that does not begin with the rest of `<|det|>`."""
    rest = ""
    for sign in reversed(OPENING[1:]):
        goes_on = f"|{escape(sign)}{rest}" if rest else ""
        rest = f"([^{OPENING[0]}{sign}]{_WORDS}{goes_on})?"
    return f"{OPENING[0]}{rest}"
