"""What the page tests set aside when a page is left, and what they do not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import cast

import gradio as gr
import pytest
from playwright.sync_api import APIResponse, Browser, ConsoleMessage, Page, Route, expect

from tests.ui import steps
from tests.ui.conftest import App
from tests.ui.steps import CUT, is_complaint, leave, measure
from tests.waiting import PATIENCE, wait_until


def test_only_a_page_that_is_being_left_may_say_that_its_stream_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    left, other = cast(Page, object()), cast(Page, object())
    monkeypatch.setattr(steps, "_leaving", {left})

    def complains(page: Page, text: str, kind: str = "error") -> bool:
        return is_complaint(cast(ConsoleMessage, SimpleNamespace(page=page, text=text, type=kind)))

    for text in CUT:
        assert not complains(left, f"{text} without reason") and complains(other, text)
    assert complains(left, "TypeError: Failed to fetch") and not complains(other, "It is late.", "warning")


DRAWN_ANEW = """<main></main><script>
  let down = 0;
  const draw = () => {
    document.body.innerHTML = `<p style="position: absolute; top: ${down}px; margin: 0">Here</p>`;
    if (down < 100) { down += 20; setTimeout(() => { document.body.innerHTML = ""; setTimeout(draw, 60); }, 60); }
  };
  draw();
</script>"""


@pytest.mark.slow
def test_what_is_drawn_anew_is_measured_once_it_stands_still(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content(DRAWN_ANEW)
    (place,) = measure(page.locator("p"))
    assert place["y"] == 100
    page.close()


@pytest.fixture
def two_events() -> Iterator[tuple[App, threading.Event]]:
    """A page of Gradio's alone, with an event that ends when it is told so, and one that ends at once."""
    go_on = threading.Event()
    with gr.Blocks(analytics_enabled=False) as demo, gr.Tab("Two events"):
        box = gr.Textbox(label="Told")
        gr.Button("Slow").click(lambda: go_on.wait(PATIENCE) and "slow", None, box)
        gr.Button("Quick").click(lambda: None)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    yield App(url), go_on
    demo.close(verbose=False)


@pytest.mark.slow
def test_a_page_may_be_left_while_gradio_listens_for_nothing(
    two_events: tuple[App, threading.Event], open_page: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Gradio 6.31 an event can end, told by the stream of an earlier one, before the answer to its own request is
    read. The client then opens a stream for it all the same, which has no end."""
    monkeypatch.setattr(steps, "LONGEST_REST", 1.0)
    app, go_on = two_events
    page = open_page(app)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    with page.expect_request("**/queue/data?*"):
        page.get_by_role("button", name="Slow").click()
    held: list[tuple[Route, APIResponse]] = []
    page.route("**/queue/join?*", lambda route: held.append((route, route.fetch())), times=1)
    page.get_by_role("button", name="Quick").click()
    wait_until(lambda: page.wait_for_timeout(50) or held)
    go_on.set()
    expect(page.get_by_label("Told")).to_have_value("slow")
    wait_until(lambda: page.wait_for_timeout(50) or not steps.find_pending(page, "queue/data"))
    ((route, answer),) = held
    with page.expect_request("**/queue/data?*"):
        route.fulfill(response=answer)
    leave(page, page.reload)
    expect(page.get_by_role("button", name="Slow")).to_be_visible()
    assert [text for text in said if text.startswith(CUT)]
