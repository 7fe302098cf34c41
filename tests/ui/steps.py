"""What the page tests and the screenshots do in the Chat tab."""

from __future__ import annotations

import base64
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, Request, expect

from dsvl2_app.image.reference import ImageRef

LONGEST_REST = 20.0  # seconds
GIVE = """([kind, target, files]) => {
  const held = new DataTransfer();
  for (const [name, type, letters] of files) {
    held.items.add(new File([Uint8Array.from(atob(letters), (one) => one.charCodeAt(0))], name, {type}));
  }
  const options = {bubbles: true, cancelable: true};
  const make = {
    drop: () => new DragEvent("drop", {...options, dataTransfer: held}),
    dragover: () => new DragEvent("dragover", {...options, dataTransfer: held}),
    paste: () => new ClipboardEvent("paste", {...options, clipboardData: held}),
  };
  return document.querySelector(target).dispatchEvent(make[kind]()); // false: the browser does nothing of its own
}"""


def give(page: Page, kind: str, target: str, *pictures: Path) -> bool:
    """Let files be dropped on an element, or pasted. Returns whether the browser would take them itself."""
    files = [
        [
            path.name,
            "application/pdf" if path.suffix == ".pdf" else "image/png",
            base64.b64encode(path.read_bytes()).decode(),
        ]
        for path in pictures
    ]
    return page.evaluate(GIVE, [kind, target, files])


def see(picture: Image.Image | ImageRef) -> Image.Image:
    """What a backend was given, decoded: to a server it goes as bytes."""
    return picture if isinstance(picture, Image.Image) else picture.open()


def attach(page: Page, *pictures: Path) -> None:
    page.set_input_files("#message input[type=file]", list(pictures))
    expect(page.locator("#message .thumbnail-item")).to_have_count(len(pictures))


def ask(page: Page, text: str) -> None:
    expect(page.locator("#message .submit-button")).to_be_visible()  # the answer before has ended
    page.locator("#message textarea").fill(text)
    page.locator("#message textarea").press("Enter")


def open_settings(page: Page) -> None:
    page.locator("#chat-settings button").first.click()


def bot(page: Page) -> Locator:
    return page.locator("#conversation [data-testid=bot]").last


def user(page: Page) -> Locator:
    return page.locator("#conversation .user-row").last


def watch_requests(page: Page) -> set[Request]:
    """Those that have begun from now on and not ended yet."""
    waiting: set[Request] = set()
    page.on("request", lambda request: waiting.add(request))
    page.on("requestfinished", lambda request: waiting.discard(request))
    page.on("requestfailed", lambda request: waiting.discard(request))
    return waiting


def rest(page: Page, waiting: set[Request]) -> None:
    """Until nothing has been asked for half a second: after one of Gradio's requests another reads the answer. One of
    whose end the browser does not tell is waited for no longer than LONGEST_REST, and named in the test's output."""
    quiet, began = 0, time.monotonic()
    while quiet < 10 and time.monotonic() - began < LONGEST_REST:
        page.wait_for_timeout(50)
        quiet = 0 if waiting else quiet + 1
    if quiet < 10:
        print("no end is known of", [f"{request.method} {request.url}" for request in waiting])
