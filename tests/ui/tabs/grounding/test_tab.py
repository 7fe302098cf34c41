"""The Grounding tab in a browser."""

from __future__ import annotations

import json
import re
import shutil
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Download, FloatRect, Locator, Page, expect

from dsvl2_app.bundled import EXAMPLES
from dsvl2_app.errors import PromptError
from dsvl2_app.ui.examples import read_examples
from dsvl2_app.ui.tabs.grounding import results
from dsvl2_app.ui.tabs.grounding.exports import FILES
from dsvl2_app.ui.words.chinese import CHINESE
from tests.image.papers import write_tiff
from tests.ui.steps import measure, see
from tests.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.slow

ANSWER = (
    "<|ref|>the <b>dog</b><|/ref|><|det|>[[100, 200, 500, 700], [900, 300, 600, 1200]]<|/det|> "
    "<|ref|>cat<|/ref|><|det|>[[470,]]<|/det|>"
)


def open_tab(page: Page) -> None:
    page.get_by_role("tab", name="Grounding").click()
    expect(page.locator("#grounding-how .empty")).to_be_visible()


def test_find_with_nano(nano, pictures, open_page):
    page = open_page(nano)
    open_tab(page)
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    page.get_by_role("textbox", name="Phrase").fill("the orange disc")
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.locator("#grounding-status")).to_contain_text(" s in all", timeout=60_000)
    expect(page.locator("#grounding-boxes img")).to_be_visible()
    expect(page.get_by_role("button", name="Find", exact=True)).to_be_visible()


def test_stop_keeps_the_boxes_found(scripted, pictures, open_page):
    scripted.script.say = "<|ref|>cat<|/ref|><|det|>[[1, 2, 300, 400]]<|/det|> "
    scripted.script.endless = True
    scripted.script.pause = 0.1  # a busy browser draws slower than boxes would come
    page = open_page(scripted)
    open_tab(page)
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    page.get_by_role("textbox", name="Phrase").fill("the cat")
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.locator("#grounding-boxes td").nth(13)).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    assert scripted.script.closed.wait(PATIENCE)
    expect(page.locator("#grounding-status")).to_contain_text("stopped")
    expect(page.locator("#grounding-boxes td").nth(13)).to_be_visible()
    expect(page.get_by_role("button", name="Find", exact=True)).to_be_visible()


