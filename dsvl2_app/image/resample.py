"""Pixels on any device -> tiles, to the bit those of `cut.cut_tiles`.

Pillow resizes 8-bit pixels in integers, so a GPU can repeat it exactly, in a fraction of the time. What each pixel
weighs is not computed here a second time: Pillow itself is asked.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dsvl2_app.image.cut import PADDING, cut_views, shrinks_vertically_first
from dsvl2_app.image.tiles import PixelBox, TileLayout

BITS = 22  # of the fraction of Pillow's weights, PRECISION_BITS in its Resample.c
REACH = 2  # px on each side that bicubic looks at, in those of the smaller picture
AT_ONCE = 2**25  # products of a pass, which bound its memory: all of most pictures, since a launch takes longer


def cut_pixels(pixels: Tensor, layout: TileLayout) -> Tensor:
    """RGB uint8 [height, width, 3] -> [1 + columns * rows, tile, tile, 3] on the same device, as `cut_tiles`."""
    return torch.cat(cut_views(layout, lambda size, content: _pad(pixels, size, content)))


def _pad(pixels: Tensor, size: tuple[int, int], content: PixelBox) -> Tensor:
    left, top, right, bottom = content
    source = (pixels.shape[1], pixels.shape[0])
    target = (right - left, bottom - top)
    for axis in (0, 1) if shrinks_vertically_first(source, target) else (1, 0):
        pixels = _resize_axis(pixels, axis, target[1 - axis])
    canvas = pixels.new_full((size[1], size[0], 3), PADDING)
    canvas[top:bottom, left:right] = pixels
    return canvas


def _resize_axis(pixels: Tensor, axis: int, target: int) -> Tensor:
    """One pass of Pillow's, rounded to 8 bits."""
    if pixels.shape[axis] == target:
        return pixels
    places, weights = torch.as_tensor(weigh(pixels.shape[axis], target)).to(pixels.device).unbind(1)
    taps = max(1, AT_ONCE // (pixels.numel() // pixels.shape[axis] * target))
    total = torch.full((), 1 << BITS - 1, dtype=torch.int32, device=pixels.device)  # a half, to round
    for first in range(0, len(weights), taps):
        some, weight = places[first : first + taps], weights[first : first + taps]
        shape = *pixels.shape[:axis], *some.shape, *pixels.shape[axis + 1 :]  # taps, target in place of the axis
        taken = pixels.index_select(axis, some.flatten()).reshape(shape)
        shaped = weight[..., None, None] if axis == 0 else weight[..., None]
        total = total + (taken * shaped).sum(axis, dtype=torch.int32)
    return (total >> BITS).clamp_(0, 255).byte()


@lru_cache(maxsize=256)
def weigh(source: int, target: int) -> np.ndarray:
    """[taps, 2, target] int32: which of the `source` pixels in a row make each of `target` ones, and their weights.

    Pillow resizes rows of 32-bit integers with the weights of its 8-bit pixels, unrounded. Row r of the comb holds a
    one at every pixel r, r + taps, ...; a window is at most `taps` wide and so meets one of them, whose weight is left.
    """
    scale = source / target
    support = REACH * max(scale, 1.0)
    taps = 2 * int(np.ceil(support)) + 1
    comb = np.zeros((taps, source), np.int32)
    comb[np.arange(source) % taps, np.arange(source)] = 1 << BITS
    weights = np.asarray(Image.fromarray(comb).resize((target, taps), Image.Resampling.BICUBIC))
    first = np.floor((np.arange(target) + 0.5) * scale - support + 0.5).astype(np.int32)
    places = first + (np.arange(taps, dtype=np.int32)[:, None] - first) % taps
    return np.stack((places.clip(0, source - 1), weights), axis=1)
