"""The Chat tab in a browser: what is done to a conversation, and what it costs."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.ui.steps import ask, attach, bot, open_settings

pytestmark = pytest.mark.slow


def test_an_earlier_question_is_edited_with_its_pictures(scripted, pictures, open_page):
    page = open_page(scripted)
    attach(page, pictures["wide"])
    for question in ("First it's <one>", "Second"):
        ask(page, question)
        expect(page.locator("#conversation summary")).to_have_count(1 + (question == "Second"))
    page.locator("#conversation").get_by_role("button", name="Edit").first.click()
    expect(page.locator("#message textarea")).to_have_value("First it's <one>")
    expect(page.locator("#message .thumbnail-item")).to_have_count(1)
    expect(page.locator("#conversation .dropped")).to_have_count(4)
    page.get_by_role("button", name="Cancel editing").click()
    expect(page.locator("#conversation .dropped")).to_have_count(0)
    page.locator("#conversation").get_by_role("button", name="Edit").first.click()
    expect(page.locator("#conversation .dropped")).to_have_count(4)
    attach_more = page.locator("#message .thumbnail-item")
    expect(attach_more).to_have_count(1)
    page.set_input_files("#message input[type=file]", [pictures["tall"]])
    expect(attach_more).to_have_count(2)
    ask(page, "Compare")
    expect(page.locator("#conversation summary")).to_have_count(1)
    (message,) = scripted.script.requests[-1].messages
    # a server is told in fewer parts, which say the same
    assert "".join(part.get("text", "<picture>") for part in message["content"]) == "<picture>\n<picture>\nCompare"


def ask_thrice(page: Page) -> None:
    for number, question in enumerate(("First", "Second", "Third"), start=1):
        ask(page, question)
        expect(page.locator("#conversation summary")).to_have_count(number)


def test_undo_takes_back_any_question_and_what_followed(scripted, pictures, open_page):
    page = open_page(scripted)
    attach(page, pictures["wide"], pictures["tall"])
    ask_thrice(page)
    undo = page.locator("#conversation").get_by_role("button", name="Undo from here")
    expect(undo).to_have_count(3)
    undo.nth(1).click()
    expect(page.locator("#conversation .bot-row")).to_have_count(1)
    expect(page.locator("#message textarea")).to_have_value("Second")
    undo.first.click()
    expect(page.locator("#message textarea")).to_have_value("First")
    expect(page.locator("#message .thumbnail-item")).to_have_count(2)
    expect(page.locator("#conversation .welcome")).to_be_visible()
    page.locator("#message").get_by_role("button", name="Remove file").first.click()
    ask(page, "Once more")
    expect(bot(page).locator("summary")).to_be_visible()
    (message,) = scripted.script.requests[-1].messages
    assert [part["image"].size for part in message["content"] if part["type"] == "image"] == [(300, 500)]


def test_there_is_no_undo_while_an_answer_is_written(scripted, open_page):
    page = open_page(scripted)
    ask(page, "First")
    expect(bot(page).locator("summary")).to_be_visible()
    scripted.script.endless = True
    ask(page, "Second")
    expect(bot(page)).to_contain_text("Hello.Hello.")
    undo = page.locator("#conversation").get_by_role("button", name="Undo from here")
    expect(undo).to_have_count(2)
    for number in range(2):
        expect(undo.nth(number)).to_be_disabled()
    page.get_by_role("button", name="Stop").click()
    expect(undo.last).to_be_enabled()
    undo.last.click()
    expect(page.locator("#message textarea")).to_have_value("Second")


def read_numbers(page: Page, pictures: str) -> list[str]:
    """The style sheet counts them, so that no element's text says the number."""
    page.evaluate("document.body.offsetHeight")
    return page.locator(pictures).evaluate_all("all => all.map(one => getComputedStyle(one, '::after').content)")


def test_pictures_are_numbered_through_the_conversation(scripted, pictures, open_page):
    page = open_page(scripted)
    attach(page, pictures["wide"], pictures["tall"])
    ask(page, "Compare")
    expect(bot(page).locator("summary")).to_be_visible()
    attach(page, pictures["turned"])
    shown = page.locator("#conversation .picture img")
    expect(shown.nth(0)).to_have_attribute("alt", "Picture 1, 1,000 × 400 px")
    expect(shown.nth(1)).to_have_attribute("alt", "Picture 2, 300 × 500 px")
    assert read_numbers(page, "#conversation .picture") == ["counter(picture)"] * 2
    page.locator("#conversation").get_by_role("button", name="Edit").click()
    expect(page.locator("#conversation .dropped")).to_have_count(2)
    expect(shown.nth(0)).to_have_attribute("alt", "1,000 × 400 px")
    assert read_numbers(page, "#conversation .picture") == ["none"] * 2  # those in the box take their numbers
    assert read_numbers(page, "#message .thumbnail-item") == ["counter(picture)"] * 2


def test_the_meter_counts_before_sending_and_the_oldest_turn_can_be_dropped(nano, pictures, open_page):
    page = open_page(nano)
    meter = page.locator("#chat-meter")
    open_settings(page)
    page.get_by_label("number input for New tokens").fill("1")
    for number, name in ((1, "wide"), (2, "turned")):
        attach(page, pictures[name])
        page.locator("#message textarea").fill("What is it?")
        expect(meter).to_contain_text(f"Picture {number} (")
        page.locator("#message textarea").press("Enter")
        expect(page.locator("#conversation summary")).to_have_count(number, timeout=60_000)
        expect(page.get_by_role("button", name="Submit")).to_be_visible()
    attach(page, pictures["tall"])
    expect(meter).to_contain_text("With a third picture every picture of the conversation is a single tile")
    page.locator("#message textarea").fill("long " * 3990)
    expect(meter).to_contain_text("The conversation is full")
    page.get_by_role("button", name="Drop the oldest turn").click()
    expect(page.locator("#conversation .dropped")).to_have_count(2)
    expect(meter).not_to_contain_text("Picture 3")
