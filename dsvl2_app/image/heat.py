# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# OpenCV and numpy leave the types of many arrays open.
"""Numbers per token of an image -> a heat map over the picture."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image

from dsvl2_app.image.tiles import TileLayout

LONGEST = 96  # cells of a map; the finest view has 9 x 14 tokens in a row


def spread_tokens(layout: TileLayout, weights: np.ndarray) -> np.ndarray:
    """What each of an image's tokens weighs -> [rows, columns] of cells over the original picture, both views added.

    A cell holds weight per area. A token's area is that of any token of its view, so that one at an edge, which sees
    but a sliver of the picture, is no hotter there than its weight says. Newlines, the separator and tokens that see
    padding alone have no place and are left out.
    """
    width, height = layout.image_size
    scale = LONGEST / max(width, height)
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    placed = [(place, place.box, weight) for place, weight in zip(layout.tokens(), weights, strict=True) if place.box]
    heat = np.zeros((rows, columns))
    for view, content in (("global", layout.global_content), ("local", layout.content)):
        seen = [each for each in placed if each[0].view == view]
        across = {place.column: (box[0], box[2]) for place, box, _ in seen}
        down = {place.row: (box[1], box[3]) for place, box, _ in seen}
        at_column, at_row = ({number: index for index, number in enumerate(each)} for each in (across, down))
        tokens = np.zeros((len(down), len(across)))
        for place, _, weight in seen:
            tokens[at_row[place.row], at_column[place.column]] = weight
        area = (layout.geometry.patch * layout.geometry.downsample) ** 2  # px of the canvas
        area *= width * height / ((content[2] - content[0]) * (content[3] - content[1]))
        heat += _cover(down, rows, height).T @ tokens @ _cover(across, columns, width) / area
    return heat


def _cover(spans: dict[int | None, tuple[float, float]], cells: int, size: int) -> np.ndarray:
    """[spans, cells]: how much of each cell each span covers, 0 to 1."""
    edges = np.linspace(0, size, cells + 1)
    starts, stops = (np.array([span[end] for span in spans.values()])[:, None] for end in (0, 1))
    inside = np.minimum(edges[1:], stops) - np.maximum(edges[:-1], starts)
    return inside.clip(min=0) * cells / size


def draw_heat(image: Image.Image, heat: np.ndarray) -> Image.Image:
    """`heat` [rows, columns] stretched over the picture, which turns grey so that colour means heat only: the
    largest value is brightest, zero is clear. Values that are negative or not numbers count as zero."""
    grey = image.convert("L").convert("RGB")
    heat = np.maximum(np.nan_to_num(np.asarray(heat, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0), 0)
    if not heat.any():
        return grey
    levels = np.rint(cv2.resize(heat / heat.max(), image.size) * 255).astype(np.uint8)  # [height, width]
    colours = cv2.cvtColor(cv2.applyColorMap(levels, _heat_colours()), cv2.COLOR_BGR2RGB)
    grey.paste(Image.fromarray(colours), mask=Image.fromarray(cv2.convertScaleAbs(levels, alpha=0.75)))
    return grey


@lru_cache(maxsize=1)
def _heat_colours() -> np.ndarray:
    """Inferno without its dark third, which would look like shadow: purple, red, orange, yellow."""
    return cv2.applyColorMap(np.linspace(85, 255, 256).astype(np.uint8)[:, None], cv2.COLORMAP_INFERNO)
