from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dsvl2_app.image.heat import LONGEST, draw_heat, spread_tokens
from dsvl2_app.image.tiles import lay_out

LAYOUT = lay_out(1000, 400)


@pytest.mark.parametrize("size", [(1000, 400), (300, 3000), (384, 384), (5, 4000), (1, 1)])
def test_equal_weights_are_equally_hot_all_over_the_picture(size: tuple[int, int]) -> None:
    layout = lay_out(*size)
    heat = spread_tokens(layout, np.ones(layout.num_tokens))
    assert max(heat.shape) == LONGEST
    assert (heat[1:-1, 1:-1] > 0).all()
    # per tile, 6 of 384 px belong to no patch; cells across them are cooler
    assert np.median(heat) == pytest.approx(heat.max(), rel=1e-6)


def test_a_token_of_a_view_is_as_hot_as_it_weighs() -> None:
    weights = np.zeros(LAYOUT.num_tokens)
    weights[700] = 3
    side = 28 / LAYOUT.scale  # px of the picture that a token looks at
    assert spread_tokens(LAYOUT, weights).max() == pytest.approx(3 / side**2, rel=0.01)


def test_a_token_is_hot_where_it_looks() -> None:
    for index in (80, 100, 700, 1000):
        box = LAYOUT.token(index).box
        assert box
        weights = np.zeros(LAYOUT.num_tokens)
        weights[index] = 1
        heat = spread_tokens(LAYOUT, weights)
        rows, columns = np.nonzero(heat)
        cell = 1000 / LONGEST
        assert (columns.min() * cell, rows.min() * cell) == pytest.approx(box[:2], abs=1.1 * cell)
        assert ((columns.max() + 1) * cell, (rows.max() + 1) * cell) == pytest.approx(box[2:], abs=1.1 * cell)


def test_tokens_that_see_no_picture_have_no_heat() -> None:
    weights = np.array([place.box is None for place in LAYOUT.tokens()], dtype=float)
    assert weights.any()
    assert not spread_tokens(LAYOUT, weights).any()


def test_heat_colours_only_what_is_hot() -> None:
    picture = Image.new("RGB", (140, 140), (0, 90, 200))
    heat = np.zeros((14, 14))
    heat[3, 10] = 2.0
    drawn = np.asarray(draw_heat(picture, heat)).astype(int)
    saturation = drawn.max(axis=2) - drawn.min(axis=2)
    row, column = np.unravel_index(drawn.sum(axis=2).argmax(), (140, 140))
    assert 30 <= row < 40 and 100 <= column < 110
    assert saturation[35, 105] > 60
    assert saturation[70:, :].max() == 0


@pytest.mark.parametrize(
    "heat",
    [np.zeros((3, 3)), np.zeros((0, 4)), np.full((2, 2), np.nan), -np.ones((2, 2)), np.array([[np.inf, 0]])],
)
def test_heat_without_values_is_a_grey_picture(heat: np.ndarray) -> None:
    picture = Image.effect_noise((30, 20), 50).convert("RGB")
    assert draw_heat(picture, heat).tobytes() == picture.convert("L").convert("RGB").tobytes()


@pytest.mark.parametrize("shape", [(1, 1), (1, 126), (126, 14), (14, 14)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, bool])
def test_heat_of_any_shape_and_type(shape: tuple[int, int], dtype: type) -> None:
    drawn = np.asarray(draw_heat(Image.new("RGB", (400, 300), "white"), np.ones(shape, dtype=dtype)))
    assert drawn.shape == (300, 400, 3)
    assert (drawn != 255).any(axis=2).all()
