"""`python -m tests.ui.screenshots FOLDER`: every tab, empty and in use, in both themes and three widths.

The README's picture is one of them, and is renewed with them.
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from dsvl2_app.backend import load
from dsvl2_app.bundled import ASSETS, EXAMPLES
from dsvl2_app.settings import Settings
from dsvl2_app.ui.page import build, launch
from tests.conftest import CHROMIUM_NAMES
from tests.ui.steps import ask, attach, bot, open_settings

THEMES, WIDTHS, HEIGHT = ("light", "dark"), (390, 1280, 2560), 1100
README_PICTURE, README_SHOT = ASSETS / "screenshot.png", "chat-found-light-1280.png"


def tour(page: Page) -> Iterator[str]:
    """The names of what there is to see, one after the other."""
    expect(page.locator("#conversation .examples")).to_be_visible()
    yield "chat"
    attach(page, EXAMPLES / "one.png")
    ask(page, "<|ref|>The black triangle<|/ref|>.")
    expect(page.locator("#conversation .drawing")).to_be_visible()
    expect(page.locator("#message .submit-button")).to_be_visible()
    yield "chat-found"
    attach(page, EXAMPLES / "shapes.png")
    ask(page, "What do you see in the second picture?")
    expect(bot(page).locator("summary")).to_be_visible()
    expect(page.locator("#message .submit-button")).to_be_visible()
    yield "chat-answered"
    open_settings(page)
    attach(page, EXAMPLES / "pie.png")
    expect(page.locator("#chat-meter p")).to_be_visible()
    yield "chat-settings"
    page.locator("[data-tab-id=grounding]:visible").click()
    expect(page.locator("#grounding-start")).to_be_visible()
    yield "grounding"
    page.locator("#grounding-picture input[type=file]").set_input_files(EXAMPLES / "several.png")
    page.locator("#grounding-phrase :is(textarea, input)").fill("The yellow shapes")
    page.locator("#grounding-start").click()
    expect(page.locator("#grounding-exports")).to_be_visible()
    yield "grounding-found"
    page.locator("[data-tab-id=tiles]:visible").click()
    expect(page.locator("#tiles-pictures")).to_be_visible()
    yield "tiles"
    page.locator("#tiles-pictures input[type=file]").first.set_input_files(EXAMPLES / "window.png")
    expect(page.locator("#tiles-tokens section")).to_be_visible()
    yield "tiles-cut"


def take(url: str, folder: Path) -> None:
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        for theme, width in product(THEMES, WIDTHS):
            page = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme=theme)
            page.goto(url)
            for name in tour(page):
                for place in ("document.body.scrollHeight", "0"):  # pictures load when they come into sight
                    page.evaluate(f"window.scrollTo(0, {place})")
                    page.wait_for_timeout(500)
                page.screenshot(path=folder / f"{name}-{theme}-{width}.png", full_page=True)
                print(f"{name}-{theme}-{width}.png")
            page.close()
        browser.close()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=60_000)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings = replace(Settings(), port=free.getsockname()[1])
    with closing(load(settings)) as backend:
        demo = build(backend, settings)
        take(launch(demo, settings), folder)
        demo.close(verbose=False)
    shutil.copy(folder / README_SHOT, README_PICTURE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
