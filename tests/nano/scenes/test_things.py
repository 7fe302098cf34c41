"""Pictures of things: boxes tight around what shows, settings, hidden shares, counts."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from dsvl2_app.image.tiles import lay_out_all
from nano.scenes import Level, Scene
from nano.scenes.scene import KIND_CODE, UNKNOWN_THING
from nano.scenes.settings import SETTINGS
from nano.scenes.sprites import pose
from nano.scenes.targets import patch_targets
from nano.scenes.things import COVERED, OUTSIDE, render
from nano.suite import GEOMETRY
from nano.things.pack import Pack
from tests.nano.packs import make_pack

PACK = make_pack()
SEEDS = 120


@pytest.fixture(scope="module")
def drawn() -> list[Scene]:
    return [render(Random(seed), Level(seed / (SEEDS - 1)), PACK) for seed in range(SEEDS)]


def test_boxes_are_tight_around_what_shows(drawn: list[Scene]):
    for scene in drawn:
        assert scene.image.shape == (*scene.owner.shape, 3) and 1 <= len(scene.objects) <= 12
        for number, item in enumerate(scene.objects, start=1):
            rows, columns = np.nonzero(scene.owner == number)
            assert item.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert item.kind in KIND_CODE


def test_things_show_by_at_least_what_may_not_be_hidden(drawn: list[Scene]):
    shares = [share for scene in drawn for share in scene.facts["visible"]]
    assert len(shares) == sum(len(scene.objects) for scene in drawn)
    assert max(shares) == 1.0 and np.mean(shares) > 0.9
    assert min(shares) > 1 - COVERED - 2 * OUTSIDE
    assert 0 < sum(share < 1 for share in shares) < len(shares) / 2


def test_a_thing_shows_in_the_pixels_that_it_owns():
    """On plain white, with nothing else changed, only owned pixels and soft edges differ from the ground."""
    scene = render(Random(5), Level(0.0), PACK, setting="single")
    ground = np.median(scene.image[scene.owner == 0], axis=0)
    differs = np.abs(scene.image.astype(int) - ground).max(2) > 60
    (item,) = scene.objects
    left, top, right, bottom = item.box
    outside = differs.copy()
    outside[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = False
    assert not outside.any()


@pytest.mark.parametrize("setting", [*SETTINGS, "single", "rows", "scattered"])
def test_every_setting_is_drawn(setting: str):
    written = False
    for seed in range(6):
        scene = render(Random(seed), Level(0.8), PACK, setting=setting)
        assert scene.facts["setting"] == setting and scene.objects
        assert setting != "single" or len(scene.objects) == 1
        written |= bool(scene.characters.any())
    assert setting not in SETTINGS or written


def test_the_same_seed_draws_the_same(drawn: list[Scene]):
    again = render(Random(7), Level(7 / (SEEDS - 1)), PACK)
    assert np.array_equal(again.image, drawn[7].image) and again.objects == drawn[7].objects


def test_counts_to_nine_and_unknown_things_occur(drawn: list[Scene]):
    counts = {sum(item.kind == other.kind for item in scene.objects) for scene in drawn for other in scene.objects}
    assert set(range(1, 6)) <= counts and max(counts) >= 8
    kinds = [item.kind for scene in drawn for item in scene.objects]
    assert 0.01 < kinds.count(UNKNOWN_THING) / len(kinds) < 0.2


def test_what_is_wanted_is_there_and_what_is_marked_is_known():
    for seed in range(12):
        scene = render(Random(seed), Level(0.5), PACK, wanted="dog", marked=True)
        assert scene.objects[scene.facts["marked"]].kind != UNKNOWN_THING
    assert all(
        any(item.kind == "dog" for item in render(Random(seed), Level(0.1), PACK, wanted="dog").objects)
        for seed in range(12)
    )


def test_a_pack_of_unknown_things_alone_shows_only_these():
    strange = Pack(PACK.split, tuple(sprite for sprite in PACK.sprites if sprite.noun in PACK.strange))
    scene = render(Random(0), Level(0.5), strange, strange=1.0)
    assert {item.kind for item in scene.objects} == {UNKNOWN_THING} and not any(item.name for item in scene.objects)


def test_a_pose_keeps_the_size_that_was_asked_for_and_no_colour_that_was_shifted():
    sprite = max(PACK.sprites, key=lambda sprite: sprite.pixels[..., 3].mean())
    for seed in range(40):
        posed = pose(sprite, Random(seed), 80.0, 0.0)
        assert abs(max(posed.size) - 80) <= 2 and posed.colour == sprite.colour
        assert (posed.pixels <= posed.alpha[..., None]).all()  # multiplied with it
    turned = [pose(sprite, Random(seed), 80.0, 1.0) for seed in range(40)]
    assert len({posed.size for posed in turned}) > 5


def test_patches_are_told_which_thing_they_show(drawn: list[Scene]):
    scene = next(scene for scene in drawn if scene.facts["setting"] == "single" and scene.facts["visible"] == (1.0,))
    targets = patch_targets(scene, lay_out_all([scene.size], GEOMETRY)[0])
    assert KIND_CODE[scene.objects[0].kind] in targets.kinds
    assert set(np.unique(targets.kinds)) <= {-1, 0, KIND_CODE[scene.objects[0].kind]}
