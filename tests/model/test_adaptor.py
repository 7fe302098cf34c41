"""Pixel shuffle and the order of an image's embeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dsvl2_app.image import tiles
from dsvl2_app.image.geometry import RELEASED_CANDIDATES
from dsvl2_app.image.tiles import lay_out, order_tokens
from dsvl2_app.model.adaptor import Adaptor, shuffle
from dsvl2_app.model.sections import AdaptorConfig

SIDE = 14
GRIDS = sorted({(width // 384, height // 384) for width, height in RELEASED_CANDIDATES})
SEPARATOR, NEWLINE = -1.0, -2.0


@pytest.mark.parametrize(("side", "downsample"), [(27, 2), (28, 2), (13, 2), (9, 3), (10, 3), (5, 1)])
def test_shuffle_orders_channels_as_unfold(side: int, downsample: int) -> None:
    features = torch.randn(2, side * side, 5, generator=torch.Generator().manual_seed(0))
    padding = -side % downsample
    grid = F.pad(features.unflatten(1, (side, side)), (0, 0, 0, padding, 0, padding))
    expected = F.unfold(grid.permute(0, 3, 1, 2), kernel_size=downsample, stride=downsample).transpose(1, 2)
    assert torch.equal(shuffle(features, downsample), expected)


@pytest.mark.slow
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_arrangement_is_the_one_of_the_tile_layout(grid: tuple[int, int]) -> None:
    """Token i of an image is where `TileLayout.token(i)` says: which tile, row and column."""
    layout = lay_out(grid[0] * 384, grid[1] * 384)
    assert layout.grid == grid
    adaptor = Adaptor(AdaptorConfig(input_dim=4, n_embed=1)).requires_grad_(False)
    adaptor.view_separator.fill_(SEPARATOR)
    adaptor.tile_newline.fill_(NEWLINE)
    numbers = torch.arange(layout.num_tiles * SIDE * SIDE, dtype=torch.float32)
    embeds = adaptor.arrange(numbers.view(layout.num_tiles, SIDE * SIDE, 1), grid)
    assert embeds.shape == (layout.num_tokens, 1)

    def expect(index: int) -> float:
        place = layout.token(index)
        if place.tile is None:
            return {"separator": SEPARATOR, "newline": NEWLINE}[place.kind]
        assert place.row is not None and place.column is not None
        return float((place.tile * SIDE + place.row % SIDE) * SIDE + place.column % SIDE)

    assert embeds[:, 0].tolist() == [expect(index) for index in range(layout.num_tokens)]
    order = order_tokens(SIDE, *grid)
    assert [expect(index) for index in np.flatnonzero(order >= 0)] == order[order >= 0].tolist()
    assert {expect(index) for index in np.flatnonzero(order == tiles.NEWLINE)} == {NEWLINE}
    assert {expect(index) for index in np.flatnonzero(order == tiles.SEPARATOR)} == {SEPARATOR}


def test_mlp_uses_the_exact_gelu_between_its_layers() -> None:
    torch.manual_seed(0)
    adaptor = Adaptor(AdaptorConfig(input_dim=3, n_embed=7, depth=3, mlp_ratio=2)).requires_grad_(False)
    features = torch.randn(1, 16, 3)
    first, second, third = (layer for layer in adaptor.mlp if isinstance(layer, torch.nn.Linear))
    assert (first.out_features, second.out_features, third.out_features) == (14, 14, 7)
    expected = third(F.gelu(second(F.gelu(first(shuffle(features, 2))))))
    torch.testing.assert_close(adaptor(features), expected)
    assert not torch.allclose(expected, third(F.gelu(second(F.gelu(first(shuffle(features, 2)), approximate="tanh")))))