def test_boxes_are_drawn_listed_and_reported(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    open_tab(page)
    page.set_input_files("#grounding-picture input[type=file]", pictures["turned"])
    page.get_by_role("textbox", name="Phrase").fill("the dog")
    page.get_by_role("textbox", name="Phrase").press("Enter")
    status = page.locator("#grounding-status")
    expect(status).to_contain_text("2 boxes")
    expect(status).to_contain_text("At character 116: a box needs 4 numbers and has 1 [470,]]")
    cells = page.locator("#grounding-boxes td")
    boxes = [
        ["the <b>dog</b>", "100", "200", "500", "700", "40, 200, 200, 701", ""],
        ["the <b>dog</b>", "600", "300", "900", "999", "240, 300, 360, 1000", "clipped, corners swapped"],
    ]
    expect(cells).to_have_text([cell for box in boxes for cell in box])
    expect(page.locator("#grounding-raw textarea")).to_have_value(ANSWER)
    size = "img => [img.naturalWidth, img.naturalHeight]"
    wait_until(lambda: page.locator("#grounding-boxes img").evaluate(size) == [400, 1000])
    canvas, second = locate(page, ".canvas", ".box[data-index='1']")
    assert second["x"] - canvas["x"] == pytest.approx(canvas["width"] * 600 / 999, abs=1.5)
    assert second["y"] - canvas["y"] == pytest.approx(canvas["height"] * 300 / 999, abs=1.5)
    assert second["height"] == pytest.approx(canvas["height"] * 699 / 999, abs=1.5)


def locate(page: Page, *parts: str) -> list[FloatRect]:
    return measure(*(page.locator("#grounding-boxes").locator(part) for part in parts))


def test_the_grammar_is_on_until_it_is_switched_off(scripted, pictures, open_page):
    page = open_page(scripted)
    find_boxes(page, pictures["wide"], "Nothing found")
    assert scripted.script.requests[-1].grammar
    page.get_by_label("Well-formed boxes only").uncheck()
    scripted.script.endless, scripted.script.pause = True, 0.1
    page.get_by_role("button", name="Find", exact=True).click()
    wait_until(lambda: len(scripted.script.requests) == 2)  # before that, nothing is asked that could be stopped
    page.get_by_role("button", name="Stop", exact=True).click()
    assert [request.grammar for request in scripted.script.requests] == [True, False]


def test_describe_asks_a_question(scripted, pictures, open_page):
    page = open_page(scripted)
    open_tab(page)
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    page.get_by_label("Describe with boxes").check()
    page.get_by_label("Question").fill("What is there?")
    page.get_by_role("button", name="Describe", exact=True).click()
    expect(page.locator("#grounding-status")).to_contain_text("Nothing found")
    assert scripted.script.requests[-1].messages[-1]["content"][-1]["text"] == "\n<|grounding|>What is there?"


def test_refusals_are_in_place_and_the_next_request_works(scripted, pictures, open_page):
    page = open_page(scripted)
    open_tab(page)
    notice, find = page.get_by_role("alert"), page.get_by_role("button", name="Find", exact=True)
    find.click()
    expect(notice).to_contain_text("There is no picture; choose one first.")
    page.set_input_files("#grounding-picture input[type=file]", pictures["broken"])
    page.get_by_role("textbox", name="Phrase").fill("x")
    find.click()
    expect(notice).to_contain_text("'broken.png' is damaged or incomplete")
    page.locator("#grounding-picture").get_by_role("button", name="Remove Image").click()
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    scripted.script.say = PromptError("Too long.")
    find.click()
    expect(notice).to_have_text("Too long.")
    scripted.script.say = ANSWER
    find.click()
    expect(page.locator("#grounding-status")).to_contain_text("2 boxes")
    expect(notice).to_have_count(0)
    page.locator("#grounding-picture").get_by_role("button", name="Remove Image").click()
    page.set_input_files("#grounding-picture input[type=file]", pictures["broken"])
    find.click()
    expect(notice).to_contain_text("'broken.png' is damaged or incomplete")
    for part in ("#grounding-boxes", "#grounding-status", "#grounding-exports", "#grounding-raw"):
        expect(page.locator(part)).to_be_hidden()
    page.locator("#grounding-picture").get_by_role("button", name="Remove Image").click()
    expect(notice).to_have_count(0)


@pytest.mark.skipif(not EXAMPLES.exists(), reason="there are no examples")
def test_an_example_is_asked_at_a_click(scripted, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    open_tab(page)
    example = read_examples("grounding")[0]
    page.get_by_role("button", name=example.text).click()
    expect(page.get_by_role("textbox", name="Phrase")).to_have_value(example.text)
    expect(page.locator("#grounding-status")).to_contain_text("2 boxes")


def test_an_example_has_something_marked(trained, open_page):
    page = open_page(trained)
    open_tab(page)
    page.locator("#grounding-examples button").filter(has_text="Find what I mark").click()
    expect(page.locator("#grounding-marking .rectangle")).to_be_visible()
    expect(page.locator("#grounding-example")).to_be_hidden()
    expect(page.get_by_label("Left", exact=True)).to_have_value("246")
    expect(page.locator("#grounding-boxes tbody tr")).to_have_count(1, timeout=60_000)
    expect(page.locator("#grounding-boxes tbody td").first).to_have_text("star")
    wait_until(lambda: read_rows(page) == [pytest.approx([46, 701, 438, 966], abs=20)])


def find_boxes(page: Page, picture: Path, found: str = "2 boxes") -> None:
    open_tab(page)
    page.set_input_files("#grounding-picture input[type=file]", picture)
    page.get_by_role("textbox", name="Phrase").fill("the dog")
    page.get_by_role("textbox", name="Phrase").press("Enter")
    expect(page.locator("#grounding-status")).to_contain_text(found)
    expect(page.get_by_role("button", name="Find", exact=True)).to_be_visible()  # nothing is drawn anew from here on


def test_boxes_and_rows_point_at_each_other(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    find_boxes(page, pictures["wide"])
    boxes, rows = page.locator("#grounding-boxes .box"), page.locator("#grounding-boxes tbody tr")
    first, second = (page.locator(f"#grounding-boxes .box[data-index='{index}']") for index in (0, 1))
    active = "active"
    rows.nth(1).hover()
    expect(second).to_contain_class(active)
    expect(first).not_to_contain_class(active)
    first.hover()
    expect(rows.nth(0)).to_contain_class(active)
    expect(first.locator(".label")).to_have_text("the <b>dog</b>")
    expect(first.locator(".label")).to_be_visible()
    rows.nth(1).get_by_role("button").click()
    page.mouse.move(0, 0)
    expect(second).to_contain_class(active)  # it stays marked
    expect(second).to_have_attribute("aria-pressed", "true")
    boxes.first.focus()
    page.locator("#grounding-boxes .box[tabindex='0']").press("ArrowRight")
    expect(page.locator("#grounding-boxes .box:focus")).to_have_attribute("data-index", "1")


LABELS = ("dog", "ein sehr langer Name für ein kleines Ding am Rand des Bildes", "狗在左边", "الكلب على اليسار")
CORNERS = "[[0, 0, 40, 30], [960, 0, 999, 40], [0, 970, 50, 999], [970, 960, 999, 999], [480, 300, 520, 340]]"


@pytest.mark.parametrize("width", [390, 1280])
def test_labels_stay_on_the_picture_and_off_each_other(scripted, pictures, open_page, width):
    scripted.script.say = "".join(f"<|ref|>{label}<|/ref|><|det|>{CORNERS}<|/det|>" for label in LABELS)
    page = open_page(scripted, width=width, reduced_motion="reduce")  # nothing moves while it is measured
    find_boxes(page, pictures["wide"], "20 boxes")
    expect(page.locator("#grounding-boxes .label.crowded").first).to_be_attached()
    free = page.locator("#grounding-boxes .label:not(.crowded)").all()
    assert len(free) >= 5
    canvas, *areas = measure(page.locator("#grounding-boxes .canvas"), *free)
    for area in areas:
        assert canvas["x"] - 0.6 <= area["x"] and area["x"] + area["width"] <= canvas["x"] + canvas["width"] + 0.6
        assert canvas["y"] - 0.6 <= area["y"] and area["y"] + area["height"] <= canvas["y"] + canvas["height"] + 0.6
    for place, one in enumerate(areas):
        for other in areas[:place]:
            apart = one["x"] + one["width"] <= other["x"] + 0.6 or other["x"] + other["width"] <= one["x"] + 0.6
            assert (
                apart or one["y"] + one["height"] <= other["y"] + 0.6 or other["y"] + other["height"] <= one["y"] + 0.6
            )
    page.locator("#grounding-boxes .box:has(.crowded)").first.focus()
    expect(page.locator("#grounding-boxes .box.active .label")).to_be_visible()


def drag(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    """From one point of the picture to another, in 0..999."""
    (canvas,) = locate(page, ".canvas")
    for (x, y), act in ((start, page.mouse.down), (end, page.mouse.up)):
        page.mouse.move(canvas["x"] + canvas["width"] * x / 999, canvas["y"] + canvas["height"] * y / 999, steps=4)
        act()


def read_rows(page: Page) -> list[list[int]]:
    rows = page.locator("#grounding-boxes tbody tr").all()
    return [[int(cell) for cell in row.locator("td").all_inner_texts()[1:5]] for row in rows]


def expect_row(page: Page, number: int, corners: list[int]) -> None:
    wait_until(lambda: read_rows(page)[number : number + 1] == [pytest.approx(corners, abs=3)])


def test_boxes_are_corrected_by_hand_and_exported(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    find_boxes(page, pictures["wide"])
    status = page.locator("#grounding-status")
    page.get_by_role("button", name="Correct by hand").click()
    page.locator("#grounding-boxes .canvas").scroll_into_view_if_needed()
    drag(page, (300, 450), (400, 350))  # the middle of the first box: it moves
    expect(status).to_have_text("2 boxes · 1 by hand")
    expect_row(page, 0, [200, 100, 600, 600])
    drag(page, (900, 650), (800, 650))  # the right edge of the second one
    expect(status).to_have_text("2 boxes · 2 by hand")
    expect_row(page, 1, [600, 300, 800, 999])
    page.get_by_role("combobox", name="Label", exact=True).fill("bird")
    page.get_by_role("combobox", name="Label", exact=True).press("Enter")
    expect(page.locator("#grounding-boxes tbody bdi")).to_have_text(["the <b>dog</b>", "bird"])
    drag(page, (20, 700), (150, 950))  # where nothing is: another one
    expect(status).to_contain_text("3 boxes (the <b>dog</b>: 1, bird: 2) · 3 by hand")
    expect_row(page, 2, [20, 700, 150, 950])
    page.keyboard.type("green star")  # a box that was drawn is named next
    page.keyboard.press("Enter")
    expect(page.locator("#grounding-boxes tbody bdi")).to_have_text(["the <b>dog</b>", "bird", "green star"])
    expect(page.get_by_role("button", name="Correct by hand")).to_have_attribute("aria-pressed", "true")
    page.locator("#grounding-boxes .box.active").focus()
    left = str(read_rows(page)[2][0])
    page.keyboard.press("ArrowRight")
    expect(page.locator("#grounding-boxes tbody tr").nth(2).locator("td").nth(1)).not_to_have_text(left)
    expect(page.locator("#grounding-boxes .box.active")).to_be_focused()  # again, once the server has answered
    page.keyboard.press("Delete")
    expect(status).to_have_text("2 boxes (the <b>dog</b>: 1, bird: 1) · 2 by hand")
    files = {name: json.loads(fetch(page, name).path().read_text()) for name in ("JSON", "Label Studio task (JSON)")}
    assert [box["label"] for box in files["JSON"]["boxes"]] == ["the <b>dog</b>", "bird"]
    assert [[box[side] for side in ("x1", "y1", "x2", "y2")] for box in files["JSON"]["boxes"]] == read_rows(page)
    assert len(files["Label Studio task (JSON)"][0]["annotations"][0]["result"]) == 2  # no predictions any more
    page.get_by_role("button", name="As the model found them").click()
    expect(status).to_have_text("2 boxes")
    wait_until(lambda: read_rows(page) == [[100, 200, 500, 700], [600, 300, 900, 999]])
    page.get_by_role("button", name="Correct by hand").click()
    drag(page, (300, 450), (400, 350))
    assert read_rows(page)[0] == [100, 200, 500, 700]


def test_the_box_that_is_corrected_has_handles_and_a_hint_says_how(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    find_boxes(page, pictures["wide"])
    hint, handles = page.locator("#grounding-boxes .hint"), page.locator("#grounding-boxes .box .handle")
    correct, status = page.get_by_role("button", name="Correct by hand"), page.locator("#grounding-status")
    expect(hint).to_be_hidden()
    page.locator("#grounding-boxes .row").first.click()
    expect(handles).to_have_count(0)
    correct.press("Enter")
    expect(hint).to_be_visible()
    above, below = locate(page, ".hint", ".canvas")
    assert above["y"] < below["y"]
    expect(correct).to_have_accessible_description(re.compile("Drag a box, its handles"))
    expect(handles).to_have_count(8)
    page.locator("#grounding-boxes .canvas").scroll_into_view_if_needed()
    page.locator("#grounding-boxes .handle.se").hover()
    page.mouse.down()
    (canvas,) = locate(page, ".canvas")
    page.mouse.move(canvas["x"] + canvas["width"] * 0.4, canvas["y"] + canvas["height"] * 0.5, steps=4)
    page.mouse.up()
    expect(status).to_have_text("2 boxes · 1 by hand")
    assert read_rows(page)[0] == pytest.approx([100, 200, 400, 500], abs=9)  # a handle is held off its edge
    expect(handles).to_have_count(8)  # it stays chosen
    corners = read_rows(page)[0]
    page.locator("#grounding-boxes .box.active").press("Shift+ArrowRight")
    expect(page.locator("#grounding-boxes tbody tr").first.locator("td").nth(3)).to_have_text(str(corners[2] + 5))
    assert read_rows(page)[0] == [*corners[:2], corners[2] + 5, corners[3]]
    correct.press("Enter")
    expect(hint).to_be_hidden()
    expect(handles).to_have_count(0)


def test_corrections_made_while_the_server_answers_one_are_kept(scripted, pictures, open_page, held):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    find_boxes(page, pictures["wide"])
    page.get_by_role("button", name="Correct by hand").click()
    page.locator("#grounding-boxes .row").first.click()
    calls, go = held(results, "read_correction")
    box = page.locator("#grounding-boxes .box.active")
    for _ in range(3):
        box.press("ArrowRight")
        wait_until(lambda: calls)
    go.set()
    wait_until(lambda: len(calls) == 2)
    assert [call[0].corners for call in calls] == [(105, 200, 505, 700), (115, 200, 515, 700)]
    expect_row(page, 0, [115, 200, 515, 700])


def test_boxes_made_by_hand_outlive_searches_refusals_and_the_model_s(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    find_boxes(page, pictures["wide"])
    status, back = page.locator("#grounding-status"), page.locator("#grounding-back")
    phrase, shown = page.get_by_role("textbox", name="Phrase"), page.locator("#grounding-boxes img")
    correct = page.get_by_role("button", name="Correct by hand")
    correct.click()
    page.locator("#grounding-boxes .canvas").scroll_into_view_if_needed()
    drag(page, (300, 450), (400, 350))
    expect(status).to_have_text("2 boxes · 1 by hand")
    mine = read_rows(page)
    page.get_by_role("button", name="As the model found them").click()
    expect(status).to_have_text("2 boxes")
    expect(correct).to_have_attribute("aria-pressed", "true")  # the same search
    back.press("Enter")
    expect(status).to_have_text("2 boxes · 1 by hand")
    expect(correct).to_be_focused()
    expect(back).to_be_hidden()
    assert read_rows(page) == mine
    page.locator("#grounding-picture").get_by_role("button", name="Remove Image").click()
    phrase.press("Enter")  # refused: there is no picture
    expect(page.get_by_role("alert")).to_be_visible()
    expect(shown).to_have_count(0)
    expect(back).to_have_text("Bring your boxes back: 2 boxes, wide.png")
    page.set_input_files("#grounding-picture input[type=file]", pictures["tall"])
    page.get_by_label("Count", exact=True).check()
    phrase.fill("a cat")
    scripted.script.endless, scripted.script.pause = True, 0.1
    phrase.press("Enter")
    expect(shown).to_be_visible()
    expect(back).to_be_hidden()  # while there is an answer to come
    scripted.script.endless = False
    expect(back).to_be_visible()
    expect(correct).to_have_attribute("aria-pressed", "false")
    back.click()
    expect(status).to_have_text("2 boxes · 1 by hand")
    assert read_rows(page) == mine
    expect(phrase).to_have_value("the dog")
    expect(page.get_by_label("Find a phrase")).to_be_checked()
    expect(page.locator("#grounding-picture img")).to_have_attribute("src", re.compile("wide.png"))
    expect(back).to_be_hidden()
    page.get_by_role("button", name="Find", exact=True).click()
    expect(back).to_be_visible()
    page.get_by_role("button", name="Discard them").click()
    expect(back).to_be_hidden()


def test_several_phrases_are_looked_for_in_turn_pointed_at_and_counted(scripted, pictures, open_page, tmp_path):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    open_tab(page)
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    page.get_by_role("textbox", name="Phrase").fill("the dog; a cat")
    page.get_by_label("Count", exact=True).check()
    page.get_by_role("button", name="Count", exact=True).click()
    expect(page.locator("#grounding-status")).to_contain_text("4 boxes · ")
    expect(page.locator("#grounding-status")).to_contain_text("At character 248: a box needs 4 numbers")
    expect(page.locator("#grounding-boxes .count li")).to_have_text(["4 the <b>dog</b>"])
    asked = [request.messages[-1]["content"][-1]["text"] for request in scripted.script.requests]
    assert asked == [f"\nFind all <|ref|>{phrase}<|/ref|>." for phrase in ("the dog", "a cat")]
    expect(page.locator("#grounding-raw textarea")).to_have_value(f"{ANSWER}\n{ANSWER}")
    number = page.locator("#grounding-boxes .count strong")
    figure, above, below = locate(page, ".count strong", ".count", ".canvas")
    assert figure["height"] > 40 and above["y"] < below["y"]
    page.get_by_role("button", name="Correct by hand").click()
    page.locator("#grounding-boxes .row").first.press("Delete")
    expect(number).to_have_text("3")
    page.get_by_label("Point at", exact=True).check()
    page.get_by_role("button", name="Point at", exact=True).click()
    expect(number).to_have_count(0)
    expect(page.locator("#grounding-boxes .points .box")).to_have_count(4)
    expect(page.locator("#grounding-boxes tbody tr").first.locator("td").nth(5)).to_have_text("300, 180")
    expect(page.locator("#grounding-start")).to_be_visible()  # the answer before is at its end
    scripted.script.endless, scripted.script.pause = True, 0.1  # a busy browser draws slower than boxes would come
    page.get_by_role("button", name="Point at", exact=True).click()
    wait_until(lambda: len(scripted.script.requests) == 5)
    expect(page.locator("#grounding-boxes .box").nth(1)).to_be_attached()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#grounding-status")).to_contain_text("stopped")
    assert len(scripted.script.requests) == 5  # the second phrase is not begun
    frames = [Image.new("RGB", (60, 40), (80 * number, 90, 60)) for number in range(3)]
    frames[0].save(tmp_path / "three.gif", save_all=True, append_images=frames[1:])
    page.locator("#grounding-picture").get_by_role("button", name="Remove Image").click()
    page.set_input_files("#grounding-picture input[type=file]", tmp_path / "three.gif")
    shown = page.locator("#grounding-pages .thumbnails button")
    expect(shown).to_have_count(3)  # the first frame is meant, unless another is chosen
    expect(page.locator("#grounding-pages button[aria-pressed=true]")).to_have_text("1")
    page.locator("#grounding-picture").get_by_role("button", name="Remove Image").click()
    expect(shown).to_have_count(0)


def fetch(page: Page, name: str) -> Download:
    """A file, by what the page calls it."""
    with page.expect_download() as download:
        page.locator("#grounding-exports").get_by_role("button", name=name, exact=True).click()
    return download.value


def test_boxes_are_exported_in_pixels_of_the_upright_picture(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    find_boxes(page, pictures["turned"])
    files = {name: fetch(page, said) for name, (said, _) in FILES.items()}
    with Image.open(files["PNG"].path()) as image:
        assert image.size == (400, 1000)
    assert files["PNG"].suggested_filename == "turned-boxes.png"
    coco = json.loads(files["COCO"].path().read_text())
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == (400, 1000)
    assert len(files["YOLO"].path().read_text().splitlines()) == 2
    (task,) = json.loads(files["Label Studio"].path().read_text())
    with Image.open(BytesIO(b64decode(task["data"]["image"].partition(",")[2]))) as image:
        assert image.size == (400, 1000)  # upright, as the boxes are


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_every_download_says_what_is_in_it(scripted, pictures, open_page, locale):
    scripted.script.say = ANSWER
    page = open_page(scripted, locale=locale)
    page.locator("[data-tab-id=grounding]:visible").click()
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    page.locator("#grounding-phrase textarea").fill("the dog")
    page.locator("#grounding-start").click()
    buttons = page.locator("#grounding-exports button")
    expect(buttons).to_have_count(len(FILES))
    chinese = locale == "zh-CN"
    named = [
        [CHINESE[name] if chinese else name, CHINESE[inside] if chinese else inside] for name, inside in FILES.values()
    ]
    said = "all => all.map((each) => [each.textContent, each.title])"
    wait_until(lambda: buttons.evaluate_all(said) == named)
    buttons.nth(1).focus()
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "wide.json"


def test_downloads_keep_the_picture_s_name_and_a_class_its_number(scripted, pictures, open_page, tmp_path):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    picture = shutil.copy(pictures["wide"], tmp_path / "cost$3{b} 100%41 #图.png")
    find_boxes(page, picture)
    coco = fetch(page, "COCO (JSON)")
    assert coco.suggested_filename == "cost$3{b} 100%41 #图-coco.json"
    assert json.loads(coco.path().read_text())["images"][0]["file_name"] == "cost$3{b} 100%41 #图.png"
    names = fetch(page, "YOLO classes (YAML)").path().read_text()
    scripted.script.say = f"<|ref|>new<|/ref|><|det|>{CORNERS}<|/det|>" + ANSWER
    page.locator("#grounding-start").click()
    expect(page.locator("#grounding-boxes")).to_contain_text("new")
    expect(page.locator("#grounding-exports")).to_be_visible()
    assert fetch(page, "YOLO classes (YAML)").path().read_text().startswith(names)


def mark(page: Page, example: Path, *, instead: bool = False) -> Locator:
    """Something in the example; with `instead` there is a picture, which is offered first."""
    canvas = page.locator("#grounding-marking .canvas")
    page.get_by_label("Find what I mark").check()
    if instead:
        page.get_by_role("button", name="Another picture").click()
        expect(canvas).to_have_count(0)
    page.set_input_files("#grounding-example input[type=file]", example)
    expect(canvas).to_be_visible()
    return canvas


def read_edges(fields: list[Locator]) -> list[int]:
    return [int(field.input_value() or 0) for field in fields]


def type_edges(page: Page, *edges: int) -> None:
    for name, edge in zip(("Left", "Top", "Right", "Bottom"), edges, strict=True):
        page.get_by_label(name, exact=True).fill(str(edge))
        page.get_by_label(name, exact=True).press("Tab")


@pytest.mark.parametrize("first", ["picture", "mode"])
def test_things_like_one_of_the_same_picture_are_found(scripted, pictures, open_page, first):
    scripted.script.say = ANSWER
    page = open_page(scripted, at="?tab=grounding")
    if first == "mode":
        page.get_by_label("Find what I mark").check()
        expect(page.locator("#grounding-example")).to_be_visible()
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    expect(page.locator("#grounding-picture img")).to_be_visible()
    page.get_by_label("Find what I mark").check()
    expect(page.locator("#grounding-marking .canvas")).to_be_visible()
    type_edges(page, 200, 80, 500, 320)
    page.locator("#grounding-start").click()
    expect(page.locator("#grounding-status")).to_contain_text("2 boxes")
    parts = scripted.script.requests[-1].messages[-1]["content"]
    marked, searched = (see(part["image"]) for part in parts if part["type"] == "image")
    assert marked.size == searched.size == (1000, 400)
    assert (marked.getpixel((499, 200)), searched.getpixel((100, 20))) == ((255, 0, 0), (70, 130, 180))


def test_what_is_marked_in_one_picture_is_found_in_another(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    open_tab(page)
    canvas = mark(page, pictures["wide"])
    start = page.locator("#grounding-start")
    start.click()
    expect(page.get_by_role("alert")).to_contain_text("There is no picture; choose one first.")
    page.set_input_files("#grounding-picture input[type=file]", pictures["tall"])
    start.click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing is marked yet")
    canvas.scroll_into_view_if_needed()
    (area,) = measure(canvas)
    for across, down, act in ((0.5, 0.8, page.mouse.down), (0.2, 0.2, page.mouse.up)):
        page.mouse.move(area["x"] + across * area["width"], area["y"] + down * area["height"], steps=3)
        act()
    fields = [page.get_by_label(name, exact=True) for name in ("Left", "Top", "Right", "Bottom")]
    wait_until(lambda: read_edges(fields) == pytest.approx([200, 80, 500, 320], abs=4))
    left = read_edges(fields)[0]
    start.click()
    expect(page.locator("#grounding-status")).to_contain_text("2 boxes")
    parts = scripted.script.requests[-1].messages[-1]["content"]
    marked, searched = (see(part["image"]) for part in parts if part["type"] == "image")
    assert (marked.size, searched.size) == ((1000, 400), (300, 500))
    assert marked.getpixel((left, 200))[0] > 250 > 60 > marked.getpixel((left, 200))[1]
    assert parts[-1]["text"].startswith("\n<|grounding|>In the first image, an object within the red rectangle")


def test_a_rectangle_can_be_typed_and_the_example_be_another(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    open_tab(page)
    page.set_input_files("#grounding-picture input[type=file]", pictures["tall"])
    mark(page, pictures["wide"], instead=True)
    type_edges(page, 10, 20, 400, 300)
    rectangle = page.locator("#grounding-marking .rectangle")
    expect(rectangle).to_be_visible()
    page.locator("#grounding-start").click()
    expect(page.locator("#grounding-status")).to_contain_text("2 boxes")
    image = see(scripted.script.requests[-1].messages[-1]["content"][0]["image"])
    assert image.getpixel((399, 100)) == (255, 0, 0)
    page.get_by_role("button", name="Another picture").click()
    expect(page.locator("#grounding-marking .canvas")).to_have_count(0)
    mark(page, pictures["turned"])
    expect(rectangle).to_be_hidden()
    expect(page.get_by_label("Left", exact=True)).to_have_value("")


def test_a_picture_that_was_taken_away_comes_back(scripted, pictures, open_page):
    page = open_page(scripted)
    open_tab(page)
    picture, back = page.locator("#grounding-picture"), page.locator("#grounding-return")
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    expect(picture.locator("img")).to_be_visible()
    expect(back).to_be_hidden()
    picture.get_by_role("button", name="Remove Image").click()
    expect(back).to_have_text("Bring wide.png back")
    back.press("Enter")
    expect(picture.locator("img")).to_have_js_property("naturalWidth", 1000)
    expect(back).to_be_hidden()
    expect(page.locator("#grounding-start")).to_be_focused()
    picture.get_by_role("button", name="Remove Image").click()
    expect(back).to_be_visible()
    page.set_input_files("#grounding-picture input[type=file]", pictures["tall"])
    expect(back).to_be_hidden()
    expect(picture.locator("img")).to_have_js_property("naturalWidth", 300)


def test_a_page_that_was_taken_away_comes_back_with_the_choice_of_pages(scripted, open_page, tmp_path):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    open_tab(page)
    (tmp_path / "paper.tif").write_bytes(write_tiff(3))
    page.set_input_files("input[type=file]:has(+ #grounding-document)", tmp_path / "paper.tif")
    thumbnails = page.locator("#grounding-pages .thumbnails button")
    thumbnails.nth(1).click()
    picture = page.locator("#grounding-picture")
    expect(picture.locator("img")).to_have_js_property("naturalWidth", 200)
    picture.get_by_role("button", name="Remove Image").click()
    expect(thumbnails).to_have_count(0)
    page.locator("#grounding-return").click()
    expect(picture.locator("img")).to_have_js_property("naturalWidth", 200)
    expect(thumbnails.nth(1)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("textbox", name="Phrase").fill("the dog")
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.locator("#grounding-boxes img")).to_be_visible()
    asked = scripted.script.requests[-1].messages[-1]["content"][0]["image"]
    assert see(asked).size == (200, 80)


def test_boxes_made_by_hand_come_back_with_the_example_they_were_found_by(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    open_tab(page)
    page.set_input_files("#grounding-picture input[type=file]", pictures["tall"])
    mark(page, pictures["wide"], instead=True)
    edges = {"Left": "10", "Top": "20", "Right": "400", "Bottom": "300"}
    type_edges(page, *map(int, edges.values()))
    status = page.locator("#grounding-status")
    page.locator("#grounding-start").click()
    expect(status).to_contain_text("2 boxes")
    asked = scripted.script.requests[-1].messages[-1]["content"]
    page.get_by_role("button", name="Correct by hand").click()
    page.locator("#grounding-boxes .canvas").scroll_into_view_if_needed()
    drag(page, (300, 450), (400, 350))
    expect(status).to_have_text("2 boxes · 1 by hand")
    mark(page, pictures["turned"], instead=True)
    page.get_by_label("Count", exact=True).check()
    page.get_by_role("textbox", name="Phrase").fill("a cat")
    page.get_by_role("textbox", name="Phrase").press("Enter")
    page.locator("#grounding-back").click()
    expect(status).to_have_text("2 boxes · 1 by hand")
    expect(page.get_by_label("Find what I mark")).to_be_checked()
    expect(page.locator("#grounding-marking .rectangle")).to_be_visible()
    for name, edge in edges.items():
        expect(page.get_by_label(name, exact=True)).to_have_value(edge)
    page.locator("#grounding-start").click()
    expect(page.locator("#grounding-back")).to_be_visible()
    again = scripted.script.requests[-1].messages[-1]["content"]
    assert [see(part["image"]).tobytes() for part in again if part["type"] == "image"] == [
        see(part["image"]).tobytes() for part in asked if part["type"] == "image"
    ]
    assert again[-1] == asked[-1]


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(scripted, pictures, open_page, width):
    scripted.script.say = ANSWER
    page = open_page(scripted, width=width)
    open_tab(page)
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    page.get_by_role("textbox", name="Phrase").fill("the dog")
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.locator("#grounding-status")).to_contain_text("2 boxes")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_nothing_found_is_said_in_words(scripted, pictures, open_page):
    scripted.script.say = "<|ref|>star<|/ref|>: there is <none>. " + "hi" * 300
    page = open_page(scripted)
    find_boxes(page, pictures["wide"], "Nothing found")
    said = page.locator("#grounding-status .said")
    expect(said).to_have_text("star: there is <none>. " + "hi" * 300)
    assert said.evaluate("part => part.scrollWidth <= part.clientWidth")  # however long its words are


def test_the_result_comes_into_sight(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted, width=390)
    find_boxes(page, pictures["wide"])
    expect(page.locator("#grounding-status")).to_be_in_viewport()


def test_the_placeholder_is_something_that_the_model_can_find(trained, scripted, open_page):
    for app, phrase in ((trained, "the black triangle"), (scripted, "the dog on the left")):
        page = open_page(app)
        open_tab(page)
        expect(page.locator("#grounding-phrase textarea")).to_have_attribute("placeholder", phrase)
