from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import PIL
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from dsvl2_app.errors import CheckpointError, ImageError, SettingsError
from dsvl2_app.image.cut import cut_tiles
from dsvl2_app.image.geometry import RELEASED_CANDIDATES, TileGeometry
from dsvl2_app.image.tiles import choose_grid, lay_out

REFERENCE = Path(__file__).parents[1] / "reference"
CASES = sorted(REFERENCE.glob("*/cases/*.json"))
FACTS = ("images", "tiling", "tiles_u8_sha256", "num_image_tokens", "images_spatial_crop")
PILLOW = int(PIL.__version__.split(".")[0])
RELEASED = TileGeometry()
SMALL_TILES = TileGeometry(  # 13 patches, padded to 14: the last token of a row covers one patch
    tile=182, candidates=tuple((w // 384 * 182, h // 384 * 182) for w, h in RELEASED_CANDIDATES)
)
ODD = TileGeometry(tile=50, patch=8, downsample=3, candidates=((50, 50), (150, 100), (100, 150)))  # 6 patches
GEOMETRIES = st.sampled_from([RELEASED, SMALL_TILES, ODD])
SIDES = st.integers(1, 5000)


def literal_best_resolution(image_size: tuple[int, int], candidates: list[tuple[int, int]]) -> tuple[int, int]:
    """The official selection, statement by statement."""
    original_width, original_height = image_size
    best_fit = None
    max_effective_resolution = 0
    min_wasted_resolution = float("inf")
    for width, height in candidates:
        scale = min(width / original_width, height / original_height)
        downscaled_width = int(original_width * scale)
        downscaled_height = int(original_height * scale)
        effective = min(downscaled_width * downscaled_height, original_width * original_height)
        wasted = (width * height) - effective
        better = effective > max_effective_resolution
        if better or (effective == max_effective_resolution and wasted < min_wasted_resolution):
            max_effective_resolution = effective
            min_wasted_resolution = wasted
            best_fit = (width, height)
    assert best_fit is not None
    return best_fit


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_released_candidates_are_all_grids_of_at_most_nine_tiles() -> None:
    grids = {(w, h) for w in range(1, 10) for h in range(1, 10) if w * h <= 9}
    assert len(RELEASED_CANDIDATES) == 23
    assert {(w // 384, h // 384) for w, h in RELEASED_CANDIDATES} == grids


def test_choose_grid_matches_every_reference_size() -> None:
    reference = json.loads((REFERENCE / "select_best_resolution.json").read_text())
    geometry = TileGeometry(candidates=tuple((w, h) for w, h in reference["candidate_resolutions"]))
    assert len(reference["cases"]) == 400
    for case in reference["cases"]:
        columns, rows = choose_grid(*case["image_size"], geometry)
        assert [columns * 384, rows * 384] == case["best"], case


@given(SIDES, SIDES, GEOMETRIES, st.randoms())
def test_choose_grid_agrees_with_the_literal_transcription(width, height, geometry, random) -> None:
    candidates = random.sample(geometry.candidates, k=len(geometry.candidates))
    shuffled = TileGeometry(geometry.tile, geometry.patch, geometry.downsample, tuple(candidates))
    best = literal_best_resolution((width, height), candidates)
    assert choose_grid(width, height, shuffled) == (best[0] // geometry.tile, best[1] // geometry.tile)


@pytest.mark.parametrize(("size", "grid"), [((885, 1328), (2, 4)), ((1033, 1550), (2, 4)), ((2776, 1851), (3, 3))])
def test_truncation_decides_some_grids(size: tuple[int, int], grid: tuple[int, int]) -> None:
    """Rounding in place of `int()` would call six tiles as good and less wasteful."""
    assert choose_grid(*size) == grid


def test_the_first_of_equal_candidates_wins() -> None:
    wide_first = TileGeometry(candidates=((768, 384), (384, 768)))
    tall_first = TileGeometry(candidates=((384, 768), (768, 384)))
    assert choose_grid(500, 500, wide_first) == (2, 1)
    assert choose_grid(500, 500, tall_first) == (1, 2)


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_tiles_match_the_official_pixels(path: Path) -> None:
    case = json.loads(path.read_text())
    batched = "members" in case
    rows = [{name: case[name][row] for name in FACTS} for row in range(len(case["tiling"]))] if batched else [case]
    for row in rows:
        digests, tokens, grids = [], [], []
        for entry in row["images"]:
            image = Image.open(REFERENCE / entry["file"])
            layout = lay_out(*image.size, tiling=row["tiling"])
            digests += [hashlib.sha256(tile).hexdigest() for tile in cut_tiles(image, layout)]
            tokens.append(layout.num_tokens)
            grids.append(list(layout.grid))
        assert digests == row["tiles_u8_sha256"]
        assert tokens == row["num_image_tokens"]
        assert (grids or [[0, 0]]) == row["images_spatial_crop"]


def test_every_reference_case_is_there() -> None:
    assert len(CASES) == 3 * 7


@pytest.mark.slow
@given(st.integers(1, 400), st.integers(1, 400), GEOMETRIES, st.booleans())
@settings(max_examples=60, deadline=None)
def test_cut_tiles_equals_pad_and_crop(width, height, geometry, tiling) -> None:
    if PILLOW < 13:
        height = min(height, 2 * width)  # see test_passes_have_one_order_on_every_pillow
    assume(max(width, height) < 49 * min(width, height))  # see test_thin_pictures_keep_a_pixel
    image = picture(width, height)
    layout = lay_out(width, height, geometry, tiling=tiling)
    tile = geometry.tile
    views = [ImageOps.pad(image, (tile, tile), color=(127, 127, 127))]
    canvas = ImageOps.pad(image, layout.canvas, color=(127, 127, 127))
    for row in range(layout.grid[1]):
        for column in range(layout.grid[0]):
            views.append(canvas.crop((column * tile, row * tile, (column + 1) * tile, (row + 1) * tile)))
    assert np.array_equal(cut_tiles(image, layout), np.stack([np.asarray(view) for view in views]))


@pytest.mark.parametrize("size", [(1000, 400), (333, 1301), (500, 501), (385, 384), (2, 301), (384, 384)])
def test_content_is_exactly_the_part_that_is_not_padding(size: tuple[int, int]) -> None:
    layout = lay_out(*size)
    black = Image.new("RGB", size)
    for canvas, content in ((layout.canvas, layout.content), ((384, 384), layout.global_content)):
        padded = np.asarray(ImageOps.pad(black, canvas, color=(127, 127, 127)))[:, :, 0]
        rows, columns = np.nonzero(padded == 0)
        assert content == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_passes_have_one_order_on_every_pillow() -> None:
    """Vertical first where the height shrinks by more than twice what the width does, as in Pillow 13."""
    for size, vertical_first in (((300, 1200), True), ((600, 1000), False), ((1000, 600), False)):
        image = picture(*size)
        layout = lay_out(*size, tiling=False)
        left, top, right, bottom = layout.global_content
        width, height = right - left, bottom - top
        passes = [(size[0], height), (width, size[1])]
        expected, other = (
            np.asarray(image.resize(between).resize((width, height)))
            for between in (passes if vertical_first else passes[::-1])
        )
        assert not np.array_equal(expected, other)
        assert np.array_equal(cut_tiles(image, layout)[0, top:bottom, left:right], expected)


@pytest.mark.parametrize("size", [(1, 4000), (4000, 1)])
def test_thin_pictures_keep_a_pixel(size: tuple[int, int]) -> None:
    layout = lay_out(*size)
    left, top, right, bottom = layout.content
    assert min(right - left, bottom - top) == 1
    assert (cut_tiles(Image.new("RGB", size), layout) == 0).any()


def test_cut_tiles_refuses_another_picture() -> None:
    layout = lay_out(100, 100)
    with pytest.raises(ValueError, match="does not match"):
        cut_tiles(Image.new("RGB", (100, 101)), layout)
    with pytest.raises(ValueError, match="does not match"):
        cut_tiles(Image.new("L", (100, 100)), layout)


@pytest.mark.parametrize(
    ("grid", "tokens"),
    [
        ((1, 1), 421),
        ((2, 1), 617),
        ((1, 2), 631),
        ((4, 2), 1807),
        ((2, 4), 1835),
        ((3, 3), 2017),
        ((1, 9), 2101),
    ],
)
def test_token_counts_of_released_grids(grid: tuple[int, int], tokens: int) -> None:
    layout = lay_out(grid[0] * 384, grid[1] * 384)
    assert layout.grid == grid
    assert layout.num_tokens == len(layout.tokens()) == tokens


@given(SIDES, SIDES, GEOMETRIES)
@settings(max_examples=50, deadline=None)
def test_every_token_has_one_place(width, height, geometry) -> None:
    layout = lay_out(width, height, geometry)
    tokens = layout.tokens()
    side, (columns, rows) = geometry.tokens_per_side, layout.grid
    of_tiles = [layout.token_range(tile) for tile in range(layout.num_tiles)]
    assert all(len(indices) == geometry.tokens_per_tile for indices in of_tiles)
    for tile, indices in enumerate(of_tiles):
        assert {tokens[index].tile for index in indices} == {tile}
    others = [index for index, token in enumerate(tokens) if token.tile is None]
    assert sorted([*others, *(index for indices in of_tiles for index in indices)]) == list(range(len(tokens)))
    assert {tokens[index].kind for index in others} == {"newline", "separator"}
    places = [(token.view, token.row, token.column) for token in tokens]
    assert places == [
        *(("global", row, column) for row in range(side) for column in range(side + 1)),
        (None, None, None),
        *(("local", row, column) for row in range(side * rows) for column in range(side * columns + 1)),
    ]
    assert sum(token.kind == "newline" for token in tokens) == side * (1 + rows)


@pytest.mark.slow
@given(SIDES, SIDES, GEOMETRIES)
@settings(max_examples=50, deadline=None)
def test_token_boxes_lie_in_the_picture_and_meet_the_canvas(width, height, geometry) -> None:
    """A token's box, carried back to the canvas by the scale of the content, lies under that token."""
    layout = lay_out(width, height, geometry)
    seen, span = geometry.patches * geometry.patch, geometry.downsample * geometry.patch
    for token in layout.tokens():
        if token.tile is None:
            assert token.box is None
            continue
        left, top, right, bottom = layout.content if token.tile else layout.global_content
        tile_left, tile_top, _, _ = layout.tile_box(token.tile)
        down, across = token.row % geometry.tokens_per_side, token.column % geometry.tokens_per_side
        window = (
            max(tile_left + across * span, left),
            max(tile_top + down * span, top),
            min(tile_left + min((across + 1) * span, seen), right),
            min(tile_top + min((down + 1) * span, seen), bottom),
        )
        if token.box is None:
            assert window[0] >= window[2] or window[1] >= window[3]
            continue
        x1, y1, x2, y2 = token.box
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
        across_scale, down_scale = (right - left) / width, (bottom - top) / height
        assert window == pytest.approx(
            (
                left + x1 * across_scale,
                top + y1 * down_scale,
                left + x2 * across_scale,
                top + y2 * down_scale,
            )
        )


def test_token_boxes_stop_where_the_patches_stop() -> None:
    """27 patches of 14 px see 378 of 384 px; the 14th token of a row covers one patch instead of two."""
    layout = lay_out(384, 384)
    assert layout.token(0).box == (0, 0, 28, 28)
    assert layout.token(13).box == (364, 0, 378, 28)
    assert layout.token(14).kind == "newline"
    assert layout.token(13 * 15 + 13).box == (364, 364, 378, 378)
    small = lay_out(182, 182, SMALL_TILES)
    assert small.geometry.tokens_per_side == 7
    assert small.token(6).box == (168, 0, 182, 28)


def test_token_boxes_of_local_rows_run_through_the_tiles() -> None:
    layout = lay_out(768, 384)
    first = 14 * 15 + 1
    assert layout.token(first - 1).kind == "separator"
    assert [layout.token(first + column).tile for column in (0, 13, 14, 27)] == [1, 1, 2, 2]
    assert layout.token(first + 14).box == (384, 0, 412, 28)
    assert layout.token(first + 28).kind == "newline"
    assert layout.token(first).box == (0, 0, 28, 28)
    assert layout.token(0).box is None  # above the picture in the global view
    assert layout.token_range(2)[:15] == (*range(first + 14, first + 28), first + 29 + 14)


def test_tile_boxes_follow_the_canvas() -> None:
    layout = lay_out(1000, 400)
    assert layout.grid == (3, 2) and layout.canvas == (1152, 768)
    assert layout.tile_box(0) == (0, 0, 384, 384)
    assert layout.tile_box(3) == (768, 0, 1152, 384)
    assert layout.tile_box(4) == (0, 384, 384, 768)
    tiles = cut_tiles(picture(1000, 400), layout)
    canvas = np.asarray(ImageOps.pad(picture(1000, 400), layout.canvas, color=(127, 127, 127)))
    for tile in range(1, layout.num_tiles):
        left, top, right, bottom = layout.tile_box(tile)
        assert np.array_equal(tiles[tile], canvas[top:bottom, left:right])


@given(SIDES, SIDES, GEOMETRIES)
def test_candidates_explain_the_choice(width, height, geometry) -> None:
    layout = lay_out(width, height, geometry)
    candidates = layout.candidates
    assert tuple(candidate.resolution for candidate in candidates) == geometry.candidates
    assert sorted(candidate.rank for candidate in candidates) == list(range(1, len(candidates) + 1))
    (chosen,) = (candidate for candidate in candidates if candidate.chosen)
    assert chosen.rank == 1
    assert (chosen.grid, chosen.resolution, chosen.scale) == (layout.grid, layout.canvas, layout.scale)
    keys = [(-c.effective, c.wasted) for c in sorted(candidates, key=lambda candidate: candidate.rank)]
    assert keys == sorted(keys)


def test_max_tiles_leaves_candidates_out() -> None:
    assert lay_out(3000, 3000).grid == (3, 3)
    limited = lay_out(3000, 3000, max_tiles=4)
    assert limited.grid == (2, 2)
    assert all(columns * rows <= 4 for columns, rows in (c.grid for c in limited.candidates))
    assert lay_out(3000, 3000, max_tiles=1).grid == (1, 1)
    assert lay_out(3000, 1000, max_tiles=9) == lay_out(3000, 1000)
    with pytest.raises(SettingsError, match="at most 0 tiles"):
        lay_out(10, 10, max_tiles=0)


def test_tiling_off_is_one_tile() -> None:
    layout = lay_out(3000, 1000, tiling=False)
    assert layout.grid == (1, 1) and layout.num_tokens == 421
    assert [candidate.grid for candidate in layout.candidates if candidate.chosen] == [(1, 1)]


def test_indices_out_of_range() -> None:
    layout = lay_out(384, 384)
    for index in (-1, 421):
        with pytest.raises(IndexError):
            layout.token(index)
    for tile in (-1, 2):
        with pytest.raises(IndexError):
            layout.tile_box(tile)


@pytest.mark.parametrize(
    "wrong",
    [
        {"candidates": ()},
        {"candidates": ((400, 384),)},
        {"candidates": ((0, 384),)},
        {"tile": 10},
        {"patch": 0},
    ],
)
def test_impossible_geometries_are_refused(wrong: dict) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json|at least one"):
        TileGeometry(**wrong)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-3, 3)])
def test_sizes_below_one_pixel_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="at least 1 px"):
        choose_grid(*size)
