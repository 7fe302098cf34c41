"""A picture from a camera, which Chromium pretends to have."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.conftest import CHROMIUM_NAMES
from tests.ui.steps import measure

CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture
def camera(browser: Browser, slow_down: Callable[[Page], None]) -> Iterator[Page]:
    """A page of another such browser, with a camera that may be used."""
    kind = browser.browser_type
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    other = kind.launch(executable_path=path, args=CAMERA)
    page = other.new_context(permissions=["camera"]).new_page()
    slow_down(page)
    yield page
    other.close()


def take_picture(page: Page) -> None:
    page.get_by_role("button", name="Capture from camera").click()
    page.get_by_role("button", name="Click to Access Webcam").click()
    expect(page.locator("video:visible")).to_have_js_property("readyState", 4)
    page.get_by_role("button", name="capture photo").click()


@pytest.mark.slow
def test_something_is_found_in_a_picture_from_a_camera(scripted, camera):
    scripted.script.say = "<|ref|>clock<|/ref|><|det|>[[0, 0, 999, 500]]<|/det|>"
    camera.goto(f"{scripted.url}?tab=grounding")
    take_picture(camera)
    expect(camera.locator("#grounding-picture img")).to_be_visible()
    camera.locator("#grounding-phrase textarea, #grounding-phrase input").fill("clock")
    camera.locator("#grounding-start").click()
    expect(camera.locator(".box:visible")).to_have_count(1)
    (asked,) = scripted.script.requests
    assert min(asked.messages[0]["content"][0]["image"].size) > 100


@pytest.mark.slow
def test_the_tiles_of_a_picture_from_a_camera_are_shown(scripted, camera):
    camera.goto(f"{scripted.url}?tab=tiles")
    take_picture(camera)
    expect(camera.locator("#tiles-summary")).to_contain_text("grid of tiles")
    expect(camera.locator("#tiles-tokens section")).to_be_visible()


def is_within(inner: Locator, outer: Locator) -> bool:
    """Whether all of it can be seen there: what is scrolled out of sight by no hand counts as clicked by Playwright."""
    one, other = measure(inner, outer)
    return one["y"] >= other["y"] and one["y"] + one["height"] <= other["y"] + other["height"]


@pytest.mark.slow
@pytest.mark.parametrize("tab, place", [("grounding", "#grounding-picture"), ("tiles", "#tiles-pictures")])
def test_a_camera_that_was_chosen_is_left_again(scripted, open_page, tab, place):
    part = open_page(scripted, height=720, at=f"?tab={tab}").locator(place)
    camera = part.get_by_role("button", name="Capture from camera")
    expect(camera).to_be_visible()
    assert is_within(camera, part)
    camera.click()
    expect(part.get_by_text("Click to Access Webcam")).to_be_visible()
    back = part.get_by_role("button", name="Upload file")
    assert is_within(back, part)
    back.click()
    expect(part.locator("input[type=file]")).to_be_attached()
    expect(part.get_by_text("Click to Access Webcam")).to_have_count(0)


@pytest.mark.slow
@pytest.mark.parametrize("tab, place", [("grounding", "#grounding-picture"), ("tiles", "#tiles-pictures")])
@pytest.mark.parametrize("locale, words", [("en", "No camera can be used here"), ("zh-CN", "这里无法使用摄像头")])
def test_that_there_is_no_camera_is_said(scripted, pictures, open_page, tab, place, locale, words):
    page = open_page(scripted, at=f"?tab={tab}", locale=locale)
    part, told = page.locator(place), page.get_by_role("alert").filter(has_text=words)
    part.locator(".source-selection button").nth(1).click()
    for _ in range(2):  # it can be tried again
        part.locator("button:has(.icon-wrap):not(.upload-container, .source-selection button)").click()
        expect(told).to_have_count(1)
        expect(told).to_be_visible()
    part.locator(".source-selection button").first.click()
    expect(told).to_have_count(0)
    part.locator("input[type=file]").set_input_files(pictures["wide"])
    expect(part.locator("img").first).to_be_visible()


@pytest.mark.slow
def test_the_camera_is_left_where_there_were_pictures_before(scripted, pictures, open_page):
    page = open_page(scripted, height=720, at="?tab=tiles")
    part = page.locator("#tiles-pictures")
    part.locator("input[type=file]").set_input_files(pictures["wide"])
    expect(page.locator("#tiles-summary")).to_contain_text("from 1,000 × 400 px")
    part.get_by_role("button", name="Webcam").click()
    back = part.get_by_role("button", name="Upload file")
    expect(back).to_be_visible()
    assert is_within(back, part)
    back.click()
    part.locator("input[type=file]").set_input_files(pictures["tall"])
    expect(page.locator("#tiles-summary")).to_contain_text("from 300 × 500 px")
