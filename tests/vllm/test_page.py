"""The page in a browser, in front of a real vLLM."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dsvl2_app.backend import load
from dsvl2_app.settings import Settings
from tests.ui.conftest import App, serve_page
from tests.ui.steps import ask, attach, bot, open_settings, user
from tests.vllm.conftest import KEY, MOST_PICTURES, Server

PATIENCE = 60_000  # ms; vision on a CPU


def serve(server: Server, *flags: str, key: str = KEY) -> Iterator[App]:
    os.environ["VLLM_KEY"] = key
    flags = ("--backend", "openai", "--api-base", server.url, "--api-key-env", "VLLM_KEY", *flags)
    settings = Settings.parse([*flags, "--model", str(server.folder)], {})
    yield from serve_page(load(settings), settings)


@pytest.fixture(scope="module")
def app(server: Server) -> Iterator[App]:
    yield from serve(server)


def limit(page: Page, tokens: int) -> None:
    open_settings(page)
    number = page.get_by_label("number input for New tokens at most")
    number.fill(str(tokens))
    number.press("Tab")
    expect(number).to_have_value(str(tokens))


def summary(page: Page):
    return bot(page).locator("summary")


def test_a_picture_is_talked_about(app: App, pictures: dict[str, Path], open_page: Callable[..., Page]) -> None:
    page = open_page(app)
    expect(page.locator("#header")).to_contain_text("vl2")
    expect(page.locator("#header .banner")).to_have_count(0)  # the checkpoint is the one that --model names
    limit(page, 12)
    attach(page, pictures["wide"])
    expect(page.locator("#chat-meter")).to_contain_text("1,4")  # 1,415 tokens of the picture and a few words
    ask(page, "What is this?")
    expect(summary(page)).to_contain_text(re.compile(r"\b(12|\d) tokens?"), timeout=PATIENCE)
    expect(page.locator("#conversation .user-row img")).to_have_count(1)
    summary(page).click()
    told = bot(page).locator("details")
    expect(told).to_contain_text("Answer")
    expect(told).not_to_contain_text("KV cache")
    expect(told).not_to_contain_text("Pictures")
    ask(page, "And what else?")
    expect(page.locator("#conversation .bot-row")).to_have_count(2)
    expect(summary(page)).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("#conversation .bot-row")).to_have_count(2)
    expect(summary(page)).to_be_visible(timeout=PATIENCE)


def test_several_pictures_go_where_they_are_placed(app: App, pictures, open_page) -> None:
    page = open_page(app)
    limit(page, 8)
    attach(page, pictures["wide"], pictures["turned"], pictures["tall"])
    ask(page, "Compare <image> with <image> and <image>")
    expect(page.locator("#conversation .user-row img")).to_have_count(3)
    expect(user(page)).to_contain_text("Compare <image> with <image>")
    expect(summary(page)).to_contain_text("token", timeout=PATIENCE)


def test_stop_keeps_what_was_written(app: App, open_page) -> None:
    page = open_page(app)
    limit(page, 3000)
    ask(page, "Go on")
    page.wait_for_function("document.querySelector('#conversation .bot-row')?.innerText.length > 200", timeout=PATIENCE)
    page.get_by_role("button", name="Stop").click()
    expect(summary(page)).to_contain_text("stopped")
    assert len(bot(page).inner_text()) > 200
    limit_again = page.get_by_label("number input for New tokens at most")
    limit_again.fill("5")
    limit_again.press("Tab")
    ask(page, "Once more")
    expect(summary(page)).to_contain_text("tokens", timeout=PATIENCE)
    expect(summary(page)).to_contain_text("at the limit")


def test_grounding_shows_boxes_that_are_well_formed(app: App, pictures, open_page, tmp_path: Path) -> None:
    page = open_page(app)
    page.get_by_role("tab", name="Grounding").click()
    page.set_input_files("#grounding-picture input[type=file]", pictures["wide"])
    page.get_by_role("textbox", name="Phrase").fill("the orange disc")
    page.get_by_role("button", name="Find", exact=True).click()
    status = page.locator("#grounding-status")
    expect(status).to_contain_text(" s in all", timeout=PATIENCE)
    expect(page.locator("#grounding-boxes img")).to_be_visible()
    expect(page.locator("#grounding-notice")).to_be_empty()
    folder = os.environ.get("DSVL2_SCREENSHOTS")
    page.screenshot(path=Path(folder or tmp_path) / "vllm-grounding.png")


def test_tiles_are_figured_out_here_and_nothing_is_looked_into(app: App, pictures, open_page) -> None:
    page = open_page(app)
    page.get_by_role("tab", name="Tiles").click()
    page.set_input_files("#tiles-pictures input[type=file]", pictures["wide"])
    expect(page.locator("#tiles-summary")).to_contain_text("1,415")
    expect(page.locator("#tiles-cut .caption-label")).to_have_count(7)
    page.get_by_role("button", name="Inside view").click()
    page.locator("#inside-question textarea").fill("What is this?")
    page.locator("#inside-ask").click()
    expect(page.locator("#inside-status")).to_contain_text("token", timeout=PATIENCE)
    expect(page.locator("#inside-stop")).to_be_hidden(timeout=PATIENCE)
    expect(page.locator("#inside-open")).to_be_hidden()


def test_a_picture_too_many_is_refused_in_place(app: App, pictures, open_page) -> None:
    page = open_page(app)
    attach(page, *[pictures["tall"]] * (MOST_PICTURES + 1))
    ask(page, "What are these?")
    expect(page.get_by_role("alert")).to_contain_text("The model's server says:", timeout=PATIENCE)
    expect(page.locator("#message textarea")).to_have_value("What are these?")


def test_death_in_the_middle_keeps_what_was_written_and_the_page_goes_on(app: App, server: Server, open_page) -> None:
    page = open_page(app)
    limit(page, 3000)
    ask(page, "Go on")
    page.wait_for_function("document.querySelector('#conversation .bot-row')?.innerText.length > 100", timeout=PATIENCE)
    server.kill()
    expect(page.get_by_role("alert")).to_contain_text("broke, so the answer ends here")
    written = bot(page).inner_text()
    assert len(written) > 100
    ask(page, "Still there?")
    expect(page.get_by_role("alert")).to_contain_text("No model's server answers", timeout=PATIENCE)
    server.start()
    number = page.get_by_label("number input for New tokens at most")
    number.fill("5")
    number.press("Tab")
    ask(page, "And now?")
    expect(summary(page)).to_contain_text("tokens", timeout=PATIENCE)
    expect(page.locator("#conversation .bot-row").first).to_contain_text(written.split("\n")[0][:50])


def test_a_wrong_key_is_one_sentence(server: Server, open_page) -> None:
    for app in serve(server, key="another key"):
        page = open_page(app)
        ask(page, "Hi")
        expect(page.get_by_role("alert")).to_contain_text("refuses the API key; name the variable")
        expect(page.locator("#message textarea")).to_have_value("Hi")
        page.close()  # before its server is


def test_an_unknown_model_is_one_sentence(server: Server, open_page) -> None:
    for app in serve(server, "--remote-model", "vl3"):
        page = open_page(app)
        ask(page, "Hi")
        expect(page.get_by_role("alert")).to_contain_text("has no model vl3; name another one with --remote-model.")
        page.close()
