"""The page before its weights are there: how far they are, in the visitor's language, until it opens by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import expect

from dsvl2_app.backend.loading import LoadingBackend
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.engine.loading import look_ahead
from dsvl2_app.progress import Meter
from dsvl2_app.request import Loading
from dsvl2_app.settings import Settings
from dsvl2_app.ui.arrival import describe_time_left, show_loading
from tests.ui.conftest import App, serve_page


@dataclass
class Way:
    """Of weights: `more` bytes come when it is told so, all when it is there."""

    app: App
    more: threading.Event
    arrive: threading.Event


@pytest.fixture
def on_its_way() -> Iterator[Way]:
    more, arrive = threading.Event(), threading.Event()

    def load() -> ScriptedBackend:
        meter = Meter("download", 6_740_000_000, done=1_000_000_000)
        more.wait(120)
        meter.add(1_500_000_000)
        arrive.wait(120)
        return ScriptedBackend(say="I have arrived.")

    settings = Settings(compile="off")
    for app in serve_page(LoadingBackend(look_ahead(settings), load), settings):
        yield Way(app, more, arrive)
        more.set()
        arrive.set()


@pytest.mark.slow
def test_the_page_shows_bytes_and_opens_by_itself(on_its_way, open_page):
    page = open_page(on_its_way.app)
    arrival = page.locator("#arrival")
    expect(arrival).to_contain_text("The model's weights are being downloaded. 1.00 of 6.74 GB, about")
    expect(page.locator("#header")).to_contain_text("nano")
    expect(page.locator("#header")).to_contain_text("11.7 M parameters")
    expect(page.get_by_role("progressbar", name="Loading")).to_have_attribute("value", "1000000000")
    on_its_way.more.set()
    expect(arrival).to_contain_text("2.50 of 6.74 GB")
    page.locator("#message textarea").fill("Are you there?")
    page.locator("#message textarea").press("Enter")
    expect(page.locator(".progress").first).to_contain_text("Waiting")
    on_its_way.arrive.set()
    expect(page.get_by_text("I have arrived.")).to_be_visible()
    expect(arrival).to_be_hidden()
    other = open_page(on_its_way.app)  # opened later, it has nothing to wait for
    expect(other.locator("#header")).to_be_visible()
    expect(other.locator("#arrival")).to_be_hidden()


@pytest.mark.slow
def test_the_way_is_told_in_chinese(on_its_way, open_page):
    page = open_page(on_its_way.app, locale="zh-CN")
    expect(page.locator("#arrival")).to_contain_text("正在下载模型权重。 1.00 / 6.74 GB，约剩")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.2, ", about 1 s left"), (89, ", about 89 s left"), (240, ", about 4 min left")],
)
def test_time_left_is_rounded(seconds, words):
    assert describe_time_left(seconds) == words


def test_what_is_not_known_is_not_said():
    told = show_loading(Loading("read"))
    assert "GB" not in told and "left" not in told and 'max="1" value="0"' in told
    assert "0.05 of 0.05 GB, about 1 s left. You" in show_loading(Loading("read", 46_000_000, 46_700_000, 1.0))
    assert "0.05 of 0.05 GB. You" in show_loading(Loading("read", 46_000_000, 46_700_000))


@pytest.mark.slow
def test_a_page_of_a_model_that_is_there_has_no_timer(scripted):
    config = scripted.client().config
    assert not [each for each in config["components"] if each["type"] == "timer"]
