"""What the page tests and the screenshots do in the Chat tab."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from weakref import WeakKeyDictionary

from PIL import Image
from playwright.sync_api import ConsoleMessage, FloatRect, Locator, Page, Request, expect

from dsvl2_app.image.reference import ImageRef
from tests.waiting import PATIENCE

LONGEST_REST = 20.0  # seconds
STEADY = 200  # ms between two looks that agree
API, HEARTBEAT = "/gradio_api/", "/gradio_api/heartbeat/"  # the latter lasts as long as the page
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


def measure(*parts: Locator) -> list[FloatRect]:
    """Where parts of a page stand, in px of its window, once two looks agree: what an event draws anew has no place for
    a moment, and may move what is below it."""
    places: list[FloatRect | None] = []
    began = time.monotonic()
    while True:
        before, places = places, [part.bounding_box() for part in parts]
        found = [place for place in places if place]
        if len(found) == len(parts) and places == before:
            return found
        assert time.monotonic() - began < PATIENCE, f"after {PATIENCE:g} s they stand at {places}"
        parts[0].page.wait_for_timeout(STEADY)


# What each page has asked of Gradio and has no answer to yet.
_pending: WeakKeyDictionary[Page, set[Request]] = WeakKeyDictionary()
_leaving: set[Page] = set()
# What Gradio's client says of a stream of events that it cuts itself when its page is left.
CUT = ("AbortError: signal is aborted", "Unexpected error Connection errored out.")


def watch(page: Page) -> None:
    """Before its first address: so that `leave` knows what to wait for."""
    pending = _pending[page] = set()

    def begin(request: Request) -> None:
        if API in request.url and HEARTBEAT not in request.url:
            pending.add(request)

    page.on("request", begin)
    page.on("requestfinished", lambda request: pending.discard(request))
    page.on("requestfailed", lambda request: pending.discard(request))


def find_pending(page: Page, part: str = "") -> list[str]:
    """What has no end yet, by the address, in which `part` occurs."""
    return [request.url for request in _pending[page] if part in request.url]


def is_complaint(said: ConsoleMessage) -> bool:
    """Whether a page says that something went wrong, other than that it is left."""
    return said.type == "error" and not (said.page in _leaving and said.text.startswith(CUT))


def leave(page: Page, go: Callable[[], object]) -> None:
    """Reload the page, or open another address in it, by `go`, once the server has answered.

    Gradio's client opens a stream that tells nothing and has no end where an event ends before the answer to its
    request is read (test_steps.py); one is waited for no longer than LONGEST_REST. It is cut here, and only
    from here until the new page is loaded may the client say so."""
    rest(page)
    _pending[page].clear()
    _leaving.add(page)
    try:
        go()
    finally:
        _leaving.discard(page)


def rest(page: Page) -> None:
    """Until nothing has been asked for half a second: after one of Gradio's requests another reads the answer. What has
    no end within LONGEST_REST is named in the test's output."""
    quiet, began = 0, time.monotonic()
    while quiet < 10 and time.monotonic() - began < LONGEST_REST:
        page.wait_for_timeout(50)
        quiet = 0 if _pending[page] else quiet + 1
    if quiet < 10:
        print("no end is known of", find_pending(page))
