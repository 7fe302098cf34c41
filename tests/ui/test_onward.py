"""From an answer of the Chat tab to other tabs, in a browser."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.steps import ask, attach, bot, measure, see

ANSWER = "<|ref|>dog<|/ref|><|det|>[[100, 200, 500, 700], [600, 300, 900, 999]]<|/det|>"


@pytest.mark.slow
def test_boxes_tiles_and_the_view_inside_are_a_click_from_an_answer(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    expect(page.locator("#chat-onward")).to_be_hidden()
    attach(page, pictures["wide"])
    ask(page, "<|ref|>dog<|/ref|>.")
    expect(bot(page).locator("summary")).to_be_visible()
    page.get_by_role("button", name="The boxes, larger").click()
    expect(page.locator("#grounding-boxes tbody tr")).to_have_count(2)
    expect(page.locator("#grounding-status")).to_contain_text("2 boxes")
    with page.expect_download() as download:
        page.locator("#grounding-exports").get_by_role("button", name="JSON", exact=True).click()
    found = json.loads(download.value.path().read_text())
    assert (found["picture"], found["width"], len(found["boxes"])) == ("wide.png", 1000, 2)
    expect(page.locator("#grounding-phrase textarea")).to_have_value("dog")  # what the boxes are of
    page.locator("#grounding-phrase textarea").fill("a cat")
    page.get_by_role("button", name="Find all", exact=True).click()
    expect(page.locator("#grounding-status")).to_contain_text("2 boxes · ")
    assert len(scripted.script.requests) == 2  # in the picture that came along
    page.get_by_role("tab", name="Chat").click()
    page.get_by_role("button", name="Look inside").first.click()
    expect(page.locator("#inside-question textarea")).to_have_value("<|ref|>dog<|/ref|>.")
    expect(page.locator("#tiles-pictures .thumbnail-item")).to_have_count(1)
    expect(page.locator("#tiles-tokens section")).to_be_visible()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 800)])
def test_stop_stands_where_send_was(scripted, pictures, open_page, width, height):
    page = open_page(scripted, width, height)
    onward, send, stop = (page.locator(each) for each in ("#chat-onward", ".submit-button", ".stop-button"))

    def find(button: Locator) -> list[float]:
        return [*measure(button)[0].values()]

    attach(page, pictures["wide"])
    ask(page, "What is it?")
    expect(onward).to_be_visible()
    attach(page, pictures["tall"])
    page.locator("#message textarea").fill("And this?")
    expect(page.locator("#chat-meter")).to_contain_text("Picture 2")
    before = find(send)
    scripted.script.say, scripted.script.endless = " ".join(map(str, range(120))), True
    send.click()
    expect(bot(page)).to_contain_text("0 1 2 3")
    expect(onward).to_be_hidden()
    assert find(stop) == pytest.approx(before, abs=1)
    stop.click()
    expect(onward).to_be_visible()
    expect(send).to_be_visible()
    assert find(send) == pytest.approx(before, abs=1)


@pytest.mark.slow
def test_the_end_of_an_answer_stays_in_sight_when_the_buttons_below_it_come(scripted, pictures, open_page):
    scripted.script.say = "A line.\n\n" * 60 + "The end."
    page = open_page(scripted, 1280, 720)
    attach(page, pictures["wide"])
    ask(page, "Go on")
    expect(page.locator("#chat-onward")).to_be_visible()
    expect(bot(page).locator("summary")).to_be_in_viewport(ratio=1)
    attach(page, pictures["tall"])
    expect(bot(page).locator("summary")).to_be_in_viewport(ratio=1)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1280, 720), (390, 844)])
def test_the_view_inside_stays_in_sight_while_the_tiles_above_it_come(scripted, pictures, open_page, width, height):
    page = open_page(scripted, width, height)
    attach(page, pictures["wide"])
    ask(page, "What is it?")
    page.get_by_role("button", name="Look inside").first.click()
    expect(page.locator("#tiles-tokens section")).to_be_visible()
    expect(page.locator("#tiles-candidates table").first).to_be_visible()
    expect(page.get_by_role("button", name="Inside view")).to_be_in_viewport()
    expect(page.locator("#inside-ask")).to_be_in_viewport()


@pytest.mark.slow
def test_a_search_is_in_the_picture_that_the_answer_is_about(scripted, pictures, open_page):
    scripted.script.say = ANSWER
    page = open_page(scripted)
    attach(page, pictures["wide"], pictures["tall"])
    ask(page, "Where is the <|ref|>dog<|/ref|> in the first picture?")
    answer = page.locator("#conversation .bot-row").first
    expect(answer.locator("img")).to_have_attribute("alt", "Boxes on picture 1")
    page.get_by_role("button", name="Find in the picture").click()
    page.locator("#grounding-phrase textarea").fill("a cat")
    expect(page.locator("#grounding-picture img")).to_be_visible()
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.locator("#grounding-boxes img")).to_have_js_property("naturalWidth", 1000)
    page.get_by_role("tab", name="Chat").click()
    answer.get_by_label("2").check()
    expect(answer.locator("img")).to_have_attribute("alt", "Boxes on picture 2")
    page.get_by_role("button", name="Find in the picture").click()
    expect(page.locator("#grounding-picture img")).to_have_js_property("naturalWidth", 300)
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.locator("#grounding-boxes img")).to_have_js_property("naturalWidth", 300)


def offer_boxes_and_fill_in(scripted, pictures, open_page) -> Page:
    """Boxes of one picture are in Chat; Grounding, which is open, is about to search another."""
    scripted.script.say = ANSWER
    page = open_page(scripted)
    attach(page, pictures["wide"])
    ask(page, "<|ref|>dog<|/ref|>.")
    expect(bot(page).locator("summary")).to_be_visible()
    page.get_by_role("tab", name="Grounding").click()
    page.set_input_files("#grounding-picture input[type=file]", pictures["tall"])
    page.locator("#grounding-phrase textarea").fill("a cat")
    return page


@pytest.mark.slow
def test_boxes_from_an_answer_keep_those_that_a_person_corrected(scripted, pictures, open_page):
    page = offer_boxes_and_fill_in(scripted, pictures, open_page)
    page.get_by_role("button", name="Find", exact=True).click()
    page.get_by_role("button", name="Correct by hand").click()
    page.locator("#grounding-boxes .row").first.press("Delete")
    expect(page.locator("#grounding-boxes tbody tr")).to_have_count(1)
    back = page.locator("#grounding-back")
    expect(back).to_be_hidden()
    page.get_by_role("tab", name="Chat").click()
    page.get_by_role("button", name="The boxes, larger").click()
    expect(page.locator("#grounding-boxes tbody tr")).to_have_count(2)
    expect(page.locator("#grounding-phrase textarea")).to_have_value("dog")
    expect(page.get_by_role("button", name="Correct by hand")).to_have_attribute("aria-pressed", "false")
    expect(back).to_have_text("Bring your boxes back: 1 box, tall.png")
    back.click()
    expect(page.locator("#grounding-boxes tbody tr")).to_have_count(1)
    expect(page.locator("#grounding-phrase textarea")).to_have_value("a cat")
    expect(page.get_by_label("Find a phrase")).to_be_checked()
    expect(back).to_be_hidden()
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.locator("#grounding-status")).to_contain_text("2 boxes · ")
    assert see(scripted.script.requests[-1].messages[-1]["content"][0]["image"]).size == (300, 500)  # its picture


@pytest.mark.slow
def test_boxes_from_an_answer_end_a_search_that_goes_on(scripted, pictures, open_page):
    page = offer_boxes_and_fill_in(scripted, pictures, open_page)
    scripted.script.endless, scripted.script.pause = True, 0.1
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.locator("#grounding-boxes .box").nth(1)).to_be_attached()
    page.get_by_role("tab", name="Chat").click()
    page.get_by_role("button", name="The boxes, larger").click()
    expect(page.locator("#grounding-start")).to_be_visible()
    assert scripted.script.closed.wait(10)
    expect(page.locator("#grounding-boxes tbody tr")).to_have_count(2)
    with page.expect_download() as download:
        page.locator("#grounding-exports").get_by_role("button", name="JSON", exact=True).click()
    found = json.loads(download.value.path().read_text())
    assert (found["picture"], len(found["boxes"])) == ("wide.png", 2)
