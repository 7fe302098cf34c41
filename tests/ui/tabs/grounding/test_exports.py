"""Every format that boxes are written in is offered on the page, in words that have a translation."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from dsvl2_app.image.reference import ImageRef
from dsvl2_app.text.boxes import Box
from dsvl2_app.text.exports import FORMATS
from dsvl2_app.ui.tabs.grounding.exports import FILES, PICTURE, SET, save_file
from dsvl2_app.ui.tabs.grounding.findings import Finding
from dsvl2_app.ui.words.chinese import CHINESE


def test_every_format_is_offered_in_both_languages():
    assert FILES.keys() == {PICTURE, SET, *FORMATS}
    assert {words for pair in FILES.values() for words in pair} <= CHINESE.keys()


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_what_its_name_says(name: str, tmp_path: Path):
    finding = Finding()
    assert save_file(finding, name) is None
    Image.new("RGB", (40, 30)).save(tmp_path / "one.png")
    image = ImageRef.of(tmp_path / "one.png")
    finding.open(image, "one.png", str(image.path), str(image.path), "find", "dog")
    finding.take((Box("dog", 1, 2, 300, 400),), "the answer")
    file = save_file(finding, name)
    assert file and Path(file).stat().st_size > 0
    kind = FILES[name][0].partition("(")[2].rstrip(")") or name
    assert Path(file).suffix == f".{kind.lower()}"
