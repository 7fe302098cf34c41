"""The Inside view of the Tiles tab: in a browser with nano, and its figures by themselves."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from dsvl2_app.image.tiles import lay_out
from dsvl2_app.inspection import Inspection
from dsvl2_app.ui.tabs.tiles.inside import Kept, Look
from dsvl2_app.ui.tabs.tiles.inside_figures import show_cost, show_experts, show_pieces, show_shares, show_twins

LAYOUTS = (lay_out(384, 384), lay_out(384, 384))
TOKENS = sum(layout.num_tokens for layout in LAYOUTS)
ATTENTION = np.zeros((2, 1, 3, 2 + TOKENS), np.float16)
ATTENTION[..., 0], ATTENTION[..., 1], ATTENTION[..., 2:] = 0.1, 0.3, 0.5 / TOKENS
SEEN = Inspection(
    prompt=("<begin>", "Well?", *[""] * TOKENS),
    tokens=("<b>", " ", "done"),
    answer_ids=(7, 8, 9),
    starts=(2, 2 + LAYOUTS[0].num_tokens),
    layouts=LAYOUTS,
    twins=(0, 0, 1, 0),
    attention=ATTENTION,
    answer_attention=np.full((2, 1, 3), 0.1, np.float16),
    expert_layers=(1,),
    experts=np.array([[[0]] * 2 + [[0], [0], [0], [1]] * (TOKENS // 4) + [[0]] * (TOKENS % 4) + [[1]] * 2], np.uint8),
    expert_weights=np.ones((1, 4 + TOKENS, 1), np.float16),
    expert_count=2,
    lens_layers=(1,),
    lens=np.full((1, TOKENS, 5), 7, np.int32),
    alternatives=np.array([[7, 7, 8, 9, 10, 11]] * 3, np.int32),
    logprobs=np.log(np.float32([[0.5, 0.5, 0.2, 0.1, 0.1, 0.1]] * 3)),
    corners=np.zeros((0, 1000), np.float32),
    corner_tokens=(),
    words={7: "<b>", 8: " ", 9: "done", 10: "ten", 11: "<i>"},
    seconds=1.5,
    memory=2_500_000,
    model="script",
)


def read(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_pieces_are_text_and_one_of_them_is_chosen():
    shown = show_pieces(SEEN.tokens, chosen=1)
    assert "&lt;b&gt;" in shown and "<b>" not in shown
    assert re.findall(r'tabindex="(-?\d)" aria-pressed="(\w+)"', shown) == [
        ("-1", "false"),
        ("0", "true"),
        ("-1", "false"),
    ]


def test_shares_name_all_that_attention_went_to():
    shown = read(show_shares(SEEN, 0, None, image=1))
    assert "25% Picture 1 25% Picture 2 10% Begin token 30% Text of the prompt 10% Answer so far" in shown
    placed = sum(place.box is not None for place in LAYOUTS[1].tokens()) / TOKENS / 2
    assert f"{placed:.0%} went to places in the picture below" in shown


def test_experts_are_a_row_for_each_layer():
    shown = show_experts(SEEN)
    assert read(shown).endswith("Tokens of pictures Layer 1 2 2 75 25 Tokens of text Layer 1 2 2 50 50")
    assert "--level:1.00" in shown and "--level:0.33" in shown


def test_twins_are_named():
    shown = read(show_twins(SEEN))
    assert "2 of 4 tiles were encoded" in shown
    assert "Picture 1: Global view = Picture 1: Tile 1 = Picture 2: Tile 1" in shown
    assert "All 4 tiles differ" in show_twins(replace(SEEN, twins=(0, 1, 2, 3)))


def test_the_cost_is_in_seconds_and_bytes():
    assert "took 1.50 s and 2.5 MB: one more pass over 846 tokens" in show_cost(SEEN)


def ask(page: Page, *pictures: Path) -> None:
    page.get_by_role("tab", name="Tiles").click()
    if pictures:
        page.set_input_files("#tiles-pictures input[type=file]", list(pictures))
        expect(page.locator("#tiles-summary .figures")).to_be_visible()
    page.locator("#inside button").first.click()
    page.locator("#inside-question textarea").fill("What <is> there?")
    page.locator("#inside-ask").click()


@pytest.mark.slow
def test_an_answer_is_looked_into(nano, pictures, open_page):
    page = open_page(nano)
    ask(page, pictures["wide"], pictures["tall"])
    expect(page.locator("#tiles-summary")).to_contain_text("all 2 pictures")
    expect(page.locator("#inside-open")).to_be_visible(timeout=60_000)
    expect(page.locator("#inside-seen")).to_be_hidden()  # nothing is collected yet
    page.locator("#inside-open").click()
    heat = page.locator("#inside-heat img")
    expect(heat).to_be_visible(timeout=60_000)
    pieces = page.locator("#inside-answer .piece")
    expect(pieces.first).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#inside-shares")).to_contain_text("Answer so far")
    expect(page.locator("#inside-cost")).to_contain_text(re.compile(r"took \d+\.\d\d s and [\d.,]+ MB"))
    before = heat.get_attribute("src")
    pieces.first.press("ArrowRight")
    expect(pieces.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(heat).not_to_have_attribute("src", str(before))
    before = heat.get_attribute("src")
    page.locator("#inside-which").get_by_label("2").check()
    expect(heat).not_to_have_attribute("src", str(before))
    before = heat.get_attribute("src")
    page.locator("#inside-layer input").click()
    page.get_by_role("option", name="Layer 2").click()
    expect(heat).not_to_have_attribute("src", str(before))
    rows = page.locator("#inside-experts table").first.locator("tbody tr")
    expect(rows.first.locator("td")).not_to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.mark.slow
def test_stop_keeps_what_was_written(scripted, pictures, open_page):
    scripted.script.endless = True
    page = open_page(scripted)
    ask(page, pictures["tall"])
    expect(page.locator("#inside-answer .written")).to_contain_text("Hello.Hello.")
    page.locator("#inside-stop").click()
    assert scripted.script.closed.wait(10)
    expect(page.locator("#inside-status")).to_contain_text("stopped")
    expect(page.locator("#inside-answer .written")).to_contain_text("Hello.Hello.")
    expect(page.locator("#inside-open")).to_be_visible()
    expect(page.locator("#inside-ask")).to_be_visible()


@pytest.mark.slow
def test_a_question_without_a_picture_is_refused_in_place(scripted, open_page):
    page = open_page(scripted)
    ask(page)
    expect(page.locator("#inside-notice")).to_contain_text("There is no picture to ask about")
    assert scripted.script.requests == []


@pytest.mark.slow
def test_what_was_seen_goes_with_its_pictures(nano, pictures, open_page):
    page = open_page(nano)
    ask(page, pictures["tall"])
    page.locator("#inside-open").click(timeout=60_000)
    expect(page.locator("#inside-heat img")).to_be_visible(timeout=60_000)
    page.get_by_role("tab", name="Chat").click()
    page.get_by_role("tab", name="Tiles").click()
    expect(page.locator("#inside-heat img")).to_be_visible()
    page.locator("#tiles-pictures").get_by_role("button", name="Clear").click()
    expect(page.locator("#inside-seen")).to_be_hidden()
    for part in ("#inside-open", "#inside-answer", "#inside-status"):
        expect(page.locator(part)).to_be_hidden()


@pytest.mark.slow
def test_an_answer_ends_with_its_pictures(scripted, pictures, open_page):
    scripted.script.endless = True
    page = open_page(scripted)
    ask(page, pictures["tall"])
    expect(page.locator("#inside-answer .written")).to_contain_text("Hello.")
    page.locator("#tiles-pictures").get_by_role("button", name="Clear").click()
    assert scripted.script.closed.wait(10)
    expect(page.locator("#inside-ask")).to_be_visible()
    for part in ("#inside-open", "#inside-answer", "#inside-status"):
        expect(page.locator(part)).to_be_hidden()


def test_what_was_seen_is_bounded_and_the_oldest_goes_first():
    def see() -> Inspection:
        arrays = {name: np.zeros(0) for name in Inspection.__slots__ if isinstance(getattr(SEEN, name), np.ndarray)}
        return replace(SEEN, **{**arrays, "attention": np.zeros((1, 1, 1, 500), np.float16)})  # 1000 bytes

    kept, looks = Kept(2500), [Look() for _ in range(4)]
    for look in looks[:3]:
        kept.keep(look, see())
    assert [look.seen is not None for look in looks] == [False, True, True, False]
    kept.keep(looks[1], see())  # looked again
    kept.keep(looks[3], see())
    assert [look.seen is not None for look in looks] == [False, True, False, True]
    del looks[:]  # their tabs are closed
    late = [Look(), Look()]
    for look in late:
        kept.keep(look, see())
    assert all(look.seen for look in late)
