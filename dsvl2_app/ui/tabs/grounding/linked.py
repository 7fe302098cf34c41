"""Boxes as HTML: over the picture and as rows of a table, each pointing at the other (assets/boxes.js).

Positions are shares of the picture, so that boxes keep their places at any size and on any screen, and an answer that
streams sends a few bytes for each new box in place of another picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from dsvl2_app.image.overlay import contrasting, label_colours
from dsvl2_app.text.boxes import LARGEST, Box
from dsvl2_app.ui.gradio_quirks import file_address
from dsvl2_app.ui.words.translations import say

HEADERS = ("Label", "x1", "y1", "x2", "y2", "Pixels", "Notes")
_ENLARGE = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M6 2H2v4M10 2h4v4M6 14H2v-4M10 14h4v-4"/></svg>'


def show_boxes(
    source: str,
    size: tuple[int, int],
    boxes: Sequence[Box],
    *,
    points: bool = False,
    above: str = "",
    tools: str = "",
) -> str:
    """The picture in the file `source` with its boxes, numbered, and their table. `size` is that of the original
    picture. With `points` the centre of each box stands for it; `above` is HTML above the picture,
    `tools` is HTML between it and the table."""
    styles, alt = style_boxes(boxes), say("The picture that was searched")
    enlarge = f'<button type="button" class="enlarge" aria-label="{say("Full screen")}">{_ENLARGE}</button>'
    return (
        f'<div class="boxes{" points" if points else ""}">{above}<div class="stage">'
        f"{show_canvas(source, size, dict(enumerate(boxes)), styles, alt)}{enlarge}</div>"
        f"{tools}{_show_table(boxes, size, styles, points=points)}</div>"
    )


def style_boxes(boxes: Sequence[Box]) -> list[str]:
    """Of each box, the colours by its label, as CSS."""
    labels = [box.label.strip() for box in boxes]
    colours = label_colours(labels)
    return [f"--colour:rgb{colours[each]};--ink:rgb{contrasting(colours[each])}".replace(" ", "") for each in labels]


def show_canvas(
    source: str,
    size: tuple[int, int],
    boxes: Mapping[int, Box],
    styles: Sequence[str],
    alt: str,
    *,
    hints: bool = False,
) -> str:
    """The picture with `boxes`, by their numbers among those of `styles`. With `hints` each tells its place under the
    pointer, where there is no table."""
    # small ones last, on top, where the pointer can reach them
    order = sorted(boxes, key=lambda index: -_area(boxes[index]))
    drawn = "".join(_show_box(index, boxes[index], size, styles[index], hints) for index in order)
    return (
        f'<div class="canvas" style="--width:{size[0]};--height:{size[1]}" role="group" '
        f'aria-label="{say("Boxes on the picture")}"><img src="{file_address(source)}" alt="{alt}">{drawn}</div>'
    )


def _show_box(index: int, box: Box, size: tuple[int, int], style: str, hint: bool) -> str:
    left, top, width, height = (
        f"{100 * share / LARGEST:.2f}%" for share in (box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1)
    )
    name = escape(box.label.strip())
    described = f"{say('Box {number}', number=index + 1)}, {name or say('unnamed')}: {_describe_pixels(box, size)} px"
    label = f'<span class="label" dir="auto" data-number="{index + 1}">{name}</span>'
    corners = f"{box.x1},{box.y1},{box.x2},{box.y2}"
    title = f' value="{index}" title="{described}"' if hint else ""
    return (
        f'<button type="button" class="box" data-index="{index}" tabindex="{-1 if index else 0}" aria-pressed="false" '
        f'data-box="{corners}" data-label="{escape(box.label)}" aria-label="{described}"{title} '
        f'style="left:{left};top:{top};width:{width};height:{height};{style}">{label}</button>'
    )


def _show_table(boxes: Sequence[Box], size: tuple[int, int], styles: Sequence[str], *, points: bool) -> str:
    if not boxes:
        return ""
    rows = "".join(
        f'<tr data-index="{index}"><td><button type="button" class="row" data-index="{index}" aria-pressed="false" '
        f'tabindex="{-1 if index else 0}" data-number="{index + 1}" style="{style}">'
        f"<bdi>{escape(box.label.strip()) or say('unnamed')}</bdi></button></td>"
        + "".join(f"<td>{number}</td>" for number in box.corners)
        + f"<td>{_describe_centre(box, size) if points else _describe_pixels(box, size)}</td>"
        + f"<td>{escape(', '.join(say(note) for note in box.notes))}</td></tr>"
        for index, (box, style) in enumerate(zip(boxes, styles, strict=True))
    )
    heads = "".join(f'<th scope="col">{say(head)}</th>' for head in HEADERS)
    how = say("Corners in 0..999, and in pixels as left, top, right, bottom. Point at a row or a box to see the other.")
    if points:
        how = say(
            "Corners in 0..999, and the centre in pixels from left and top. Point at a row or a point to see both."
        )
    return (
        f'<p>{how}</p><div class="scroll" tabindex="0"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _describe_pixels(box: Box, size: tuple[int, int]) -> str:
    return ", ".join(f"{edge:.0f}" for edge in box.pixels(*size))


def _describe_centre(box: Box, size: tuple[int, int]) -> str:
    return ", ".join(f"{edge:.0f}" for edge in box.centre(*size))


def _area(box: Box) -> int:
    return (box.x2 - box.x1) * (box.y2 - box.y1)
