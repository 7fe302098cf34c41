"""Text of users and of the model -> Markdown in which it is shown as that text and never taken for HTML.

Gradio lets HTML through its Markdown, so `<image>` would vanish and `<b>` turn bold. Here every character that
could open a tag or a reference becomes a reference itself, whatever stands around it, so the only HTML that is
left is ours. References have four digits (`&#0060;`), which no text has by chance: by them the page's copy
buttons know what to turn back (see assets/quirks.js).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

_SIGN = re.compile(r"^ |[\x00-\x1f!#-&(-+\-.:<=>@\[-`{-\x7f]")
_PARAGRAPH_END = re.compile(r"(\n[ \t]*\n)")
_INLINE = re.compile(r"\\\\|\\[&<`]|`+|[&<]|!\[")
_TICKS = re.compile(r"`+")
_INDENTED = re.compile(r"(?P<blank>\A|\n[ \t]*\n)(?P<code>(?:(?: {4}|\t)[^\n]*\S[^\n]*(?:\n|\Z))+)")
_ITEM = re.compile(r"^\s{0,12}([-*+]|\d{1,9}[.)])\s", re.MULTILINE)
_MARKED = re.compile(
    r"<\|ref\|>(?P<label>.*?)<\|/ref\|>|<\|det\|>(?P<corners>.*?)<\|/det\|>|<\|(?P<token>/?\w+)\|>", re.DOTALL
)
_NEXT_BOX = re.compile(r"\] ?, ?\[")
_PLACE = re.compile("\ue000([0-9]+)\ue001")
_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w+#-]*)[^`]*")


@dataclass(frozen=True, slots=True)
class Links:
    """Boxes of an answer that are drawn: where each begins in its text, and its colours as CSS."""

    starts: tuple[int, ...]
    styles: tuple[str, ...]

    def between(self, start: int, end: int) -> range:
        """The numbers of those that begin there."""
        return range(bisect_left(self.starts, start), bisect_left(self.starts, end))


def show_answer(text: str, *, raw: bool = False, links: Links | None = None) -> str:
    """The model's text as Markdown, with chips for labels, boxes and special tokens; with `raw`, to the letter. With
    `links` chips are buttons that point at their boxes (see assets/chips.js)."""
    if raw:
        return show_literally(text)
    found: list[re.Match[str]] = []

    def keep_place(match: re.Match[str]) -> str:
        found.append(match)
        return f"\ue000{len(found) - 1}\ue001"

    marked = _MARKED.sub(keep_place, text.translate({0xE000: 0xFFFD, 0xE001: 0xFFFD}))
    shown = show_markdown(marked, lambda code: _PLACE.sub(lambda match: found[int(match[1])].group(), code))
    return _PLACE.sub(lambda match: _show_linked(int(match[1]), found, links), shown)


def show_question(text: str) -> str:
    """As typed, with chips for special tokens."""
    shown, place = [], 0
    for match in _MARKED.finditer(text):
        shown += [show_literally(text[place : match.start()]), _show_chip(match)]
        place = match.end()
    return "".join([*shown, show_literally(text[place:])])


def _show_linked(place: int, found: Sequence[re.Match[str]], links: Links | None) -> str:
    """The chip of one of those that were found; a label belongs to the boxes right behind it."""
    match = found[place]
    if links is None or match.lastgroup == "token":
        return _show_chip(match)
    behind = found[place + 1] if match.lastgroup == "label" and place + 1 < len(found) else match
    boxes = links.between(behind.start(), behind.end()) if behind.lastgroup == "corners" else range(0)
    pieces = [show_literally(piece) for piece in _spell(str(match.lastgroup), match[str(match.lastgroup)])]
    if match.lastgroup == "label" and boxes:
        return _show_chip(match, _point(" ".join(map(str, boxes)), "", pieces[0]))
    if len(boxes) != len(pieces):  # malformed
        return _show_chip(match)
    return _show_chip(match, " ".join(map(_point, map(str, boxes), links.styles[boxes.start :], pieces)))


def _point(boxes: str, style: str, words: str) -> str:
    """A button that points at boxes."""
    return f'<button type="button" value="{boxes}" tabindex="-1" style="{style}">{words}</button>'


def _show_chip(match: re.Match[str], shown: str = "") -> str:
    """With `shown` in place of its words."""
    kind = str(match.lastgroup)
    return _draw_chip(kind, match.group(), match[kind], shown)


@lru_cache(maxsize=4096)  # an answer is shown anew for every token, with all chips that it had before
def _draw_chip(kind: str, source: str, said: str, shown: str) -> str:
    """The page's copy buttons take its title (see assets/quirks.js)."""
    title = show_literally(source).replace('"', _refer('"'))
    shown = shown or show_literally(" · ".join(_spell(kind, said)))
    return f'<span class="chip {kind}" title="{title}">{shown}</span>'


