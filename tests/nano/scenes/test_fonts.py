from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nano.scenes import fonts


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DSVL2_FONTS", str(tmp_path))
    fonts.find_faces.cache_clear()
    yield
    fonts.find_faces.cache_clear()


def test_glyph_is_cropped_to_its_ink():
    font = fonts.load_font(next(iter(fonts.find_faces().values()))[0], 30)
    for character in "AgI.":
        mask = font.glyph(character).mask
        assert all(edge.max() > fonts.FAINT for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
    assert font.glyph("g").top > font.glyph("A").top
    assert font.cap_height == font.glyph("H").mask.shape[0]


def test_width_is_the_sum_of_advances():
    font = fonts.load_font(next(iter(fonts.find_faces().values()))[0], 20)
    assert font.width("ab c") == sum(font.glyph(c).advance for c in "abc") + font.space


def test_a_machine_without_fonts_draws_with_pillows_own(no_fonts: None):
    assert fonts.find_faces() == {"sans": (None,)}
    font = fonts.load_font(None, 24)
    assert 12 <= font.cap_height <= 24
    assert not np.array_equal(font.glyph("A").mask, font.glyph("B").mask)


def test_faces_are_taken_from_the_named_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    if fonts.find_faces() == {"sans": (None,)}:
        pytest.skip("this machine has no fonts to copy")
    count = fonts.copy_faces(tmp_path)
    before = {style: [path.name for path in paths] for style, paths in fonts.find_faces().items()}
    monkeypatch.setenv("DSVL2_FONTS", str(tmp_path))
    fonts.find_faces.cache_clear()
    try:
        after = fonts.find_faces()
        assert {style: [path.name for path in paths] for style, paths in after.items()} == before
        assert sum(map(len, after.values())) == count
        assert all(path.parent == tmp_path for paths in after.values() for path in paths)
    finally:
        fonts.find_faces.cache_clear()


def test_every_character_has_a_code():
    assert sorted(fonts.CHARACTER_CODE.values()) == list(range(1, len(fonts.CHARACTERS) + 1))
