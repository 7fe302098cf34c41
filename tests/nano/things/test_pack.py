"""Packs: what is written is read, and what is kept for evaluation cannot be reached by what trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nano
from dsvl2_app.errors import SettingsError
from nano.samples import WITH_THINGS, SampleStream
from nano.things.pack import (
    EVALUATION,
    FILES,
    KEPT_HAND,
    PHOTOGRAPH,
    TRAINING,
    Pack,
    read_evaluation,
    read_training,
    split_of,
    write,
)
from nano.things.sources import find_colour
from nano.things.vocabulary import is_kept, nouns
from tests.nano.packs import HANDS, draw_all, make_pack


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("packs")
    sprites, grounds = draw_all()
    for split, name in FILES.items():
        write(made / name, sprites[:120] + sprites[-60:], grounds, split)
    return made


def test_a_pack_holds_what_was_written(folder: Path):
    sprites, _ = draw_all()
    pack = read_training(folder / FILES[TRAINING])
    drawn = {(sprite.noun, sprite.name): sprite for sprite in sprites}
    assert pack.sprites and pack.grounds and {*HANDS} - {KEPT_HAND} == {sprite.hand for sprite in pack.sprites}
    for sprite in pack.sprites:
        before = drawn[sprite.noun, sprite.name]
        assert (sprite.colour, sprite.pixels.shape) == (before.colour, before.pixels.shape)
        assert np.array_equal(sprite.pixels[..., 3], before.pixels[..., 3])
        shows = before.pixels[..., 3] > 0
        assert np.abs(sprite.pixels[shows].astype(int) - before.pixels[shows]).mean() < 12


def test_each_pack_is_refused_in_the_others_place(folder: Path):
    with pytest.raises(SettingsError, match="not for training"):
        read_training(folder / FILES[EVALUATION])
    with pytest.raises(SettingsError, match="not for evaluation"):
        read_evaluation(folder / FILES[TRAINING])


def test_a_pack_that_says_it_is_for_training_is_refused_for_one_kept_sprite(tmp_path: Path, monkeypatch):
    sprites, _ = draw_all()
    kept = next(sprite for sprite in sprites if sprite.hand == KEPT_HAND)
    with monkeypatch.context() as patched:
        patched.setattr("nano.things.pack.split_of", lambda *_: TRAINING)
        write(tmp_path / "false.zip", [kept], [], TRAINING)
    with pytest.raises(SettingsError, match="not for training"):
        read_training(tmp_path / "false.zip")


def test_what_is_kept():
    assert split_of("dog", KEPT_HAND, "dog") == EVALUATION
    names = [f"{number}.png" for number in range(40)]
    assert {split_of("dog", "noto", name) for name in names} == {TRAINING}
    for name in names:
        for hand in (PHOTOGRAPH, "stamp"):
            assert (split_of("dog", hand, name) == EVALUATION) == is_kept(name)
    unknown = [name for name, noun in nouns().items() if not noun.known]
    assert all((split_of(name, "noto", "x.png") == EVALUATION) == is_kept(name) for name in unknown)


def test_what_trains_cannot_reach_sprites_of_evaluation():
    with pytest.raises(ValueError, match="none to train on"):
        SampleStream(WITH_THINGS["sft_things"], pack=make_pack(EVALUATION))
    root = Path(nano.__file__).parent
    sources = {file.relative_to(root).as_posix(): file.read_text(encoding="utf-8") for file in root.rglob("*.py")}
    readers = sorted(name for name, text in sources.items() if "read_evaluation" in text)
    assert readers == ["suite.py", "things/pack.py"]
    assert [name for name, text in sources.items() if "nano.suite" in text] == []  # nothing that trains imports it


@pytest.mark.parametrize("content", [b"", b"no zip"])
def test_a_file_that_is_no_pack_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "bad.zip").write_bytes(content)
    with pytest.raises(SettingsError, match="no pack of sprites"):
        read_training(tmp_path / "bad.zip")
    with pytest.raises(SettingsError, match="no pack of sprites"):
        read_training(tmp_path / "missing.zip")


def test_colours():
    def plain(*colour: int) -> np.ndarray:
        return np.full((20, 20, 4), (*colour, 255), np.uint8)

    seen = {"red": (220, 30, 30), "green": (40, 160, 60), "blue": (40, 80, 215), "yellow": (246, 216, 40),
            "orange": (245, 138, 28), "purple": (130, 52, 172), "pink": (246, 142, 186), "brown": (122, 74, 40),
            "black": (22, 22, 24), "white": (250, 250, 250), "grey": (134, 134, 136),
            "cyan": (48, 206, 222)}  # fmt: skip
    assert {name: find_colour(plain(*colour)) for name, colour in seen.items()} == {name: name for name in seen}
    assert find_colour(np.vstack((plain(220, 30, 30), plain(40, 80, 215)))) == ""
    assert find_colour(np.zeros((9, 9, 4), np.uint8)) == ""


def test_a_pack_knows_its_nouns():
    pack = make_pack()
    assert set(pack.known) | set(pack.strange) == set(pack.by_noun)
    assert {nouns()[noun].kind.name for noun in pack.by_kind["animal"]} == {"animal"}
    assert isinstance(pack.only("noto"), Pack) and {sprite.hand for sprite in pack.only("noto").sprites} == {"noto"}
