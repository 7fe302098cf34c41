"""Drawn on pictures: labelled boxes, the mark around an example, the tile grid of a layout.

Every function takes a PIL RGB picture, leaves it alone and returns a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dsvl2_app.image.cut import PADDING
from dsvl2_app.image.tiles import PixelBox, TileLayout

Colour = tuple[int, int, int]

# Okabe and Ito's colours, told apart with any common colour blindness, and two of Paul Tol's dark ones.
PALETTE: tuple[Colour, ...] = (
    (213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233),
    (240, 228, 66), (136, 34, 85), (51, 34, 136),
)  # fmt: skip
GRID_COLOUR = PALETTE[1]
MARK: Colour = (255, 0, 0)

# A label is set in the first of these that exists and has all its characters; most have Chinese, Japanese
# and Korean, the last has Arabic and Hebrew. Without any, Pillow's own font draws Latin letters.
FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-sans-cjk-fonts/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/System/Library/Fonts/PingFang.ttc",
    "/System/Library/Fonts/Hiragino Sans GB.ttc",
    "/Library/Fonts/Arial Unicode.ttf",
    "C:/Windows/Fonts/msyh.ttc",
    "C:/Windows/Fonts/simsun.ttc",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
)
LONGEST_LABEL = 40  # characters on a chip
PROBE = 16  # px, at which a font is asked for a letter


@dataclass(frozen=True, slots=True)
class OverlayBox:
    """A labelled rectangle in px of the picture."""

    label: str
    left: float
    top: float
    right: float
    bottom: float


def label_colours(labels: Sequence[str]) -> dict[str, Colour]:
    """A colour for every different label, in order of appearance, so that a legend can match the picture."""
    return {label: _colour(index) for index, label in enumerate(dict.fromkeys(labels))}


def draw_boxes(image: Image.Image, boxes: Sequence[OverlayBox]) -> Image.Image:
    """The picture with every box and its label, a colour for each label."""
    drawn = image.copy()
    draw = ImageDraw.Draw(drawn)
    colours = label_colours([box.label for box in boxes])
    line = max(2, round(max(image.size) / 400))
    size = max(11, round(max(image.size) / 55))
    placed: list[tuple[str, PixelBox, Colour]] = []
    for box in boxes:
        colour, edges = colours[box.label], _clip(box, image.size)
        if edges is None:
            continue
        draw.rectangle(edges, outline=contrasting(colour), width=line + max(1, line // 2))
        draw.rectangle(edges, outline=colour, width=line)
        placed.append((box.label, edges, colour))
    taken: list[PixelBox] = []
    for label, edges, colour in placed:  # after all boxes: no line may cross a label
        if label.strip():
            chip = _Chip.of(label, size)
            area = _free_area(chip, edges, image.size, taken)
            chip.draw(draw, area, colour)
            taken.append(area)
    return drawn


def draw_mark(image: Image.Image, edges: PixelBox) -> Image.Image:
    """The picture with a red rectangle, by which a model is shown what to look for elsewhere."""
    drawn = image.copy()
    left, top, right, bottom = edges
    line = max(2, round(max(image.size) / 150))
    ImageDraw.Draw(drawn).rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=MARK, width=line)
    return drawn


def _colour(index: int) -> Colour:
    """The palette, then the palette darkened, then lightened, then from the start."""
    again, place = divmod(index, len(PALETTE))
    share, towards = ((1.0, 0), (0.55, 0), (0.5, 255))[again % 3]
    red, green, blue = (round(share * value + (1 - share) * towards) for value in PALETTE[place])
    return red, green, blue


def _clip(box: OverlayBox, size: tuple[int, int]) -> PixelBox | None:
    """Inclusive integer edges inside the picture; None for a box that misses it or is not a number."""
    if not np.isfinite((box.left, box.top, box.right, box.bottom)).all():
        return None
    left, right = sorted((box.left, box.right))
    top, bottom = sorted((box.top, box.bottom))
    width, height = size
    if right < 0 or bottom < 0 or left > width or top > height:
        return None
    left, top = min(max(round(left), 0), width - 1), min(max(round(top), 0), height - 1)
    return (
        left,
        top,
        max(min(round(right) - 1, width - 1), left),
        max(min(round(bottom) - 1, height - 1), top),
    )


@dataclass(frozen=True, slots=True)
class _Chip:
    """A line of text on a coloured ground, and the px that it needs."""

    text: str
    font: ImageFont.FreeTypeFont
    width: int
    height: int

    @classmethod
    def of(cls, label: str, size: int) -> _Chip:
        text = " ".join("".join(letter if letter.isprintable() else " " for letter in label).split())
        if len(text) > LONGEST_LABEL:
            text = text[: LONGEST_LABEL - 1] + "…"
        font = _font(text, size)
        margin = _margin(size)
        return cls(text, font, int(font.getlength(text)) + 2 * margin, sum(font.getmetrics()) + margin)

    def draw(self, draw: ImageDraw.ImageDraw, area: PixelBox, colour: Colour) -> None:
        left, top, right, bottom = area
        margin = _margin(self.font.size)
        draw.rectangle((left, top, right - 1, bottom - 1), fill=colour)
        draw.text((left + margin, top + margin // 2), self.text, fill=contrasting(colour), font=self.font)


def _margin(size: float) -> int:
    return max(2, round(size / 5))


def _free_area(chip: _Chip, edges: PixelBox, size: tuple[int, int], taken: list[PixelBox]) -> PixelBox:
    """Above the box, in its corners or below it, whichever covers no other label first; on the picture."""
    left, top, right, bottom = edges
    inside_right, inside_bottom = right + 1 - chip.width, bottom + 1 - chip.height
    above, below = top - chip.height, bottom + 1
    areas: list[PixelBox] = []
    for x, y in (
        *((left, above), (left, top), (left, below), (inside_right, above), (inside_right, below)),
        *((inside_right, top), (left, inside_bottom), (inside_right, inside_bottom)),
    ):
        on_x = max(0, min(x, size[0] - chip.width))
        on_y = max(0, min(y, size[1] - chip.height))
        area = on_x, on_y, on_x + chip.width, on_y + chip.height
        if y == on_y and not any(_overlap(area, other) for other in taken):
            return area
        areas.append(area)
    return areas[0]


def _overlap(one: PixelBox, other: PixelBox) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def contrasting(background: Colour) -> Colour:
    """Black or white, whichever has more contrast on `background` (WCAG relative luminance)."""
    red, green, blue = ((value / 255) ** 2.2 for value in background)
    return (0, 0, 0) if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else (255, 255, 255)


def _font(text: str, size: int) -> ImageFont.FreeTypeFont:
    fonts = _fonts(size)
    return next((font for number, font in enumerate(fonts) if all(_knows(number, each) for each in text)), fonts[0])


@lru_cache(maxsize=8192)
def _knows(number: int, letter: str) -> bool:
    """Whether a font draws a letter, and not what it draws for any that it lacks."""
    font = _fonts(PROBE)[number]
    drawn, lacking = (bytes(font.getmask(each)) for each in (letter, "\U0010fffd"))  # pyright: ignore[reportArgumentType]
    return letter == " " or drawn != lacking


@lru_cache(maxsize=32)
def _fonts(size: int) -> list[ImageFont.FreeTypeFont]:
    fonts = [ImageFont.truetype(path, size) for path in FONTS if Path(path).is_file()]
    return fonts or [ImageFont.load_default(size)]  # pyright: ignore[reportReturnType]  # FreeType's, for any size


def draw_grid(image: Image.Image, layout: TileLayout, *, longest_side: int = 1600) -> Image.Image:
    """The padded canvas that the local tiles are cut from: the picture at its place, padding hatched, tiles
    outlined and numbered as in `cut_tiles` (0 is the global view). Shrunk to `longest_side`."""
    scale = min(1.0, longest_side / max(layout.canvas))

    def fit(*values: float) -> list[int]:
        return [round(value * scale) for value in values]

    width, height = size = fit(*layout.canvas)
    left, top, right, bottom = fit(*layout.content)
    canvas = _hatched((width, height))
    picture = image.resize((max(1, right - left), max(1, bottom - top)), Image.Resampling.BICUBIC)
    canvas.paste(picture, (left, top))
    draw = ImageDraw.Draw(canvas)
    line = max(1, max(size) // 800)
    for tile in range(1, layout.num_tiles):
        left, top, right, bottom = fit(*layout.tile_box(tile))
        draw.rectangle((left, top, right - 1, bottom - 1), outline=contrasting(GRID_COLOUR), width=2 * line)
        draw.rectangle((left, top, right - 1, bottom - 1), outline=GRID_COLOUR, width=line)
        chip = _Chip.of(str(tile), max(11, (bottom - top) // 14))
        chip.draw(draw, (left, top, left + chip.width, top + chip.height), GRID_COLOUR)
    return canvas


def _hatched(size: tuple[int, int]) -> Image.Image:
    """The padding colour with diagonal stripes."""
    across, down = np.arange(size[0]), np.arange(size[1])[:, None]
    grey = PADDING
    shade = np.where((across + down) % 20 < 6, grey + 60, grey).astype(np.uint8)
    return Image.fromarray(shade).convert("RGB")


def tile_images(tiles: np.ndarray) -> list[Image.Image]:
    """The uint8 array of `cut_tiles` as pictures, global view first."""
    return [Image.fromarray(tile) for tile in tiles]
