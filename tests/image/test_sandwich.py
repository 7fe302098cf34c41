from __future__ import annotations

from PIL import Image
from pypdfium2 import PdfDocument

from dsvl2_app.image.sandwich import Leaf, Line, spread, write_searchable


def test_the_text_is_found_where_it_stands_and_the_picture_is_seen() -> None:
    blue, green = Image.new("RGB", (200, 300), "blue"), Image.new("RGB", (400, 100), "green")
    lines = [Line("Total: 3,50 €", 0.1, 0.1, 0.6, 0.15), Line("合计 (税) \\ ü", 0.1, 0.8, 0.9, 0.85)]
    data = write_searchable([Leaf(blue, (595.0, 842.0), lines), Leaf(green, None, spread("one\n\ntwo"))], "Réçu 1")
    document = PdfDocument(data)
    assert document.get_metadata_dict()["Title"] == "Réçu 1"
    first, second = document
    assert first.get_size() == (595.0, 842.0)
    assert second.get_size() == (200.0, 50.0)  # at 144 dpi
    text = first.get_textpage()
    assert "Total: 3,50 €" in text.get_text_range()
    assert "合计 (税) \\ ü" in text.get_text_range()
    left, bottom, right, top = text.get_charbox(0)
    assert abs(left - 59.5) < 2
    assert 842 * 0.85 - 2 < bottom < top < 842 * 0.9 + 10
    assert right < 595 * 0.15
    assert [line.strip() for line in second.get_textpage().get_text_range().splitlines() if line.strip()] == [
        "one",
        "two",
    ]
    seen = first.render(scale=0.2).to_pil()
    assert all(abs(one - other) < 4 for one, other in zip(seen.getpixel((50, 80)), (0, 0, 255), strict=False))
    assert seen.getcolors(2) is None or len(seen.getcolors(256)) < 12  # no letter is drawn


def test_no_page_and_no_text_are_whole_files() -> None:
    assert len(PdfDocument(write_searchable([Leaf(Image.new("RGB", (10, 20000)), (10.0, 20000.0), [])]))) == 1
