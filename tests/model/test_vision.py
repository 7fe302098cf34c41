"""The vision encoder against the official numbers, and the merging of identical tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from dsvl2_app import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.sections import VisionConfig
from dsvl2_app.model.vision import VisionEncoder, merge_identical

if TYPE_CHECKING:
    from tests.conftest import Reference

PICTURES = ("b_wide", "c_tall_ref", "d_two_images", "e_three_images", "f_multi_turn", "g_batch")


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("case", PICTURES)
def test_features_and_tokens_are_the_official_ones(
    reference: Reference, model: DeepseekVL2ForConditionalGeneration
) -> None:
    """Of the first two tiles, after the encoder and after the adaptor."""
    expected, projected = reference.arrays["vision_out"], reference.arrays["projector_out"]
    features = model.vision(reference.inputs["pixel_values"][: len(expected)])
    assert list(features.shape[1:]) == reference.info["vision_out_shape"][1:]
    assert (features[:, : expected.shape[1]] - expected).abs().max() <= 5e-5
    tokens = model.adaptor(features)
    assert list(tokens.shape[1:]) == reference.info["projector_out_shape"][1:]
    assert (tokens[:, : projected.shape[1]] - projected).abs().max() <= 5e-5
    assert len(reference.inputs["pixel_values"]) == reference.info["vision_out_shape"][0]


def test_pixels_beyond_the_last_whole_patch_are_not_seen() -> None:
    """384 px are 27 patches of 14 px and a rest of 6."""
    encoder = VisionEncoder(VisionConfig(width=16, layers=1, heads=2, patch_size=14)).requires_grad_(False)
    for parameter in encoder.parameters():
        parameter.uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(0))
    tiles = torch.rand(1, 3, 384, 384, generator=torch.Generator().manual_seed(1))
    cropped = tiles.clone()
    cropped[..., 378:, :] = cropped[..., :, 378:] = 5
    assert encoder(tiles).shape == (1, 27 * 27, 16)
    assert torch.equal(encoder(tiles), encoder(cropped))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_merging_keeps_each_tile_once_in_order(dtype: torch.dtype) -> None:
    a, b, c = (torch.full((3, 4, 4), value, dtype=dtype) for value in (1, 2, 3))
    tiles = torch.stack([a, b, a, c, b, a])
    distinct, twins = merge_identical(tiles)
    assert torch.equal(distinct, torch.stack([a, b, c]))
    assert twins.tolist() == [0, 1, 0, 2, 1, 0]
    assert torch.equal(distinct[twins], tiles)


def test_merging_sees_one_different_pixel_and_strided_tiles() -> None:
    tiles: Tensor = torch.zeros(2, 8, 8, 3, dtype=torch.uint8).permute(0, 3, 1, 2)
    assert len(merge_identical(tiles)[0]) == 1
    tiles[1, 2, 7, 7] = 1
    assert len(merge_identical(tiles)[0]) == 2


def test_merging_nothing() -> None:
    distinct, twins = merge_identical(torch.zeros(0, 3, 8, 8))
    assert distinct.shape == (0, 3, 8, 8) and len(twins) == 0
