"""The Tiles tab in a browser."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest
from playwright.sync_api import Page, expect

from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.image.load import Limits
from dsvl2_app.ui.events import Newest
from dsvl2_app.ui.tabs.tiles import tab
from dsvl2_app.ui.tabs.tiles.inside import Look
from dsvl2_app.ui.tabs.tiles.tab import Tiles
from tests.image.papers import write_tiff
from tests.ui.conftest import CARD
from tests.ui.steps import measure, rest
from tests.waiting import PATIENCE, begin, wait_until

pytestmark = pytest.mark.slow


def add(page: Page, *pictures: Path) -> None:
    page.set_input_files("#tiles-pictures input[type=file]", list(pictures))


def test_a_picture_shows_its_grid_tokens_tiles_and_candidates(nano, pictures, open_page):
    page = open_page(nano)
    page.get_by_role("tab", name="Tiles").click()
    expect(page.locator("#tiles-how .empty")).to_be_visible()
    add(page, pictures["wide"])
    expect(page.locator("#tiles-summary")).to_contain_text("tokens")
    expect(page.locator("#tiles-grid img")).to_be_visible()
    expect(page.locator("#tiles-cut .caption-label").first).to_have_text("Global view")
    expect(page.locator("#tiles-candidates")).to_contain_text("(chosen)")


def test_the_numbers_are_those_of_the_layout(scripted, pictures, open_page):
    page = open_page(scripted)
    page.get_by_role("tab", name="Tiles").click()
    add(page, pictures["wide"])
    summary = page.locator("#tiles-summary")
    expect(summary).to_contain_text("3 × 2")
    expect(summary).to_contain_text("1,415")
    expect(page.locator("#tiles-tokens")).to_contain_text("tokens 211 to 1,414: 28 rows of 42 and a newline")
    expect(page.locator("#tiles-cut .caption-label")).to_have_count(7)
    page.wait_for_function("[...document.querySelectorAll('#tiles-cut img')].every(image => image.complete)")
    sizes = page.locator("#tiles-cut img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert sizes == [384] * 7
    page.get_by_label("number input for Pictures in the conversation").fill("3")
    page.get_by_label("number input for Pictures in the conversation").blur()
    expect(summary).to_contain_text("421")
    expect(page.locator("#tiles-cut .caption-label")).to_have_count(2)
    assert scripted.script.requests == []


def test_several_pictures(scripted, pictures, open_page):
    page = open_page(scripted)
    page.get_by_role("tab", name="Tiles").click()
    add(page, pictures["wide"], pictures["turned"])
    summary = page.locator("#tiles-summary")
    expect(summary).to_contain_text("from 400 × 1,000 px")
    page.locator("#tiles-which").get_by_label("1").check()
    expect(summary).to_contain_text("from 1,000 × 400 px")
    page.locator("#tiles-pictures").get_by_role("button", name="Clear").click()
    expect(page.locator("#tiles-how .empty")).to_be_visible()
    expect(page.locator("#tiles-grid")).to_be_hidden()


def test_pictures_that_were_taken_away_come_back(scripted, pictures, open_page):
    page = open_page(scripted)
    page.get_by_role("tab", name="Tiles").click()
    add(page, pictures["wide"], pictures["tall"])
    summary, back, gallery = (page.locator(f"#tiles-{part}") for part in ("summary", "return", "pictures"))
    expect(summary).to_contain_text("from 300 × 500 px")
    expect(back).to_be_hidden()
    gallery.get_by_role("button", name="Delete image").first.click()
    expect(back).to_have_text("Bring wide.png back")
    expect(gallery.locator(".thumbnail-item")).to_have_count(1)
    gallery.get_by_role("button", name="Clear").click()
    expect(back).to_have_text("Bring tall.png back")
    expect(page.locator("#tiles-how .empty")).to_be_visible()
    back.click()
    expect(summary).to_contain_text("from 300 × 500 px")
    expect(back).to_have_text("Bring wide.png back")
    back.press("Enter")
    expect(gallery.locator(".thumbnail-item")).to_have_count(2)
    expect(summary).to_contain_text("all 2 pictures")
    expect(back).to_be_hidden()
    expect(page.locator("#tiles-document")).to_be_focused()
    gallery.get_by_role("button", name="Clear").click()
    expect(back).to_have_text("Bring 2 pictures back")
    add(page, pictures["turned"])
    expect(back).to_be_hidden()


def test_an_example_that_was_taken_away_comes_back(nano, open_page):
    page = open_page(nano)
    page.get_by_role("tab", name="Tiles").click()
    page.get_by_role("button", name="Example 1").locator("visible=true").click()
    gallery, back = page.locator("#tiles-pictures"), page.locator("#tiles-return")
    expect(page.locator("#tiles-summary")).to_contain_text("tokens")
    gallery.get_by_role("button", name="Clear").click()
    expect(back).to_be_visible()
    back.click()
    expect(page.locator("#tiles-summary")).to_contain_text("tokens")
    expect(gallery.locator(".thumbnail-item").first).to_be_visible()


def test_pages_that_were_chosen_no_more_are_not_offered_again(scripted, open_page, tmp_path):
    page = open_page(scripted)
    page.get_by_role("tab", name="Tiles").click()
    (tmp_path / "paper.tif").write_bytes(write_tiff(3))
    page.set_input_files("input[type=file]:has(+ #tiles-document)", tmp_path / "paper.tif")
    thumbnails, summary = page.locator("#tiles-pages .thumbnails button"), page.locator("#tiles-summary")
    thumbnails.nth(2).click()
    expect(summary).to_contain_text("from 300 × 80 px")
    thumbnails.nth(2).click()
    expect(summary).to_contain_text("from 100 × 80 px")
    rest(page)
    expect(page.locator("#tiles-return")).to_be_hidden()


def test_a_broken_picture_is_refused_in_place_and_the_next_one_works(scripted, pictures, open_page):
    page = open_page(scripted)
    page.get_by_role("tab", name="Tiles").click()
    add(page, pictures["broken"])
    expect(page.get_by_role("alert")).to_contain_text("is damaged or incomplete")
    page.locator("#tiles-pictures").get_by_role("button", name="Clear").click()
    add(page, pictures["tall"])
    expect(page.locator("#tiles-summary")).to_contain_text("from 300 × 500 px")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_what_an_older_run_found_is_not_shown_after_the_newest(held):
    with gr.Blocks() as demo:
        tiles = Tiles(ScriptedBackend(card=CARD), Limits())
        tiles.build(demo)
    calls, go = held(tab, "gallery_paths")
    newest, what_if = Newest(), (9, 0, 0, False)
    older = begin(lambda: tiles.receive(None, newest, Look(), *what_if))
    wait_until(lambda: calls)
    assert tiles.page.summary in tiles.receive(None, newest, Look(), *what_if)
    go.set()
    assert older.result(PATIENCE) == {tiles.page.notice: gr.skip()}


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(scripted, pictures, open_page, width):
    page = open_page(scripted, width=width)
    page.get_by_role("tab", name="Tiles").click()
    add(page, pictures["wide"])
    expect(page.locator("#tiles-cut .caption-label")).to_have_count(7)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def open_scenario(page: Page) -> None:
    page.get_by_role("tab", name="Tiles").click()
    page.locator("#tiles-what-if button").first.click()


def fill(page: Page, control: str, value: int) -> None:
    number = page.locator(f"#tiles-{control} input[type=number]")
    number.fill(str(value))
    number.blur()


def test_what_if_the_picture_or_the_limit_were_others(scripted, pictures, open_page):
    page = open_page(scripted)
    open_scenario(page)
    add(page, pictures["wide"])
    summary = page.locator("#tiles-summary")
    expect(summary).to_contain_text("3 × 2")
    fill(page, "limit", 2)
    expect(summary).to_contain_text("2 × 1")
    fill(page, "limit", 9)
    fill(page, "width", 400)
    fill(page, "height", 3000)
    expect(summary).to_contain_text("from 400 × 3,000 px")
    expect(summary).to_contain_text("1 × 8")


def test_the_budget_is_of_all_pictures(scripted, pictures, open_page):
    page = open_page(scripted)
    page.get_by_role("tab", name="Tiles").click()
    add(page, pictures["wide"])
    rows = page.locator("#tiles-budget tbody tr")
    expect(rows).to_have_text(
        [
            "tiny1,41535%86.9 MB86.9 MB4.7 TFLOP",
            "small1,41535%44.0 MB391.2 MB4.7 TFLOP",
            "base1,41535%48.9 MB869.4 MB4.7 TFLOP",
        ]
    )
    add(page, pictures["tall"])
    expect(rows.first).to_contain_text("2,046")
    expect(page.locator("#tiles-summary")).to_contain_text("all 2 pictures 2,046, 50%")
    expect(page.locator("#tiles-summary")).to_contain_text("Why 1 × 2? It keeps")


def test_tokens_and_tiles_point_at_each_other(scripted, pictures, open_page):
    page = open_page(scripted)
    page.get_by_role("tab", name="Tiles").click()
    add(page, pictures["wide"])
    place, mark = page.locator("#tiles-tokens .place"), page.locator("#tiles-tokens .map .token")
    tile, runs = page.locator("#tiles-tokens .map .tile").nth(1), page.locator("#tiles-tokens .runs i")
    tile.focus()
    expect(place).to_have_text("Tile 2: 196 tokens in 14 rows, from 225 to 797")
    expect(runs).to_have_count(14)
    page.get_by_role("button", name="Global view", exact=True).hover()
    expect(place).to_have_text("Global view: 196 tokens in 14 rows, from 0 to 208")
    token = page.get_by_role("slider", name="Token")
    token.focus()
    token.press("Home")
    expect(place).to_have_text("Token 0: Global view, row 0, column 0, padding alone")
    token.press("End")
    expect(place).to_have_text("Token 1414: newline, row 27, column 42")
    expect(mark).to_have_attribute("width", "0")
    strip = page.locator("#tiles-tokens .strip")
    (area,) = measure(strip)
    strip.hover(position={"x": area["width"] * 0.5, "y": 5})
    expect(place).to_contain_text(", row")
    expect(runs).to_have_count(1)
    assert float(mark.get_attribute("width") or 0) > 0
    expect(page.locator("#tiles-tokens .tile.holding")).to_have_count(1)