def _spell(kind: str, said: str) -> list[str]:
    """What a chip says: of corners, those of each box."""
    words = " ".join(said.split())
    if kind != "corners":
        return [words]
    return _NEXT_BOX.split(words.removeprefix("[[").removesuffix("]]"))


def show_literally(text: str) -> str:
    """As typed, line ends and spaces included (those the page's style sheet keeps)."""
    return _SIGN.sub(lambda match: _refer(match.group()), text)


def show_markdown(text: str, spell: Callable[[str], str] = str) -> str:
    """As Markdown: lists, tables, emphasis, links, code and formulas work; HTML and remote images do not.

    Fenced code goes to the left margin, where nothing around it can make it anything but code, in a fence longer
    than any in it; a fence that is still open is closed. Indented code is fenced, too. `spell` has the last word on
    what is code.
    """
    text = _INDENTED.sub(_fence, text)
    shown: list[str] = []
    prose: list[str] = []
    code: list[str] = []
    fence = None
    for line in [*text.split("\n"), None]:
        if fence is None:
            fence = _FENCE.fullmatch(line) if line is not None else None
            if fence is None and line is not None:
                prose.append(line)
            else:
                shown.append(_show_prose("\n".join(prose), spell))
                prose = []
        elif line is None or _closes(line, fence["fence"]):
            shown.append(_show_code(spell("\n".join(code)).split("\n"), fence["language"]))
            code, fence = [], None
        else:
            code.append(line.removeprefix(fence["indent"]))
    return "\n".join(shown)


def _closes(line: str, fence: str) -> bool:
    line = line.strip(" \t")
    return len(line) >= len(fence) and not line.strip(fence[0])


def _show_code(lines: list[str], language: str) -> str:
    longest = max((len(ticks) for line in lines for ticks in _TICKS.findall(line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *lines, fence])


def _fence(match: re.Match[str]) -> str:
    """Indented code as a fenced block. Within a list, which may be indented as far, it stays as it is."""
    before = match.string[: match.start("code")].rstrip().rpartition("\n\n")[2]
    fence = "~" * (max(map(len, re.findall("~+", match["code"])), default=2) + 1)
    if _ITEM.search(before) or before.startswith((" ", "\t")):
        return match.group()
    lines = [line.removeprefix("\t").removeprefix("    ") for line in match["code"].rstrip("\n").split("\n")]
    return "\n".join([f"{match['blank']}{fence}", *lines, f"{fence}\n"])


def _show_prose(text: str, spell: Callable[[str], str]) -> str:
    return "".join(_show_paragraph(each, spell) for each in _PARAGRAPH_END.split(text))


def _show_paragraph(text: str, spell: Callable[[str], str]) -> str:
    runs: dict[int, list[int]] = defaultdict(list)  # length of a run of backticks -> where such runs begin
    for ticks in _TICKS.finditer(text):
        runs[len(ticks.group())].append(ticks.start())
    shown: list[str] = []
    place = 0
    while match := _INLINE.search(text, place):
        shown.append(text[place : match.start()])
        sign, place = match.group(), match.end()
        if sign.startswith("`"):
            closing = runs[len(sign)][bisect_left(runs[len(sign)], place) :][:1]
            if closing:
                code = show_literally(spell(text[place : closing[0]]).replace("\n", " ").strip(" "))
                shown.append(f'<code class="inline">{code}</code>')
                place = closing[0] + len(sign)
            else:
                shown.append(show_literally(sign))
        elif sign == "\\\\":
            shown.append(sign)
        else:  # a Markdown escape such as \< is the bare character; an image is shown as its source
            shown.append("!" + _refer("[") if sign == "![" else _refer(sign[-1]))
    return "".join([*shown, text[place:]])


def _refer(character: str) -> str:
    return f"&#{ord(character):04};"
