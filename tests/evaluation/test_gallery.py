"""report.html as a file, and in a browser."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from dsvl2_app.evaluation import gallery
from dsvl2_app.evaluation.answers import Line
from dsvl2_app.evaluation.gallery import write_report
from dsvl2_app.evaluation.pictures import keep, list_pictures
from dsvl2_app.evaluation.questions import Question
from dsvl2_app.evaluation.readers import BadRow
from dsvl2_app.image.reference import ImageRef
from tests.ui.steps import measure

SUMMARY = {"task": "refcoco", "model": "nano <1>", "metric": "accuracy", "score": 50.0, "questions": 3, "left_out": 1,
           "parts": {"count": 25.0}, "paper": {"tiny": 84.7}, "vlmevalkit": {}}  # fmt: skip
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
EVIL = "</script><script>alert(1)</script><!--"


def write(folder: Path) -> tuple[str, list[dict[str, Any]]]:
    """The page, and its rows."""
    picture = ImageRef.of(Image.new("RGB", (800, 400), "red"))
    lines = [
        Line(1, "a", "", "the cup", [80.0, 40.0, 400.0, 200.0], "raw", "<|det|>[[0, 0, 999, 999]]<|/det|>", 1.0, "",
             (800, 400)),
        Line(2, "b", "", "the mug", [0, 0, 8, 4], "", "", 0.0, "", (800, 400)),
        Line(4, "c", "count", EVIL, ["one", "two", "one"], EVIL, "won", 0.6),
    ]  # fmt: skip
    for line in lines:
        keep(folder, Question(line.number, line.id, (picture,) * (2 if line.number == 4 else 1), "", ()))
    page = write_report(folder, SUMMARY, lines, [BadRow(3, "it has no picture")]).read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="rows">(.*?)</script>', page)
    assert found
    return page, json.loads(found[1])


def test_rows_have_verdicts_boxes_and_pictures(tmp_path: Path) -> None:
    page, rows = write(tmp_path)
    assert [row["verdict"] for row in rows] == ["right", "wrong", "skipped", "partly"]
    assert rows[0]["truth"] == [100, 100, 400, 400] and rows[0]["answer"] == [0, 0, 1000, 1000]
    assert rows[1]["answer"] is None and rows[1]["truths"] == ["0, 0, 8, 4"]
    assert rows[2] == {"number": 3, "verdict": "skipped", "reason": "it has no picture"}
    assert rows[3]["truths"] == ["one", "two"] and rows[3]["pictures"] == ["4", "4-2"] and rows[3]["question"] == EVIL
    for name in ("1", "2", "4", "4-2"):
        data = re.search(rf'<script type="text/plain" id="picture-{name}">([^<]+)</script>', page)
        assert data and base64.b64decode(data[1]).startswith(b"\xff\xd8")
    assert "skipped (1)" in page and "all (4)" in page and "nano &lt;1&gt;" in page


def test_what_a_model_wrote_is_no_markup_and_nothing_is_fetched(tmp_path: Path) -> None:
    page, _ = write(tmp_path)
    assert "alert(1)</script>" not in page and "<!--" not in page
    assert not re.search(r"(src|href)=|https?://(?!www\.w3\.org/2000/svg)|@import|url\(", page.split("<script>")[0])


def test_pictures_are_small_and_stay(tmp_path: Path) -> None:
    write(tmp_path)
    (first,) = list_pictures(tmp_path, 1)
    with Image.open(first) as image:
        assert image.size == (384, 192) and list_pictures(tmp_path, 3) == []
    before = first.stat().st_mtime_ns
    write(tmp_path)
    assert first.stat().st_mtime_ns == before


def test_of_a_long_run_pictures_stay_beside_the_page(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(gallery, "EMBEDDED", 2)
    page, rows = write(tmp_path)
    assert 'id="picture-' not in page and rows[0]["pictures"] == ["1"] and (tmp_path / "pictures" / "1.jpg").is_file()


def write_many(folder: Path, count: int = 2000) -> Path:
    """A run of so many questions about a picture of 18 kB each: every third wrong, every 97th row left out."""
    noise = Image.effect_noise((64, 48), 60).resize((384, 288)).convert("RGB")
    file = io.BytesIO()
    noise.save(file, "JPEG", quality=70)
    (folder / "pictures").mkdir()
    lines, left_out = [], []
    for number in range(1, count + 1):
        if number % 97 == 0:
            left_out.append(BadRow(number, "it has no picture"))
            continue
        (folder / "pictures" / f"{number}.jpg").write_bytes(file.getvalue())
        right = number % 3 > 0
        found = "<|det|>[[250, 250, 750, 750]]<|/det|>" if right else "<|det|>[[0, 0, 200, 200]]<|/det|>"
        raw = f"<|ref|>thing {number}<|/ref|>{found}"
        box = [96.0, 72.0, 288.0, 216.0]
        lines.append(Line(number, f"id-{number}", "", f"thing {number}", box, raw, found, float(right), "", (384, 288)))
    summary = SUMMARY | {"model": "nano", "questions": len(lines), "left_out": len(left_out)}
    return write_report(folder, summary, lines, left_out)


@pytest.mark.slow
def test_in_a_browser_2000_questions_are_filtered_searched_and_walked_through(tmp_path: Path, browser: Browser) -> None:
    report = write_many(tmp_path)
    assert report.stat().st_size > 15_000_000
    shutil.rmtree(tmp_path / "pictures")  # the page has them
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(request.url[:80]))
    page.goto(report.as_uri())
    cards, count = page.locator("article"), page.locator("#count")
    expect(count).to_have_text("2000 of 2000 rows")
    expect(cards.first.locator("rect")).to_have_count(2)
    assert cards.count() <= 120  # lazily drawn
    page.locator("img").first.evaluate("image => image.decode()")
    assert page.locator("img").first.evaluate("image => image.naturalWidth") == 384

    box, picture = measure(page.locator("rect.answer").first, page.locator("img").first)
    assert box["width"] == pytest.approx(picture["width"] * 500 / 999, abs=4)
    assert box["x"] - picture["x"] == pytest.approx(picture["width"] * 250 / 999, abs=4)

    page.get_by_label("wrong (").check()
    expect(count).to_have_text("660 of 2000 rows")
    expect(cards.first.locator(".verdict")).to_have_text("wrong 0")
    page.get_by_label("skipped (20)").check()
    expect(cards).to_have_count(20)
    expect(cards.first).to_contain_text("it has no picture")
    page.get_by_label("all (").check()

    page.keyboard.press("/")
    page.keyboard.type("thing 1999")
    expect(count).to_have_text("1 of 2000 rows")
    expect(cards.first.locator("h2")).to_have_text("thing 1999")
    page.get_by_label("Search").fill("")
    page.get_by_label("all (").focus()
    for number in range(1, 4):
        page.keyboard.press("j")
        expect(page.locator("article:focus h2")).to_have_text(f"thing {number}")
    page.keyboard.press("k")
    expect(page.locator("article:focus h2")).to_have_text("thing 2")

    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function("document.querySelectorAll('article').length > 60")
    page.get_by_label("right (").check()
    for theme in ("light", "dark"):
        page.get_by_role("button", name="Theme").click()
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(250, 250, 250)", "dark": "rgb(22, 24, 29)"}[theme]
        page.evaluate(f"{AXE}; 0")
        found = page.evaluate("axe.run({resultTypes: ['violations'], preload: false})")["violations"]
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
    assert not wrong
    page.close()
