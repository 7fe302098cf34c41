"""Pixels -> the tiles of a layout, to the bit those of the official processing code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from dsvl2_app.image.tiles import PixelBox, TileLayout

Pixels = TypeVar("Pixels", bound=Any)  # an array, or a tensor on any device

PADDING = 127  # the official int(0.5 * 255), in all three colours


def cut_tiles(image: Image.Image, layout: TileLayout) -> np.ndarray:
    """RGB picture -> uint8 [1 + columns * rows, tile, tile, 3]: global view, then local tiles row by row."""
    if image.mode != "RGB" or image.size != layout.image_size:
        raise ValueError(f"{image.mode} {image.size} does not match a layout for RGB {layout.image_size}")
    return np.concatenate(cut_views(layout, lambda size, content: _pad(image, size, content)))


def cut_views(layout: TileLayout, pad: Callable[[tuple[int, int], PixelBox], Pixels]) -> tuple[Pixels, Pixels]:
    """The global view and the local tiles, each [tiles, tile, tile, 3]; `pad` gives a canvas of a size with the picture
    in a content box, [height, width, 3]."""
    tile = layout.geometry.tile
    columns, rows = layout.grid
    global_view = pad((tile, tile), layout.global_content)
    canvas = global_view if layout.grid == (1, 1) else pad(layout.canvas, layout.content)
    return global_view[None], canvas.reshape(rows, tile, columns, tile, 3).swapaxes(1, 2).reshape(-1, tile, tile, 3)


def _pad(image: Image.Image, size: tuple[int, int], content: PixelBox) -> np.ndarray:
    """The picture resized into its content box on a grey canvas, as uint8 [height, width, 3]."""
    left, top, right, bottom = content
    canvas = np.full((size[1], size[0], 3), PADDING, np.uint8)
    canvas[top:bottom, left:right] = np.asarray(_resize(image, right - left, bottom - top))
    return canvas


def _resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Bicubic, to the bit the same on every Pillow, each pass by itself."""
    vertical_first = shrinks_vertically_first(image.size, (width, height))
    between = (image.width, height) if vertical_first else (width, image.height)
    return image.resize(between, Image.Resampling.BICUBIC).resize((width, height), Image.Resampling.BICUBIC)


def shrinks_vertically_first(source: tuple[int, int], target: tuple[int, int]) -> bool:
    """Each pass of a resize rounds to 8 bits, so their order matters: Pillow 13 takes the vertical one first when the
    height shrinks more than twice as much as the width."""
    across, down = source[0] - target[0], source[1] - target[1]
    return down > 0 and down > 2 * across
