"""Clicks that come while the server still answers another one, or while what was read ends: the last click holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dsvl2_app.ui.tabs.documents import tab
from dsvl2_app.ui.tabs.documents.reading import Reading
from dsvl2_app.ui.tabs.documents.showing import View
from tests.image.papers import write_mixed, write_pdf
from tests.waiting import wait_until

NUMBERS = " ".join(map(str, range(120)))


def open_paper(scripted: Any, open_page: Callable[..., Page], folder: Path, pages: str = "") -> Page:
    """The tab with a PDF of three pages, of which these are to be read."""
    paper = folder / "paper.pdf"
    paper.write_bytes(write_pdf(3))
    scripted.script.say = NUMBERS
    page = open_page(scripted)
    page.get_by_role("tab", name="Documents").click()
    page.set_input_files("#documents-files input[type=file]", paper)
    chosen = page.get_by_label("Pages")
    expect(chosen).to_have_value("1-3")
    if pages:
        chosen.fill(pages)
        chosen.press("Enter")
    return page


def read_all(page: Page) -> None:
    page.locator("#documents-start").click()
    expect(page.locator("#documents-status")).to_have_text("All 3 pages are read.")
    expect(page.locator("#documents-start")).to_be_visible()


@pytest.mark.slow
def test_the_thumbnail_that_was_clicked_last_shows_its_page(scripted, open_page, held, tmp_path):
    page = open_paper(scripted, open_page, tmp_path)
    calls, go = held(tab, "measure")
    page.get_by_role("button", name="Page 3").click()
    wait_until(lambda: calls)
    page.get_by_role("button", name="Page 1").click()
    page.get_by_role("button", name="Page 2").click()
    go.set()
    expect(page.locator("#documents-pages [aria-current=page]")).to_have_accessible_name("Page 2")
    expect(page.locator("#documents-text")).to_have_text("Page 2 is not read yet.")


@pytest.mark.slow
def test_a_page_that_is_opened_as_reading_ends_stays_open(scripted, open_page, held, tmp_path):
    def is_last(_: View, reading: Reading) -> bool:
        return len(reading.read) == 2 and reading.shown not in reading.leaves

    page = open_paper(scripted, open_page, tmp_path, "1-2")
    scripted.script.endless = True
    start, text, which = (page.locator(f"#documents-{name}") for name in ("start", "text", "which input"))
    start.click()
    expect(text).to_contain_text("0 1 2 3")
    page.get_by_role("button", name="Page 3").click()
    expect(text).to_have_text("Page 3 is not read yet.")
    calls, go = held(View, "show", is_last)
    scripted.script.endless = False
    wait_until(lambda: calls)
    page.get_by_role("button", name="Page 1").click()
    expect(which).to_have_value("paper.pdf · 1")
    go.set()  # what the end of the reading shows is older
    expect(start).to_be_visible()
    expect(which).to_have_value("paper.pdf · 1")
    expect(text).to_contain_text("79")
    expect(page.locator("#documents-pages [aria-current=page]")).to_have_accessible_name("Page 1")


@pytest.mark.slow
def test_the_page_that_was_chosen_last_is_shown(scripted, open_page, held, tmp_path):
    page = open_paper(scripted, open_page, tmp_path)
    read_all(page)
    calls, go = held(View, "show_page", lambda _, reading: reading.shown is reading.leaves[2])
    for number in (3, 2):
        page.locator("#documents-which input").click()
        page.get_by_role("option", name=f"paper.pdf · {number}").click()
        wait_until(lambda: calls)
    go.set()
    expect(page.locator("#documents-pages [aria-current=page]")).to_have_accessible_name("Page 2")
    expect(page.locator("#documents-which input")).to_have_value("paper.pdf · 2")


@pytest.mark.slow
def test_the_pages_that_were_chosen_last_count(scripted, open_page, held, tmp_path):
    paper = tmp_path / "mixed.pdf"
    paper.write_bytes(write_mixed())  # its second page alone holds text
    page = open_page(scripted)
    page.get_by_role("tab", name="Documents").click()
    page.set_input_files("#documents-files input[type=file]", paper)
    offered, chosen = page.locator("#documents-pdf-text"), page.get_by_label("Pages")
    expect(offered).to_be_visible()
    calls, go = held(tab, "find_first")
    for pages in ("2-3", "1"):
        chosen.fill(pages)
        chosen.press("Enter")
        wait_until(lambda: calls)
    go.set()
    expect(offered).to_be_hidden()


@pytest.mark.slow
def test_the_text_that_was_chosen_last_is_shown(scripted, open_page, held, tmp_path):
    page = open_paper(scripted, open_page, tmp_path)
    read_all(page)
    calls, go = held(View, "show_text", lambda _, reading: reading.own)
    source = page.locator("#documents-source")
    for name in ("The PDF's own text", "The model's text"):
        source.get_by_label(name).check()
        wait_until(lambda: calls)
    go.set()
    wait_until(lambda: len(calls) == 2)
    expect(page.locator("#documents-text")).to_contain_text("0 1 2 3")
    source.get_by_label("The PDF's own text").check()
    expect(page.locator("#documents-text")).to_contain_text("PAGE 1")


@pytest.mark.slow
def test_a_page_that_is_chosen_as_reading_ends_stays_chosen(scripted, open_page, held, tmp_path):
    page = open_paper(scripted, open_page, tmp_path)
    which = page.locator("#documents-which input")
    calls, go = held(View, "show", lambda _, reading: len(reading.read) == 3)
    page.locator("#documents-start").click()
    expect(page.locator("#documents-status")).to_contain_text("of 3 pages are read")
    wait_until(lambda: calls)
    which.click()
    page.get_by_role("option", name="paper.pdf · 3").click()
    expect(page.locator("#documents-pages [aria-current=page]")).to_have_accessible_name("Page 3")
    go.set()
    expect(page.locator("#documents-start")).to_be_visible()
    expect(which).to_have_value("paper.pdf · 3")
