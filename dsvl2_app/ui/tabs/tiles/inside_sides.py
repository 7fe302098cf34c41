"""Two inspections side by side: other words, another question, another grid, or another model's file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from dsvl2_app.inspection import Inspection
from dsvl2_app.text.boxes import Box, overlap, parse_boxes
from dsvl2_app.ui.tabs.tiles.inside_branch import mark, match
from dsvl2_app.ui.tabs.tiles.inside_figures import percent
from dsvl2_app.ui.words.translations import say

PICTURE = "▦"
TURN = re.compile(r"<\|User\|>: ?(.*?)\s*<\|Assistant\|>:", re.DOTALL)


def show_sides(first: Inspection, second: Inspection) -> str:
    """A table with a row for each thing that can be compared; rows and words that differ are marked."""
    rows = "".join(
        f'<tr{"" if one == other else " class=differs"}><th scope="row">{name}</th><td>{one}</td><td>{other}</td></tr>'
        for name, one, other in list_rows(first, second)
    )
    heads = "".join(f'<th scope="col">{name}</th>' for name in (say("Compared"), say("Before"), say("Now")))
    title = say("Side by side")
    return (
        f'<section class="sides"><h3>{title}</h3><div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def list_rows(first: Inspection, second: Inspection) -> Iterator[tuple[str, str, str]]:
    """What is compared, and the HTML of either."""
    yield say("Model"), escape(first.model), escape(second.model)
    asked = (re.findall(r"\s*\S+", read_question(seen)) for seen in (first, second))
    yield say("Question"), *_mark_both(*asked)
    yield say("Tiles"), _describe_grids(first), _describe_grids(second)
    yield say("Tokens of the prompt"), f"{first.prompt_tokens:,}", f"{second.prompt_tokens:,}"
    yield say("Answer"), *_mark_both(first.tokens, second.tokens)
    yield say("Tokens of the answer"), f"{len(first.tokens):,}", f"{len(second.tokens):,}"
    certain = (percent(measure_certainty(seen)) for seen in (first, second))
    yield say("Mean probability of a token"), next(certain), next(certain)
    one, other = (parse_boxes("".join(seen.tokens)).boxes for seen in (first, second))
    if one or other:
        yield say("Boxes"), _list_boxes(one, other), _list_boxes(other, one)
    took = (say("{seconds:.2f} s", seconds=seen.seconds) for seen in (first, second))
    yield say("Time to look inside"), next(took), next(took)


def read_question(seen: Inspection) -> str:
    """What was asked, a mark standing for each picture; all of the prompt where it is no turn of this app's."""
    image = seen.image_mask.tolist()
    pieces = (PICTURE * (at in seen.starts) if image[at] else piece for at, piece in enumerate(seen.prompt))
    text = "".join(pieces)
    turn = TURN.search(text)
    return turn.group(1) if turn else text


def measure_certainty(seen: Inspection) -> float:
    """The geometric mean of the probabilities of an answer's tokens."""
    return float(np.exp(seen.logprobs[:, 0].mean()))


def _mark_both(first: Sequence[str], second: Sequence[str]) -> tuple[str, str]:
    common = match([*first], [*second])
    one, other = (
        "".join(mark(piece, at in kept) for at, piece in enumerate(pieces))
        for pieces, kept in zip((first, second), common, strict=True)
    )
    return one, other


def _describe_grids(seen: Inspection) -> str:
    grids = [f"{columns} × {rows}" for columns, rows in (layout.grid for layout in seen.layouts)]
    return ", ".join(grids)


def _list_boxes(mine: Sequence[Box], others: Sequence[Box]) -> str:
    """Each with the intersection over union of the other answer's box that it shares most with."""
    items = ""
    for box in mine:
        shared = (
            f" <small>IoU {max(overlap(box.corners, other.corners) for other in others):.2f}</small>" if others else ""
        )
        items += f"<li>{escape(box.label)} {box.x1}, {box.y1}, {box.x2}, {box.y2}{shared}</li>"
    return f"<ul>{items}</ul>" if items else "–"
