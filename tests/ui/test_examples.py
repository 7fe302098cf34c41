from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from dsvl2_app.text.grounding import MODES
from dsvl2_app.ui.examples import MORE, Example, read_examples
from dsvl2_app.ui.words.chinese import CHINESE
from tests.ui.steps import bot
from tests.waiting import wait_until


def test_examples_of_a_tab(tmp_path):
    listed = [
        {"tab": "chat", "text": "What is it?", "pictures": ["a.png", "b.png"], "truth": {}},
        {"tab": "tiles", "text": "", "pictures": ["c.png"]},
        {"tab": "chat", "text": "Where is it?", "pictures": ["gone.png"]},
    ]
    (tmp_path / "examples.json").write_text(json.dumps(listed))
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    assert read_examples("chat", tmp_path) == [
        Example("What is it?", (str(tmp_path / "a.png"), str(tmp_path / "b.png")))
    ]
    assert read_examples("grounding", tmp_path) == []


def test_no_folder_no_examples(tmp_path):
    assert read_examples("chat", tmp_path / "none") == []


def test_every_way_to_ask_has_an_example():
    chat = read_examples("chat")
    assert all(any(example.text == more.text for example in chat) for more in MORE["chat"])
    assert {len(example.pictures) for example in chat} == {1, 2, 3}
    assert {example.mode for example in read_examples("grounding")} == set(MODES)


def test_a_caption_has_no_special_tokens_and_a_translation():
    captions = [example.caption for tab in ("chat", "grounding") for example in read_examples(tab)]
    assert not any("<|" in caption for caption in captions)
    assert [caption for caption in captions if caption not in CHINESE] == []


@pytest.mark.slow
@pytest.mark.parametrize(("locale", "width"), [("en-US", 390), ("en-US", 1280), ("zh-CN", 1280)])
def test_cards_say_it_all_in_the_language_of_the_page(scripted, open_page, locale, width):
    page = open_page(scripted, width=width, locale=locale)
    words = [example.caption for example in read_examples("chat")]
    texts = page.locator("#conversation .example-text")
    expect(texts).to_have_text([CHINESE[each] for each in words] if locale == "zh-CN" else words)
    is_cut = "all => all.filter(each => each.scrollHeight > each.clientHeight + 1 && each.clientHeight > 0)"
    assert texts.evaluate_all(is_cut + ".map(each => each.innerText)") == []
    assert (
        page.locator("#conversation .example").evaluate_all(
            "all => all.filter(each => each.scrollWidth > each.clientWidth).map(each => each.innerText)"
        )
        == []
    )


@pytest.mark.slow
def test_on_a_phone_every_card_is_whole(scripted, open_page):
    page = open_page(scripted, width=390, height=844)
    cards = page.locator("#conversation .example")
    expect(cards).to_have_count(len(read_examples("chat")))
    expect(page.locator("#conversation .examples")).to_be_visible()
    cut = """cards => cards.filter((card) => {
        const {left, right, top, bottom} = card.getBoundingClientRect();
        for (let around = card.parentElement; around; around = around.parentElement) {
            const style = getComputedStyle(around), area = around.getBoundingClientRect();
            if (around === document.documentElement || around === document.body) return left < 0 || right > innerWidth;
            if (style.overflowX !== "visible" && (left < area.left - 1 || right > area.right + 1)) return true;
            if (style.overflowY !== "visible" && (top < area.top - 1 || bottom > area.bottom + 1)) return true;
        }
    }).map((card) => card.textContent.trim())"""
    assert cards.evaluate_all(cut) == []


@pytest.mark.slow
def test_examples_of_grounding_and_the_button_that_finds_are_in_sight_at_once(scripted, open_page):
    page = open_page(scripted, width=1280, height=720, at="?tab=grounding")
    expect(page.locator("#grounding-examples button")).to_have_count(len(read_examples("grounding")))
    for number in range(3):
        expect(page.locator("#grounding-examples button").nth(number)).to_be_in_viewport(ratio=1)
    expect(page.locator("#grounding-start")).to_be_in_viewport(ratio=1)


@pytest.mark.slow
def test_every_chat_example_is_asked_at_a_click(scripted, open_page):
    page = open_page(scripted)
    for number, example in enumerate(read_examples("chat")):
        page.locator("#conversation .example").nth(number).click()
        expect(bot(page).locator("summary")).to_be_visible()
        expect(page.locator("#conversation .user-row .picture")).to_have_count(len(example.pictures))
        parts = scripted.script.requests[number].messages[-1]["content"]
        assert "".join(part.get("text", "") for part in parts).strip() == example.text
        page.locator("#conversation").get_by_role("button", name="Clear").click()
        expect(page.locator("#conversation .welcome")).to_be_visible()


@pytest.mark.slow
def test_every_example_of_the_other_tabs_runs_at_a_click(scripted, open_page):
    scripted.script.say = "<|ref|>dog<|/ref|><|det|>[[0, 0, 999, 500]]<|/det|>"
    scripted.script.pause = 0.1  # a box in a second, of an answer that has no end
    page = open_page(scripted)
    page.locator("[data-tab-id=grounding]:visible").click()
    for number, example in enumerate(read_examples("grounding")):
        offered = page.locator("#grounding-examples button").nth(number)
        expect(offered).to_contain_text(example.text)
        scripted.script.endless = True
        offered.click()
        expect(page.locator("#grounding-stop")).to_be_visible()
        wait_until(lambda number=number: len(scripted.script.requests) == number + 1)
        scripted.script.endless = False
        expect(page.locator("#grounding-start")).to_be_visible()  # a click is ignored while an answer is being written
    page.locator("[data-tab-id=tiles]:visible").click()
    for number, example in enumerate(read_examples("tiles")):
        page.locator("button.gallery-item:visible").nth(number).click()
        shown = page.locator(f'#tiles-pictures img[src*="{Path(example.pictures[0]).stem}"]')
        expect(shown.first).to_be_visible()  # a click is ignored while another's pictures are on their way
        expect(page.locator("#tiles-tokens section")).to_be_visible()
        expect(page.locator("#tiles-pictures .thumbnail-item")).to_have_count(len(example.pictures))
    page.locator("[data-tab-id=documents]:visible").click()
    (example,) = read_examples("documents")
    scripted.script.say = "A form."
    offered = page.locator(".gallery-item:visible")
    expect(offered).to_have_text([Path(example.pictures[0]).name])
    offered.click()
    expect(page.locator("#documents-status")).to_have_text("All 3 pages are read.")
    expect(page.locator("#documents-text")).to_contain_text("A form.")
