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
from collections.abc import Callable

_SIGN = re.compile(r"^ |[\x00-\x1f!#-&(-+\-.:<=>@\[-`{-\x7f]")
_PARAGRAPH_END = re.compile(r"(\n[ \t]*\n)")
_INLINE = re.compile(r"\\\\|\\[&<`]|`+|[&<]|!\[")
_TICKS = re.compile(r"`+")
_INDENTED = re.compile(r"(?P<blank>\A|\n[ \t]*\n)(?P<code>(?:(?: {4}|\t)[^\n]*\S[^\n]*(?:\n|\Z))+)")
_ITEM = re.compile(r"^\s{0,12}([-*+]|\d{1,9}[.)])\s", re.MULTILINE)
_MARKED = re.compile(
    r"<\|ref\|>(?P<label>.*?)<\|/ref\|>|<\|det\|>(?P<boxes>.*?)<\|/det\|>|<\|(?P<token>/?\w+)\|>", re.DOTALL
)
_PLACE = re.compile("\ue000([0-9]+)\ue001")
_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w+#-]*)[^`]*")


def show_answer(text: str, *, raw: bool = False) -> str:
    """The model's text as Markdown, with chips for labels, boxes and special tokens; with `raw`, to the letter."""
    if raw:
        return show_literally(text)
    found: list[re.Match[str]] = []

    def keep_place(match: re.Match[str]) -> str:
        found.append(match)
        return f"\ue000{len(found) - 1}\ue001"

    marked = _MARKED.sub(keep_place, text.translate({0xE000: 0xFFFD, 0xE001: 0xFFFD}))
    shown = show_markdown(marked, lambda code: _PLACE.sub(lambda match: found[int(match[1])].group(), code))
    return _PLACE.sub(lambda match: _show_chip(found[int(match[1])]), shown)


def show_question(text: str) -> str:
    """As typed, with chips for special tokens."""
    shown, place = [], 0
    for match in _MARKED.finditer(text):
        shown += [show_literally(text[place : match.start()]), _show_chip(match)]
        place = match.end()
    return "".join([*shown, show_literally(text[place:])])


def _show_chip(match: re.Match[str]) -> str:
    """The page's copy buttons take its title (see assets/quirks.js)."""
    kind = str(match.lastgroup)
    words = " ".join(match[kind].split())
    if kind == "boxes":
        words = words.removeprefix("[[").removesuffix("]]").replace("], [", " · ")
    title = show_literally(match.group()).replace('"', _refer('"'))
    return f'<span class="chip {kind}" title="{title}">{show_literally(words)}</span>'


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
