"""What packages hold becomes sprites of what they show, under the names that each kind of package gives."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from nano.things import sources
from nano.things.pack import INKED, INKED_SIDE, MODEL, SIDE
from nano.things.packages import SOURCES, Source


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each vector drawing is a black disc."""
    rows, columns = np.ogrid[:288, :288]
    disc = np.zeros((288, 288, 4), np.uint8)
    disc[..., 3] = 255 * ((rows - 144) ** 2 + (columns - 144) ** 2 < 130**2)
    monkeypatch.setattr(sources, "rasterise", lambda **_: disc)


def write_icons(folder: Path, *names: str) -> None:
    (folder / "package").mkdir(parents=True)
    icons = {name: {"body": "<path/>"} for name in names}
    (folder / "package/icons.json").write_text(json.dumps({"icons": icons, "width": 24, "height": 24}))


def source(hand: str) -> Source:
    return next(each for each in SOURCES if each.hand == hand)


@pytest.mark.usefixtures("drawn")
def test_signs_are_read_in_each_of_their_variants_but_not_where_they_mislead(tmp_path: Path) -> None:
    write_icons(tmp_path, "dog", "dog-filled", "cat-2", "dog-off", "dog-light", "mouse", "mouse-outline", "arrow-left")
    found = list(sources.read_icons(tmp_path, source("tabler")))
    assert [(sprite.noun, sprite.name) for sprite in found] == [("dog", "dog"), ("dog", "dog-filled"), ("cat", "cat-2")]
    assert {max(sprite.pixels.shape[:2]) for sprite in found} == {INKED_SIDE}


@pytest.mark.usefixtures("drawn")
def test_drawings_in_colour_have_the_names_that_their_package_gives_and_no_others(tmp_path: Path) -> None:
    write_icons(tmp_path, "dog", "dog-filled", "mouse", "mobile-phone-off")
    found = {sprite.name: sprite.noun for sprite in sources.read_icons(tmp_path, source("twemoji"))}
    assert (found["dog"], found["mouse"]) == ("dog", "mouse") and "dog-filled" not in found


def test_letters_are_cut_out_whole(tmp_path: Path) -> None:
    (tmp_path / "package/400Regular").mkdir(parents=True)
    font = ImageFont.load_default(100)
    assert isinstance(font, ImageFont.FreeTypeFont)
    (tmp_path / "package/400Regular/a.ttf").write_bytes(font.font_bytes)
    names = {"4f": "doughnut", "49": "pencil", "41": "no-such-thing", "4f-49": "dog"}
    ring, stroke = sources.read_glyphs(tmp_path, source("noto-line"), names)
    assert (ring.noun, stroke.noun) == ("doughnut", "pencil") and ring.hand in INKED
    for letter in (ring, stroke):
        assert max(letter.pixels.shape[:2]) == INKED_SIDE and not letter.pixels[letter.pixels[..., 3] > 0, :3].any()
    row, column = ring.pixels.shape[0] // 2, ring.pixels.shape[1] // 2
    assert ring.pixels[row, column, 3] == 0 and ring.pixels[row, :, 3].max() > 250


def test_models_are_read_from_their_catalogues(tmp_path: Path) -> None:
    picture = np.zeros((128, 128, 4), np.uint8)
    picture[20:100, 10:120] = (200, 30, 30, 255)
    stored = io.BytesIO()
    Image.fromarray(picture).save(stored, "PNG")
    rows = ("Oak chair", "Rocking horse", "Something", "Teapot")
    lines = [f"name#{n}={name}\nicon#{n}=/icons/{n}.png\nmodel#{n}=/{n}.obj" for n, name in enumerate(rows, 1)]
    with zipfile.ZipFile(tmp_path / "some.sh3f", "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", "\n".join(lines))
        for number in range(1, 5):
            archive.writestr(f"icons/{number}.png", stored.getvalue())
    found = list(sources.read_models(tmp_path, source(MODEL)))
    assert [(sprite.noun, sprite.name) for sprite in found] == [("chair", "icons/1.png"), ("teapot", "icons/4.png")]
    assert found[0].colour == "red" and found[0].pixels.shape == (80, 110, 4) and SIDE > 110


def test_hands_have_names_of_their_own() -> None:
    hands = [each.hand for each in SOURCES]
    assert len(set(hands)) == len(hands) and set(INKED) < set(hands)
