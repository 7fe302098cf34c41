"""Tiles from pixels on any device: those that Pillow makes, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from dsvl2_app.image import resample
from dsvl2_app.image.cut import cut_tiles
from dsvl2_app.image.geometry import TileGeometry
from dsvl2_app.image.resample import BITS, cut_pixels, weigh
from dsvl2_app.image.tiles import lay_out

RELEASED = TileGeometry()
ODD = TileGeometry(tile=50, patch=8, downsample=3, candidates=((50, 50), (150, 100), (100, 150)))
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]


def draw_pixels(width: int, height: int, levels: int) -> np.ndarray:
    """Noise; of two levels, black and white, it drives bicubic beyond both ends."""
    noise = np.random.default_rng(width * height).integers(levels, size=(height, width, 3))
    return (noise * 255 // (levels - 1)).astype(np.uint8)


class Launches(TorchDispatchMode):
    """Counts what runs on a device, and notes how many values each product has."""

    def __init__(self) -> None:
        super().__init__()
        self.count, self.products = 0, list[int]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.count += not func.is_view
        if func is torch.ops.aten.mul.Tensor:
            self.products.append(result.numel())
        return result


@pytest.mark.slow
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([RELEASED, ODD]), st.sampled_from([2, 256]))
@settings(max_examples=60)
def test_tiles_are_those_of_pillow(width, height, geometry, levels) -> None:
    pixels, layout = draw_pixels(width, height, levels), lay_out(width, height, geometry)
    tiles = cut_pixels(torch.from_numpy(pixels), layout)
    assert tiles.is_contiguous()
    assert np.array_equal(tiles.numpy(), cut_tiles(Image.fromarray(pixels), layout))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(1000, 400), (300, 1300), (384, 384), (1, 2000), (3000, 2)])
def test_tiles_of_larger_pictures_are_those_of_pillow(device: str, size: tuple[int, int]) -> None:
    pixels, layout = draw_pixels(*size, 256), lay_out(*size)
    tiles = cut_pixels(torch.from_numpy(pixels).to(device), layout)
    assert tiles.device.type == device
    assert np.array_equal(tiles.cpu().numpy(), cut_tiles(Image.fromarray(pixels), layout))


@pytest.mark.parametrize("at_once", [1, 4_000_000])  # less than the products of one weight, and of some
def test_memory_for_products_is_bounded(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    pixels, layout = draw_pixels(1000, 400, 256), lay_out(1000, 400)
    monkeypatch.setattr(resample, "AT_ONCE", at_once)
    with Launches() as launches:
        tiles = cut_pixels(torch.from_numpy(pixels), layout)
    one_weight = 3 * 461 * 1152  # values of the largest pass, onto the canvas
    assert max(launches.products) <= max(at_once, one_weight)
    assert np.array_equal(tiles.numpy(), cut_tiles(Image.fromarray(pixels), layout))


def test_a_pass_of_most_pictures_is_a_few_launches() -> None:
    """As many whatever the number of weights, which is 36 in the four passes of this picture."""
    pixels, layout = draw_pixels(1000, 400, 256), lay_out(1000, 400)
    with Launches() as launches:
        cut_pixels(torch.from_numpy(pixels), layout)
    assert len(launches.products) == 4 and launches.count < 50


@given(st.integers(1, 3000), st.integers(1, 3000))
@settings(max_examples=40)
def test_weights_make_one_pixel_of_neighbours(source, target) -> None:
    places, weights = weigh(source, target).swapaxes(0, 1)
    assert places.min() >= 0 and places.max() < source
    assert np.abs(weights.sum(0) - (1 << BITS)).max() <= len(weights) / 2  # each is rounded by itself
    centres = (np.arange(target) + 0.5) * source / target
    near = np.abs(places + 0.5 - centres) < 2 * max(source / target, 1) + 1e-6
    assert not weights[~near].any()
