from __future__ import annotations

from random import Random

import numpy as np
import pytest

from dsvl2_app.image.geometry import RELEASED_CANDIDATES, TileGeometry
from dsvl2_app.image.tiles import lay_out
from nano import scenes
from nano.scenes.canvas import Canvas
from nano.scenes.fonts import CHARACTERS, find_faces, load_font
from nano.scenes.scene import COLOUR_CODE, KIND_CODE, SceneObject, scale_box
from nano.scenes.sizes import TILE
from nano.scenes.targets import SLOTS, patch_targets

GEOMETRY = TileGeometry(TILE, 14, 2, tuple((w // 384 * TILE, h // 384 * TILE) for w, h in RELEASED_CANDIDATES))
SIDE = GEOMETRY.patches


def one_box(width: int, height: int, box: tuple[int, int, int, int]) -> scenes.Scene:
    canvas = Canvas(width, height, (255, 255, 255))
    canvas.rectangle(box, (0, 0, 0))
    canvas.claim(SceneObject("square", box, "black"))
    return canvas.finish("shapes", "shapes")


@pytest.mark.parametrize("family", sorted(scenes.FAMILIES))
def test_shapes_of_the_arrays(family: str):
    for seed in range(6):
        scene = scenes.render(family, Random(seed))
        layout = lay_out(*scene.size, GEOMETRY)
        targets = patch_targets(scene, layout)
        tiles, patches, tokens = layout.num_tiles, SIDE**2, GEOMETRY.tokens_per_tile
        assert targets.kinds.shape == targets.colours.shape == (tiles, patches)
        assert targets.characters.shape == targets.order.shape == (tiles, patches, SLOTS)
        assert targets.offsets.shape == (tiles, patches, 4)
        assert targets.token_kinds.shape == (tiles, tokens) and targets.token_boxes.shape == (tiles, tokens, 4)
        assert targets.token_boxes.max() <= 999 and targets.kinds.max() < len(KIND_CODE)


def test_a_square_is_seen_by_the_patches_over_it():
    scene = one_box(TILE, TILE, (56, 28, 126, 98))  # patches 4..8 across, 2..6 down
    targets = patch_targets(scene, lay_out(TILE, TILE, GEOMETRY))
    for tile in (0, 1):  # the global view and the only local tile show the same
        kinds = targets.kinds[tile].reshape(SIDE, SIDE)
        expected = np.zeros((SIDE, SIDE), int)
        expected[2:7, 4:9] = KIND_CODE["square"]
        assert np.array_equal(kinds, expected)
        assert np.array_equal(targets.colours[tile] == COLOUR_CODE["black"], expected.ravel() > 0)
        middle = targets.offsets[tile].reshape(SIDE, SIDE, 4)[2, 4] * TILE + np.array((63, 35, 63, 35))
        assert middle == pytest.approx((56, 28, 126, 98), abs=1e-3)
        boxes = targets.token_boxes[tile][targets.token_kinds[tile] == KIND_CODE["square"]]
        assert (boxes == scale_box((56, 28, 126, 98), (TILE, TILE))).all() and len(boxes) >= 4


def test_offsets_lead_from_every_tile_to_the_same_box():
    scene = one_box(500, 300, (120, 60, 420, 250))
    layout = lay_out(500, 300, GEOMETRY)
    targets = patch_targets(scene, layout)
    middles = (np.arange(SIDE) + 0.5) * GEOMETRY.patch
    for tile in range(layout.num_tiles):
        left, top = (0, 0) if tile == 0 else layout.tile_box(tile)[:2]
        content = layout.global_content if tile == 0 else layout.content
        scale = (content[2] - content[0]) / 500
        found = targets.kinds[tile].reshape(SIDE, SIDE) == KIND_CODE["square"]
        for row, column in zip(*np.nonzero(found), strict=True):
            edges = targets.offsets[tile].reshape(SIDE, SIDE, 4)[row, column] * TILE
            edges += np.array((middles[column] + left, middles[row] + top) * 2)
            edges -= np.array(content[:2] * 2)
            assert edges / scale == pytest.approx((120, 60, 420, 250), abs=2)
    assert (targets.kinds == KIND_CODE["square"]).sum() > 50


def test_what_is_on_looks_other_than_what_is_off():
    for on in (False, True):
        canvas = Canvas(TILE, TILE, (255, 255, 255))
        canvas.claim(SceneObject("switch", (20, 20, 120, 80), name="Sound", state=on))
        targets = patch_targets(canvas.finish("screens", "window"), lay_out(TILE, TILE, GEOMETRY))
        assert set(targets.kinds.ravel()) == {0, KIND_CODE["switch, on" if on else "switch"]}


def test_padding_is_not_learnt():
    scene = one_box(600, 100, (10, 10, 60, 60))
    targets = patch_targets(scene, lay_out(600, 100, GEOMETRY))
    rows = targets.kinds[0].reshape(SIDE, SIDE)
    assert (rows[0] == -1).all() and (rows[-1] == -1).all() and (rows[SIDE // 2] >= 0).all()


def test_letters_are_read_off_in_order_where_they_are_large_enough():
    canvas = Canvas(2 * TILE, TILE, (255, 255, 255))
    font = load_font(next(iter(find_faces().values()))[0], 40)
    canvas.text(20, 91 + font.cap_height // 2, "Hello42", font, (0, 0, 0))
    scene = canvas.finish("documents", "words")
    layout = lay_out(*scene.size, GEOMETRY)
    assert layout.grid == (2, 1)
    targets = patch_targets(scene, layout)
    row = [targets.characters[tile].reshape(SIDE, SIDE * SLOTS)[6] for tile in (1, 2)]
    places = [targets.order[tile].reshape(SIDE, SIDE * SLOTS)[6] for tile in (1, 2)]
    codes, order = np.concatenate(row), np.concatenate(places)
    letters = [CHARACTERS[code - 1] for code in codes if code > 0]
    assert [
        letter for place, letter in enumerate(letters) if place == 0 or letters[place - 1] != letter or letter == "l"
    ]
    shown = {place: CHARACTERS[code - 1] for code, place in zip(codes, order, strict=True) if code > 0}
    assert "".join(shown[place] for place in sorted(shown)) == "Hello42"
    assert (order[codes <= 0] == -1).all()


def test_letters_too_small_to_read_are_left_out():
    canvas = Canvas(TILE, TILE, (255, 255, 255))
    canvas.text(20, 91, "tiny words", load_font(next(iter(find_faces().values()))[0], 8), (0, 0, 0))
    scene = canvas.finish("documents", "words")
    targets = patch_targets(scene, lay_out(TILE, TILE, GEOMETRY))
    assert targets.characters.max() == 0 and (targets.characters == -1).any()
