from __future__ import annotations

import os
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from dsvl2_app.errors import ImageError, PromptError
from dsvl2_app.image import documents
from dsvl2_app.image.documents import (
    LONGEST,
    PIXELS,
    find_text,
    is_document,
    page_size,
    read_pages,
    read_texts,
    render_page,
    render_small,
)
from dsvl2_app.image.load import load_image
from dsvl2_app.image.page_ranges import open_pages, read_ranges, write_ranges
from dsvl2_app.image.reference import ImageRef, find_frames
from tests.image.papers import A4, write_form, write_mixed, write_pdf, write_tiff

PAPER = write_pdf()


def test_a_page_is_a_picture_as_large_as_the_tiles_can_show(tmp_path: Path) -> None:
    (tmp_path / "paper.pdf").write_bytes(PAPER)
    refs = open_pages(str(tmp_path / "paper.pdf"), "1-3")
    assert [ref.frame for ref in refs] == [0, 1, 2]
    assert {ref.size for ref in refs} == {(1189, 1683)}  # 144 dpi
    assert all(ref.points == A4 for ref in refs)
    assert len({ref.content_hash for ref in refs}) == 3
    page = refs[1].open()
    assert (page.mode, page.size) == ("RGB", refs[1].size)
    scale = page.width / A4[0]
    inside, outside = (200, 842 - 275), (90, 842 - 275)  # points from left and top
    assert page.getpixel(tuple(round(at * scale) for at in inside)) == (255, 0, 0)
    assert page.getpixel(tuple(round(at * scale) for at in outside)) == (255, 255, 255)
    assert max(refs[0].open_small(300).size) == 300
    assert refs[0].open().tobytes() != page.tobytes()
    assert load_image(PAPER).tobytes() == refs[0].open().tobytes()


@pytest.mark.parametrize("size", [(595.0, 842.0), (3000.0, 200.0), (20.0, 20.0), (14000.0, 9000.0)])
def test_pages_of_every_format_fill_tiles_and_no_more(size: tuple[float, float]) -> None:
    width, height = page_size(write_pdf(1, size), "paper", 0)
    assert max(width, height) <= LONGEST + 1
    assert (width - 1) * (height - 1) <= PIXELS
    assert max(width, height) >= LONGEST - 1 or width * height >= 0.99 * PIXELS
    assert width / height == pytest.approx(size[0] / size[1], rel=0.01)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (write_pdf(encrypt="secret"), "is locked with a password"),
        (b"%PDF-1.7\n1 0 obj<<>>endobj", "is damaged or incomplete"),
        (PAPER[: len(PAPER) // 2], "is damaged or incomplete"),
        (b"%PDF-1.4\n" + bytes(5000), "is damaged or incomplete"),
    ],
    ids=["locked", "empty", "half", "zeros"],
)
def test_what_cannot_be_read_is_said(data: bytes, words: str) -> None:
    for _ in range(2):  # the second time without a process
        with pytest.raises(ImageError, match=words):
            ImageRef.of(data)


def test_too_many_pages_are_refused_before_one_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_PAGES", 2)
    with pytest.raises(ImageError, match="has 4 pages and the limit is 2; split it"):
        read_pages(write_pdf(4), "paper")
    with pytest.raises(ImageError, match="has no page 5"):
        ImageRef.of(PAPER, frame=4)


@pytest.mark.parametrize(("returncode", "words"), [(-11, "damaged"), (1, "damaged"), (-24, "too long to render")])
def test_whatever_happens_to_the_process_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, returncode: int, words: str
) -> None:
    read_pages(PAPER, "paper")
    ended = subprocess.CompletedProcess([], returncode, b"", b"")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(ImageError, match=words):
        render_page(PAPER, "paper", 0)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits")
def test_the_process_has_a_processor_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        documents, "START", "import resource, os; resource.setrlimit(resource.RLIMIT_CPU, (0, 1))\nwhile True: pass"
    )
    with pytest.raises(ImageError, match="too long to render"):
        read_pages(write_pdf(1, (100.0, 101.0)), "paper")


