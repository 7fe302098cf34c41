"""Files dragged onto a tab or pasted, and readers who scroll, in a browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.image.papers import write_pdf
from tests.ui.steps import GIVE, ask, bot, give

pytestmark = pytest.mark.slow


def test_pictures_are_taken_wherever_on_a_tab_they_are_dropped(scripted, pictures, open_page):
    wide, tall = pictures["wide"], pictures["tall"]
    page = open_page(scripted)
    thumbnails = page.locator("#message .thumbnail-item")
    page.wait_for_function(
        f"given => !({GIVE})(given)", arg=["dragover", "#conversation", [["a.png", "image/png", ""]]]
    )
    expect(page.locator("body")).to_have_class(re.compile("dropping"))
    assert not give(page, "drop", "#conversation", wide)
    expect(thumbnails).to_have_count(1)
    expect(page.locator("body")).not_to_have_class(re.compile("dropping"))
    assert not give(page, "drop", "#header", tall, wide)
    expect(thumbnails).to_have_count(3)
    assert not give(page, "paste", "body", tall)
    expect(thumbnails).to_have_count(4)
    give(page, "drop", "#message", tall)  # which takes it by itself, once
    expect(thumbnails).to_have_count(5)
    page.wait_for_timeout(500)
    expect(thumbnails).to_have_count(5)

    page.get_by_role("tab", name="Grounding").click()
    picture = page.locator("#grounding-picture img")
    assert not give(page, "drop", "#header", wide)
    expect(picture).to_be_visible()
    first = picture.get_attribute("src")
    assert not give(page, "drop", "#grounding-result", tall)  # takes the place of the one before
    expect(picture).not_to_have_attribute("src", first)
    expect(picture).to_be_visible()

    page.get_by_role("tab", name="Tiles").click()
    assert not give(page, "drop", "#header", wide)
    expect(page.locator("#tiles-summary")).to_contain_text("from 1,000 × 400 px")
    assert not give(page, "drop", "#tiles-summary", tall)
    expect(page.locator("#tiles-summary")).to_contain_text("from 300 × 500 px")


def test_a_picture_stays_where_itself_or_a_document_is_dropped_on_it(scripted, pictures, open_page, tmp_path):
    paper = tmp_path / "paper.pdf"
    paper.write_bytes(write_pdf(3))
    page = open_page(scripted, at="?tab=grounding")
    picture, pages = page.locator("#grounding-picture img"), page.locator("#grounding-pages legend")
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    expect(picture).to_be_visible()
    picture.drag_to(picture, source_position={"x": 20, "y": 20}, target_position={"x": 60, "y": 60})
    page.locator("#header").hover()  # a round of events after the drop
    expect(picture).to_be_visible()
    assert not give(page, "drop", "#grounding-picture img", pictures["tall"])
    expect(picture).to_have_attribute("src", re.compile("tall"))
    assert not give(page, "drop", "#grounding-picture img", paper)
    expect(pages).to_have_text("paper.pdf: 3 pages")
    expect(picture).to_have_attribute("src", re.compile("paper"))


@pytest.mark.parametrize("tab, place", [("grounding", "#grounding-picture"), ("tiles", "#tiles-pictures")])
def test_a_document_is_opened_where_it_is_dropped_on_the_place_of_pictures(scripted, open_page, tmp_path, tab, place):
    paper = tmp_path / "paper.pdf"
    paper.write_bytes(write_pdf(3))
    page = open_page(scripted, at=f"?tab={tab}")
    page.locator(f"{place} input[type=file]").wait_for(state="attached")
    assert not give(page, "drop", f"{place} button", paper)
    expect(page.locator(f"#{tab}-pages legend")).to_have_text("paper.pdf: 3 pages")


PLACE = "area => [area.scrollTop, area.scrollHeight - area.clientHeight]"


def test_the_conversation_follows_its_end_until_the_reader_scrolls(scripted, open_page):
    scripted.script.endless, scripted.script.say = True, "A line of many.\n\n"
    scripted.script.pause = 0.02  # s; twice as fast, the page falls behind on a busy machine
    page = open_page(scripted)
    ask(page, "Go on")
    area = page.locator("#conversation .bubble-wrap")
    expect(bot(page)).to_contain_text("A line of many.")
    page.wait_for_function("() => document.querySelector('#conversation .bubble-wrap').scrollTop > 200")
    area.evaluate("area => area.scrollTo(0, 40)")
    height = area.evaluate(PLACE)[1]
    page.wait_for_function(
        "height => { const area = document.querySelector('#conversation .bubble-wrap');"
        " return area.scrollHeight - area.clientHeight > height + 300; }",
        arg=height,
    )
    assert area.evaluate(PLACE)[0] == 40
    area.evaluate("area => area.scrollTo(0, area.scrollHeight)")
    height = area.evaluate(PLACE)[1]
    page.wait_for_function(
        "height => document.querySelector('#conversation .bubble-wrap').scrollTop > height + 200", arg=height
    )
    page.get_by_role("button", name="Stop").click()
    expect(bot(page).locator("summary")).to_contain_text("stopped")
    area.evaluate("area => area.scrollTo(0, 0)")
    scripted.script.endless, scripted.script.say = False, "Done. " + "x" * 3000
    ask(page, "And now?")  # who asks wants to see the answer
    expect(bot(page)).to_contain_text("Done.")
    page.wait_for_function(
        "() => { const area = document.querySelector('#conversation .bubble-wrap');"
        " return area.scrollHeight - area.scrollTop - area.clientHeight < 48; }"
    )
    assert area.evaluate("area => area.scrollWidth - area.clientWidth") <= 1  # however long a word is
