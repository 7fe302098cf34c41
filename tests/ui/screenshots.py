"""`python -m tests.ui.screenshots FOLDER`: every tab, empty and in use, in both themes and three widths.

The README's pictures are among them, and are renewed with them.
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

from PIL import Image
from playwright.sync_api import FloatRect, Page, expect, sync_playwright

from dsvl2_app.backend import load
from dsvl2_app.bundled import ASSETS, EXAMPLES
from dsvl2_app.settings import Settings
from dsvl2_app.ui.page import build, launch
from tests.conftest import CHROMIUM_NAMES
from tests.image.papers import write_pdf
from tests.ui.steps import ask, attach, bot, measure, open_settings

THEMES, WIDTHS, HEIGHT = ("light", "dark"), (390, 1280, 2560), 1100
README_PICTURE, README_SHOT = ASSETS / "screenshot.png", "chat-found-light-1280.png"
README_INSIDE, INSIDE_SHOT = ASSETS.parent / "docs" / "inside.png", "inside-experts-light-1280.png"
MARGIN = 12  # px
COLOURS = 256  # of the README's second picture, which is small with them


def tour(page: Page) -> Iterator[str]:
    """The names of what there is to see, one after the other."""
    expect(page.locator("#conversation .examples")).to_be_visible()
    yield "chat"
    attach(page, EXAMPLES / "one.png")
    ask(page, "<|ref|>The black triangle<|/ref|>.")
    expect(page.locator("#conversation .found img")).to_be_visible()
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
    page.get_by_role("button", name="Correct by hand").click()
    page.locator("#grounding-boxes .row").nth(2).click()
    yield "grounding-corrected"
    page.locator("[data-tab-id=documents]:visible").click()
    expect(page.locator("#documents-how .empty")).to_be_visible()
    yield "documents"
    papers = {"name": "paper.pdf", "mimeType": "application/pdf", "buffer": write_pdf(3)}
    page.locator("#documents-files input[type=file]").set_input_files(papers)
    expect(page.locator("#documents-pages .thumbnails button")).to_have_count(3)
    page.locator("#documents-start").click()
    expect(page.locator("#documents-exports")).to_be_visible()
    expect(page.locator("#documents-start")).to_be_visible()
    yield "documents-read"
    page.locator("[data-tab-id=tiles]:visible").click()
    expect(page.locator("#tiles-pictures")).to_be_visible()
    yield "tiles"
    page.locator("#tiles-pictures input[type=file]").first.set_input_files(EXAMPLES / "window.png")
    expect(page.locator("#tiles-tokens section")).to_be_visible()
    yield "tiles-cut"
    yield from look_inside(page)


def look_inside(page: Page) -> Iterator[str]:
    page.locator("#inside button").first.click()
    page.locator("#inside-guide").click()
    expect(page.locator("#inside-tour output")).to_have_text("1 / 5")
    yield "inside-tour"
    page.locator("#inside-tour .close").click()
    for mode in ("boxes", "words", "experts"):
        page.locator(f"#inside-view [data-mode={mode}]").click()
        yield f"inside-{mode}"
    page.locator("#inside-others [data-other]").first.click()
    expect(page.locator("#inside-take")).to_be_visible()
    page.locator("#inside-take").click()
    expect(page.locator("#inside-sides tbody")).to_be_visible()
    yield "inside-sides"
    page.locator("#inside-view [data-mode=attention]").click()
    page.locator("#inside-answer .piece").nth(6).click()
    page.locator("#inside-view canvas.local").click(position={"x": 90, "y": 60})
    expect(page.locator("#inside-place tbody")).to_be_visible()
    yield "inside-view"


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
                shot = folder / f"{name}-{theme}-{width}.png"
                if shot.name == INSIDE_SHOT:
                    page.screenshot(path=shot, full_page=True, clip=surround(page, "#inside-answer", ".within .text"))
                elif name.startswith("inside"):
                    page.locator("#inside").screenshot(path=shot)
                else:
                    page.screenshot(path=shot, full_page=True)
                print(f"{name}-{theme}-{width}.png")
            page.close()
        browser.close()


def surround(page: Page, first: str, last: str) -> FloatRect:
    """From one part of the page to another below it, with a margin; the page is not scrolled."""
    top, bottom = measure(*(page.locator(part).first for part in (first, last)))
    height = bottom["y"] + bottom["height"] - top["y"]
    return {
        "x": top["x"] - MARGIN,
        "y": top["y"] - MARGIN,
        "width": top["width"] + 2 * MARGIN,
        "height": height + 2 * MARGIN,
    }


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
    with Image.open(folder / INSIDE_SHOT) as inside:
        inside.convert("RGB").quantize(COLOURS).save(README_INSIDE, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
