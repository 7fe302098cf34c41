"""The Grounding tab in a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from dsvl2_app.errors import PromptError
from dsvl2_app.ui.examples import EXAMPLES, read_examples

pytestmark = pytest.mark.slow

ANSWER = (
    "<|ref|>the <b>dog</b><|/ref|><|det|>[[100, 200, 500, 700], [900, 300, 600, 1200]]<|/det|> "
    "<|ref|>cat<|/ref|><|det|>[[470,]]<|/det|>"
)


def open_tab(page: Page) -> None:
    page.get_by_role("tab", name="Grounding").click()
    expect(page.locator("#grounding-status .empty")).to_be_visible()


def test_find_with_nano(nano, pictures, open_page):
    page = open_page(nano)
    open_tab(page)
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    page.get_by_role("textbox", name="Phrase").fill("the orange disc")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#grounding-drawn img")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Find")).to_be_visible(timeout=60_000)
    expect(page.locator("#grounding-status")).to_contain_text("boxes ·")


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
    cells = page.locator("#grounding-table [role=gridcell]")
    boxes = [
        ["the <b>dog</b>", "100", "200", "500", "700", "40, 200, 200, 701", ""],
        ["the <b>dog</b>", "600", "300", "900", "999", "240, 300, 360, 1000", "clipped, corners swapped"],
    ]
    expect(cells).to_have_text([cell for box in boxes for cell in box])
    expect(page.locator("#grounding-raw textarea")).to_have_value(ANSWER)
    width, height = page.locator("#grounding-drawn img").evaluate("img => [img.naturalWidth, img.naturalHeight]")
    assert (width, height) == (400, 1000)


def test_the_grammar_is_on_until_it_is_switched_off(scripted, pictures, open_page):
    page = open_page(scripted)
    find_boxes(page, pictures["wide"], "0 boxes")
    assert scripted.script.requests[-1].grammar
    page.get_by_label("Well-formed boxes only").uncheck()
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("button", name="Find")).to_be_visible()
    page.wait_for_timeout(500)
    assert not scripted.script.requests[-1].grammar


def test_describe_asks_a_question(scripted, pictures, open_page):
    page = open_page(scripted)
    open_tab(page)
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    page.get_by_label("Describe with boxes").check()
    page.get_by_label("Question").fill("What is there?")
    page.get_by_role("button", name="Describe").click()
    expect(page.locator("#grounding-status")).to_contain_text("0 boxes")
    assert scripted.script.requests[-1].messages[-1]["content"][-1]["text"] == "\n<|grounding|>What is there?"


def test_refusals_are_in_place_and_the_next_request_works(scripted, pictures, open_page):
    page = open_page(scripted)
    open_tab(page)
    notice, find = page.get_by_role("alert"), page.get_by_role("button", name="Find")
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


@pytest.mark.skipif(not EXAMPLES.exists(), reason="there are no examples")
def test_an_example_is_asked_at_a_click(scripted, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    open_tab(page)
    example = read_examples("grounding")[0]
    page.get_by_role("button", name=example.text).click()
    expect(page.get_by_role("textbox", name="Phrase")).to_have_value(example.text)
    expect(page.locator("#grounding-status")).to_contain_text("2 boxes")


def find_boxes(page: Page, picture: Path, found: str = "2 boxes") -> None:
    open_tab(page)
    page.set_input_files("#grounding-picture input[type=file]", picture)
    page.get_by_role("textbox", name="Phrase").fill("the dog")
    page.get_by_role("textbox", name="Phrase").press("Enter")
    expect(page.locator("#grounding-status")).to_contain_text(found)


def test_a_row_makes_its_box_stand_out(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    find_boxes(page, pictures["wide"])
    drawn = page.locator("#grounding-drawn img")
    before = drawn.get_attribute("src")
    page.locator("#grounding-table [role=gridcell]").nth(8).click()
    expect(drawn).not_to_have_attribute("src", str(before))


def test_boxes_are_exported_in_pixels_of_the_upright_picture(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    find_boxes(page, pictures["turned"])
    files = {}
    for name in ("PNG", "JSON", "CSV", "COCO", "YOLO", "Label Studio"):
        with page.expect_download() as download:
            page.locator("#grounding-exports").get_by_role("button", name=name, exact=True).click()
        files[name] = download.value
    with Image.open(files["PNG"].path()) as image:
        assert image.size == (400, 1000)
    assert files["PNG"].suggested_filename == "turned-boxes.png"
    coco = json.loads(files["COCO"].path().read_text())
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == (400, 1000)
    assert len(files["YOLO"].path().read_text().splitlines()) == 2


def test_what_is_marked_in_one_picture_is_found_in_another(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    open_tab(page)
    page.get_by_label("Find what I mark").check()
    page.set_input_files("#grounding-picture input[type=file]", pictures["tall"])
    start = page.locator("#grounding-start")
    start.click()
    expect(page.get_by_role("alert")).to_contain_text("There is no picture; choose one first.")
    page.set_input_files("#grounding-example input[type=file]", pictures["wide"])
    example = page.locator("#grounding-example img")
    expect(example).to_be_visible()
    start.click()
    expect(page.get_by_role("alert")).to_contain_text("click two opposite corners")
    area = example.bounding_box()
    assert area
    for across, down in ((0.5, 0.8), (0.2, 0.2)):
        example.click(position={"x": across * area["width"], "y": down * area["height"]})
        page.wait_for_timeout(500)  # two clicks at once are none of a person's
    expect(page.locator("#grounding-marked img")).to_be_visible()
    start.click()
    expect(page.locator("#grounding-status")).to_contain_text("2 boxes")
    parts = scripted.script.requests[-1].messages[-1]["content"]
    marked, searched = (part["image"] for part in parts if part["type"] == "image")
    assert (marked.size, searched.size) == ((1000, 400), (300, 500))
    assert marked.getpixel((200, 200))[0] > 250 > 60 > marked.getpixel((200, 200))[1]
    assert parts[-1]["text"].startswith("\n<|grounding|>In the first image, an object within the red rectangle")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(scripted, pictures, open_page, width):
    scripted.script.say = ANSWER
    page = open_page(scripted, width=width)
    open_tab(page)
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    page.get_by_role("textbox", name="Phrase").fill("the dog")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#grounding-status")).to_contain_text("2 boxes")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