def test_several_pages_are_shown_small_at_once() -> None:
    first, third = render_small(PAPER, "paper", [0, 2], 160)
    assert max(first.size) == max(third.size) == 160
    assert first.tobytes() != third.tobytes()


def test_what_a_form_was_filled_in_with_is_shown() -> None:
    (page,) = render_small(write_form(), "form.pdf", [0], 400)
    for left, top, right, bottom in ((50, 70, 250, 100), (50, 180, 70, 200)):
        darkest, _ = page.crop((left, top, right, bottom)).convert("L").getextrema()
        assert darkest < 128, f"nothing is drawn at {left}, {top}"


def test_pages_of_a_tiff_are_counted() -> None:
    data = write_tiff(3)
    assert find_frames(data) == (3, "page")
    assert [ImageRef.of(data, frame=frame).size for frame in range(3)] == [(100, 80), (200, 80), (300, 80)]
    assert find_frames(write_tiff(1)) == (1, "page")
    assert find_frames(PAPER) == (3, "page")
    assert not is_document(data)
    assert not is_document(b"BM" + PAPER)  # a bitmap with one behind it


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        ("1", [0]),
        ("1-3, 7", [0, 1, 2, 6]),
        ("-2", [0, 1]),
        ("8-", [7, 8]),
        ("", list(range(9))),
        ("3，1、2-3", [2, 0, 1]),
    ],
)
def test_ranges_name_pages(text: str, pages: list[int]) -> None:
    assert read_ranges(text, 9) == pages
    assert read_ranges(write_ranges(pages), 9) == pages


@pytest.mark.parametrize("text", ["0", "10", "3-1", "1-10", "a", "1 2", "1,,2", "1-2-3", "9" * 50, ",", "٣x"])
def test_what_names_no_page_is_refused(text: str) -> None:
    with pytest.raises(PromptError, match=r"Pages are written as 1-3, 7|There are pages 1 to 9"):
        read_ranges(text, 9)
    with pytest.raises(PromptError, match="At most 200 pages"):
        read_ranges("", 900)


def test_frames_and_stills_are_called_so() -> None:
    with pytest.raises(PromptError, match="Frames are written as 1-3, 7"):
        read_ranges("x", 9, "frame")
    with pytest.raises(PromptError, match="There are stills 1 to 9"):
        read_ranges("10", 9, "still")
    with pytest.raises(PromptError, match="At most 200 stills"):
        read_ranges("", 900, "still")


def test_pages_say_their_own_text() -> None:
    assert read_texts(PAPER, "paper.pdf", [2, 0]) == ["PAGE 3", "PAGE 1"]
    lines = BytesIO()
    canvas = Canvas(lines, pagesize=A4)
    for place, words in enumerate(("one line", "<b> & # 1.", "[x](y)")):
        canvas.drawString(60, 700 - 40 * place, words)
    canvas.showPage()
    canvas.rect(100, 200, 200, 150, fill=1)  # as a scan, which has none
    canvas.save()
    assert read_texts(lines.getvalue(), "lines.pdf", [0, 1]) == ["one line\n<b> & # 1.\n[x](y)", ""]
    with pytest.raises(ImageError, match="locked with a password"):
        read_texts(write_pdf(encrypt="secret"), "locked.pdf", [0])


def test_the_first_page_with_its_own_text_is_found() -> None:
    mixed = write_mixed()
    assert find_text(mixed, "mixed.pdf", [0, 1, 2]) == 1
    assert find_text(mixed, "mixed.pdf", [2, 1]) == 1
    assert find_text(mixed, "mixed.pdf", [2, 0]) is None
    with pytest.raises(ImageError, match="damaged or incomplete"):
        find_text(PAPER[:200], "cut.pdf", [0])


def test_no_page_says_more_than_so_many_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_LETTERS", 3)
    assert read_texts(PAPER, "paper.pdf", [0]) == ["PAG"]
