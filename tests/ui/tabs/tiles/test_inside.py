"""The Inside view of the Tiles tab: in a browser with nano, and its figures by themselves."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree

import gradio as gr
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

from dsvl2_app.backend import Stream
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.image.load import Limits
from dsvl2_app.image.tiles import lay_out
from dsvl2_app.inspection import Inspection
from dsvl2_app.inspection import read as read_file
from dsvl2_app.inspection.file import pack as pack_file
from dsvl2_app.request import Caller, Capabilities, Event, Request, Timings
from dsvl2_app.ui.opening import as_upload
from dsvl2_app.ui.tabs.tiles import inside
from dsvl2_app.ui.tabs.tiles.inside import Inside
from dsvl2_app.ui.tabs.tiles.inside_branch import Word, show_branch
from dsvl2_app.ui.tabs.tiles.inside_figures import (
    estimate_seconds,
    offer_look,
    show_cost,
    show_experts,
    show_pieces,
    show_shares,
    show_twins,
)
from dsvl2_app.ui.tabs.tiles.inside_files import Files
from dsvl2_app.ui.tabs.tiles.inside_look import Kept, Look
from dsvl2_app.ui.tabs.tiles.inside_pack import pack, pack_attention, pack_corners, pack_experts, read_boxes
from dsvl2_app.ui.tabs.tiles.inside_sides import measure_certainty, read_question, show_sides
from dsvl2_app.ui.tabs.tiles.inside_tour import PICTURE
from dsvl2_app.ui.tabs.tiles.inside_view import measure_balance, show_place, show_word
from dsvl2_app.ui.uploads import save_upload
from tests.waiting import PATIENCE, run_loop, wait_until

SERIOUS = ("serious", "critical")
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
    shown = show_pieces(SEEN, chosen=1)
    assert "&lt;b&gt;" in shown and "<b>" not in shown
    assert re.findall(r'tabindex="(-?\d)"[^>]* aria-pressed="(\w+)"', shown) == [
        ("-1", "false"),
        ("0", "true"),
        ("-1", "false"),
    ]
    assert shown.count('--doubt:0.50" title="&lt;b&gt; 50%  ␣ 20%  done 10%  ten 10%  &lt;i&gt; 10%"') == 3


def test_shares_name_all_that_attention_went_to():
    shown = read(show_shares(SEEN, 0, None, image=1))
    assert "25% Picture 1 25% Picture 2 10% Begin token 30% Text of the prompt 10% Answer so far" in shown
    placed = sum(place.box is not None for place in LAYOUTS[1].tokens()) / TOKENS / 2
    assert f"{placed:.0%} went to places in the picture," in shown


def test_experts_are_a_row_for_each_layer():
    shown = show_experts(SEEN)
    assert read(shown).endswith("Tokens of pictures Layer 1 2 2 75 25 Tokens of text Layer 1 2 2 50 50")
    assert "--level:1.00" in shown and "--level:0.33" in shown


def test_twins_are_named():
    shown = read(show_twins(SEEN))
    assert "2 of 4 tiles were encoded" in shown
    assert "Picture 1: Global view = Picture 1: Tile 1 = Picture 2: Tile 1" in shown
    assert "All 4 tiles differ" in show_twins(replace(SEEN, twins=(0, 1, 2, 3)))


def test_the_cost_is_said_before():
    timings = Timings(prompt_tokens=900, vision=0.5, prefill=1.0, reused_tokens=890, prompt_pace=0.001)
    assert estimate_seconds(timings, 1000, None) == pytest.approx(0.5 + 1.0)
    assert estimate_seconds(timings, 1000, 0.002) == 2  # as the last time
    assert estimate_seconds(replace(timings, prompt_pace=0.0), 1000, None) is None
    assert offer_look(1000, 2_500_000, 1.23).endswith("1,000 tokens, about 1.2 s and 2.5 MB")
    assert offer_look(1000, 2_500_000, None).endswith("1,000 tokens, about 2.5 MB")


def test_corners_are_packed_by_their_chances():
    chances = np.zeros((4, 1000), np.float32)
    chances[0, [10, 11]], chances[1, 20], chances[2, 30], chances[3, 999] = (0.64, 0.16), 1, 1, 1
    box = ("<|det|>", "[[", "10", ", ", "20", ", ", "30", ", ", "999", "]]", "<|/det|>")
    seen = replace(SEEN, corners=chances, corner_tokens=(2, 4, 6, 8), tokens=box)
    assert read_boxes(seen) == [[10, 20, 30, 999]]
    packed = pack_corners(seen)
    assert (packed[0, 10], packed[0, 11], packed[0].sum()) == (255, 128, 383)
    assert packed.nonzero()[1].tolist() == [10, 11, 20, 30, 999]
    assert pack_corners(SEEN).shape == (0, 1000)


def test_the_cost_is_in_seconds_and_bytes():
    assert "took 1.50 s and 2.5 MB: one more pass over 846 tokens" in show_cost(SEEN)


def full() -> Inspection:
    """The most tokens that a picture has, through the layers of small: experts at random, whose weights are those of a
    softmax, and words as often as in a language."""
    layout = lay_out(384, 3456)
    random = np.random.default_rng(1)
    tokens = layout.num_tokens
    shares = np.exp(1.5 * random.standard_normal((26, tokens + 3, 64), np.float32))
    shares /= shares.sum(-1, keepdims=True)
    experts = (-shares).argsort(-1)[..., :6]
    return replace(
        SEEN,
        prompt=("<begin>", *[""] * tokens),
        starts=(1,),
        layouts=(layout,),
        twins=tuple(range(10)),
        attention=random.random((27, 1, 3, 1 + tokens)).astype(np.float16),
        expert_layers=tuple(range(1, 27)),
        experts=experts.astype(np.uint8),
        expert_weights=np.take_along_axis(shares, experts, -1).astype(np.float16),
        expert_count=64,
        lens_layers=tuple(range(27)),
        lens=random.zipf(1.3, (27, tokens, 5)).clip(0, 3000).astype(np.int32),
        words=SEEN.words | {word: f"word{word}" for word in range(3001) if word not in SEEN.words},
    )


def test_the_array_of_all_layers_is_small():
    """Of experts chosen at random, which nothing can compress: 2,101 tokens, 26 layers, 6 of 64 experts; and a word for
    each token after each of 27 layers. The first is what the slider needs to colour places by their experts."""
    seen = full()
    assert len(seen.prompt) == 2102
    assert len(gzip.compress(pack_experts(seen).tobytes(), 6)) < 250_000
    file = pack(seen)
    assert len(file) < 400_000
    data = gzip.decompress(file)
    length = int.from_bytes(data[:4], "little")
    header = json.loads(data[4 : 4 + length])
    assert list(header["arrays"]) == ["taken", "weights", "nearest", "boxes", "chances"]
    taken = np.frombuffer(data, np.uint8, seen.experts.size, 4 + length).reshape(header["arrays"]["taken"][1])
    assert (taken.swapaxes(1, 2) == seen.experts).all()


def test_the_attention_of_a_word_is_that_of_each_layer_and_their_mean():
    told = pack_attention(SEEN, 1, None)
    levels = np.frombuffer(base64.b64decode(told["levels"]), np.uint8).reshape(3, -1)
    weights = np.concatenate((SEEN.attention[:, 0, 1], SEEN.attention[:, 0, 1].mean(0)[None])).astype(np.float32)
    weights[:, 0] = 0
    assert levels == pytest.approx(255 * np.sqrt(weights / weights.max(1, keepdims=True)), abs=1)


def test_a_place_says_its_experts_and_its_nearest_words():
    shown = read(show_place(SEEN, 2))
    assert "Token 2: Picture 1: Global view, row 0, column 0" in shown
    assert "2 1 &lt;b&gt;" in shown  # layer 2: expert 1, the lens


def test_balance_is_the_entropy_of_choices():
    assert measure_balance(np.array([5, 5, 5, 5])) == pytest.approx(1)
    assert measure_balance(np.array([9, 0, 0])) == 0
    assert measure_balance(np.array([1, 1, 0, 0])) == pytest.approx(0.5)


def test_what_might_have_been_said_stands_with_its_chance():
    shown = show_word(SEEN, 0)
    assert read(shown) == "What it might have said here &lt;b&gt; 50% ␣ 20% done 10% ten 10% &lt;i&gt; 10%"


def test_a_word_that_was_said_against_all_odds_stands_last_with_its_chance():
    chances = np.tile(np.log(np.float32([2e-7, 0.9, 0.05, 0.0003, 0.0002, 0.0001])), (3, 1))
    seen = replace(
        SEEN,
        alternatives=np.array([[12, 7, 8, 9, 10, 11], *SEEN.alternatives[1:]], np.int32),
        answer_ids=(12, 8, 9),
        logprobs=chances,
        words={**SEEN.words, 9: " done", 10: "done", 12: "odd\n"},
    )
    shown = show_word(seen, 0, can_fork=True)
    assert read(shown).endswith("&lt;b&gt; 90% ␣ 5.0% ␣done 0.03% done 0.02% &lt;i&gt; 0.01% odd↵ under 0.01%")
    assert re.findall(r'<li class="([^"]+)"><code>([^<]+)', shown) == [("said beyond", "odd↵")]
    assert shown.count("data-other") == 5
    assert "beyond" not in show_word(seen, 1)  # the third likeliest was said


def test_words_to_go_on_from_are_buttons_but_the_one_that_was_said():
    shown = show_word(SEEN, 0, can_fork=True)
    assert re.findall(r'data-other="(\d)"><code>([^<]+)', shown) == [
        ("1", "␣"),
        ("2", "done"),
        ("3", "ten"),
        ("4", "&lt;i&gt;"),
    ]
    assert "data-other" not in show_word(SEEN, 0)


def test_a_branch_stands_beside_what_was_said_and_differences_are_marked():
    words = [Word("<i>", 0.1), Word(" ", 0.75, "a 75%  b 20%"), Word("ten")]
    last = Event("done", finish="eos", timings=Timings(new_tokens=2))
    shown = show_branch(SEEN, 0, words, last)
    assert '<p><span class="shared"></span><mark>&lt;b&gt;</mark> <mark>done</mark></p>' in shown
    assert '<span class="word" style="--doubt:0.90" title=""><mark>&lt;i&gt;</mark></span>' in shown
    assert '<span class="word" style="--doubt:0.25" title="a 75%  b 20%"> </span>' in shown
    assert "2 tokens" in shown
    assert '<span class="shared">&lt;b&gt; </span><mark>done</mark>' in show_branch(SEEN, 2, words, last)
    assert "&lt;i&gt; ten" in show_branch(SEEN, 0, words) and "<mark>" not in show_branch(SEEN, 0, words)


def test_two_stand_side_by_side():
    def box(numbers: str) -> tuple[str, ...]:
        return ("<|ref|>", "a <b>", "<|/ref|>", "<|det|>", f"[[{numbers}]]", "<|/det|>")

    boxed = replace(SEEN, tokens=box("0, 0, 100, 100"), logprobs=np.log(np.full((6, 6), 0.25, np.float32)))
    other = replace(boxed, tokens=box("50, 0, 150, 100"), model="other", seconds=2.0)
    shown = show_sides(boxed, other)
    assert shown.count("<li>a &lt;b&gt; ") == 2 and shown.count("IoU 0.33") == 2  # 50 of 150 columns
    assert "<mark>[[50, 0, 150, 100]]</mark>" in shown
    marked = re.findall(r'<tr class=differs><th scope="row">([^<]+)', shown)
    assert marked == ["Model", "Answer", "Boxes", "Time to look inside"]
    assert shown.count("<td>25%</td>") == 2
    assert "differs" not in show_sides(SEEN, SEEN) and "IoU" not in show_sides(SEEN, SEEN)


def test_the_question_is_read_from_the_prompt():
    prompt = ("<begin>", "<|User|>: ", *[""] * TOKENS, "\nWhat", " is <b>?\n\n", "<|Assistant|>:")
    starts = (2, 2 + LAYOUTS[0].num_tokens)
    assert read_question(replace(SEEN, prompt=prompt, starts=starts)) == "▦▦\nWhat is <b>?"
    assert read_question(SEEN) == "<begin>Well?▦▦"
    assert measure_certainty(SEEN) == pytest.approx(0.5)


def ask(page: Page, *pictures: Path) -> None:
    page.get_by_role("tab", name="Tiles").click()
    if pictures:
        page.set_input_files("#tiles-pictures input[type=file]", list(pictures))
        expect(page.locator("#tiles-summary .figures")).to_be_visible()
    page.locator("#inside button").first.click()
    page.locator("#inside-question textarea").fill("What <is> there?")
    page.locator("#inside-ask").click()


@pytest.mark.slow
def test_an_answer_is_looked_into(nano, pictures, open_page, tmp_path, monkeypatch):
    monkeypatch.setattr("dsvl2_app.ui.tabs.tiles.inside.MOST_TOKENS", 24)
    page = open_page(nano)
    ask(page, pictures["wide"], pictures["tall"])
    expect(page.locator("#tiles-summary")).to_contain_text("all 2 pictures")
    expect(page.locator("#inside-open")).to_contain_text(re.compile(r"about [\d.]+ s and [\d.,]+ MB"), timeout=60_000)
    expect(page.locator("#inside-seen")).to_be_hidden()  # nothing is collected yet
    page.locator("#inside-open").click()
    view = page.locator("#inside-view .within")
    expect(view.locator("output")).to_have_text("All layers, averaged", timeout=60_000)
    expect(page.get_by_role("button", name="Inside view")).to_be_in_viewport()
    expect(view.locator(".stage")).to_be_in_viewport()
    pieces = page.locator("#inside-answer .piece")
    expect(pieces.first).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#inside-shares")).to_contain_text("Answer so far")
    expect(page.locator("#inside-others li")).to_have_count(5)
    expect(page.locator("#inside-cost")).to_contain_text(re.compile(r"took \d+\.\d\d s and [\d.,]+ MB"))
    fork(page)
    seen = [look(page)]

    def expect_drawn() -> None:
        """What is drawn has changed, and is like nothing before."""
        for _ in range(100):
            if look(page) not in seen:
                break
            page.wait_for_timeout(50)
        assert look(page) not in seen
        seen.append(look(page))

    pieces.first.press("ArrowRight")
    expect(pieces.nth(1)).to_have_attribute("aria-pressed", "true")
    expect_drawn()
    view.locator(".layer input").focus()
    page.keyboard.press("ArrowLeft")
    expect(view.locator("output")).to_have_text("Layer 5 of 6")
    expect_drawn()
    view.locator(".head select").select_option("2")
    expect_drawn()
    view.locator("[data-mode=experts]").click()
    expect_drawn()
    view.locator("canvas.local").focus()
    page.keyboard.press("ArrowRight")  # the first place
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#inside-place")).to_contain_text("Tile 1, row 1, column 1")
    expect(page.locator("#inside-place tbody tr")).to_have_count(6)
    expect_drawn()
    view.locator("canvas.global").click(position={"x": 9, "y": 30})
    expect(page.locator("#inside-place")).to_contain_text("Picture 1: Global view")
    expect(view.locator("output")).to_have_text("Layer 5 of 6")
    expect_drawn()
    page.locator("#inside-kinds button").first.click()
    page.locator("#inside-experts .kinds [data-expert]").first.click()
    expect(view.locator("output")).to_have_text("Layer 2 of 6")
    expect_drawn()
    with page.expect_download() as saved:
        view.locator("[data-save=png]").click()
    assert base64.b64encode(saved.value.path().read_bytes()).decode() == look(page).partition(",")[2]
    view.locator("[data-mode=words]").click()
    expect(view.locator("output")).to_have_text("Words after layer 2")
    expect_drawn()
    view.locator(".picture select").select_option(label="2")
    expect_drawn()
    view.locator(".sheet").first.evaluate("sheet => sheet.scrollTo(99, 99)")  # the canvas shows what is in sight
    expect_drawn()
    assert page.evaluate("document.querySelector('.within canvas.local').clientHeight") <= 0.75 * 800
    with page.expect_download() as saved:
        view.locator("[data-save=svg]").click()
    drawn = ElementTree.fromstring(saved.value.path().read_bytes())
    assert len(drawn.findall("{*}image")) == 1 and len(drawn.findall("{*}text")) > 9
    with page.expect_download() as saved:
        page.locator("#inside-npz").click()
    found, shown = read_file(saved.value.path())
    assert len(shown) == 2 and len(found.tokens) == pieces.count()
    reopen(page, saved.value.path(), tmp_path / "seen.npz")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    wrong = [each for each in Axe().run(page, "#inside").response["violations"] if each["impact"] in SERIOUS]
    assert not wrong, wrong


def fork(page: Page) -> None:
    """Go on from another word, and look into that answer: both stand side by side."""
    pieces = page.locator("#inside-answer .piece")
    before = pieces.all_inner_texts()
    pieces.nth(2).click()
    expect(pieces.nth(2)).to_have_attribute("aria-pressed", "true")
    other = page.locator("#inside-others [data-other]").first
    expect(other).to_have_attribute("data-other", "11")  # of the third token the second likeliest
    word = other.inner_text().replace("␣", " ")  # which the list makes visible
    other.click()
    branch = page.locator("#inside-branch")
    expect(page.locator("#inside-take")).to_be_visible()
    expect(branch.locator(".word").first).to_have_text(word)
    expect(branch).to_contain_text("What it says from there")
    words = len(branch.locator(".word").all())
    page.locator("#inside-take").click()
    expect(page.locator("#inside-sides")).to_contain_text("Mean probability of a token")
    expect(branch).to_be_hidden()
    expect(pieces).to_have_count(2 + words)
    after = pieces.all_inner_texts()
    assert after[:2] == before[:2] and after[2] == word != before[2]


def reopen(page: Page, saved: Path, copy: Path) -> None:
    """A saved file shows the same view, with its picture, beside what was kept; from there no answer goes on."""
    copy.write_bytes(saved.read_bytes())  # downloads have no suffix
    page.locator("#inside-compare").click()
    expect(page.locator("#inside-status")).to_contain_text("Kept.")
    pieces = page.locator("#inside-answer .piece").all_inner_texts()
    page.set_input_files("#inside-opening input[type=file]", copy)
    expect(page.locator("#inside-sides tbody tr").first).to_be_visible()
    expect(page.locator("#inside-sides .differs")).to_have_count(0)
    assert page.locator("#inside-answer .piece").all_inner_texts() == pieces
    expect(page.locator("#inside-others li")).to_have_count(5)
    expect(page.locator("#inside-others [data-other]")).to_have_count(0)
    assert len(json.loads(page.locator(".within").get_attribute("data-pictures") or "")) == 2


def look(page: Page) -> str:
    """What is drawn over the tiles, as an address of data."""
    return str(page.evaluate("document.querySelector('.within canvas.local').toDataURL()"))


SLIDE = """(mode) => {
  document.querySelector(`.within [data-mode=${mode}]`).click();
  const slider = document.querySelector(".within .layer input");
  const canvas = document.querySelector(".within canvas.local");
  return Array.from({length: 26}, (_, number) => {
    slider.value = number + 2;
    const start = performance.now();
    slider.dispatchEvent(new Event("input", {bubbles: true}));
    canvas.getContext("2d").getImageData(0, 0, 1, 1); // waits until all of it is drawn
    return performance.now() - start;
  });
}"""


@pytest.mark.slow
def test_the_layer_slider_moves_within_50_ms(scripted, open_page, tmp_path, monkeypatch):
    """2,101 tokens of a picture, 27 layers, 6 of 64 experts, a word for each token: drawn from one small file."""
    seen = full()
    monkeypatch.setattr(scripted.script, "inspect", lambda *_: finish(seen))
    Image.effect_noise((384, 3456), 80).convert("RGB").save(tmp_path / "tall.png")
    page = open_page(scripted)
    ask(page, tmp_path / "tall.png")
    page.locator("#inside-open").click()
    expect(page.locator("#inside-others li")).to_have_count(5)
    expect(page.locator("#inside-view output")).to_have_text("All layers, averaged")
    for mode in ("experts", "attention", "words"):
        times = page.evaluate(SLIDE, mode)
        assert np.median(times) < 50, (mode, times)
    assert page.locator("#inside-view output").inner_text() == "Words after layer 27"


def finish(seen: Inspection) -> Stream:
    stream = Stream()
    stream.put(Event("done", finish="eos", inspection=seen))
    stream.end()
    return stream


@pytest.mark.slow
def test_the_word_and_the_head_that_were_chosen_last_are_shown(nano, pictures, open_page, held, monkeypatch):
    monkeypatch.setattr(inside, "MOST_TOKENS", 8)
    page = open_page(nano)
    ask(page, pictures["wide"])
    page.locator("#inside-open").click(timeout=PATIENCE * 1000)
    expect(page.locator("#inside-others li")).to_have_count(5)
    pieces = page.locator("#inside-answer .piece")
    calls, go = held(inside, "read_index")
    for number in range(3):
        pieces.nth(number).press("ArrowRight")
        wait_until(lambda: calls)
    go.set()
    wait_until(lambda: len(calls) == 2)
    assert calls == [1, 3]
    calls, go = held(inside, "read_index")
    for number in "123":
        page.locator(".within .head select").select_option(number)
        wait_until(lambda: calls)
    go.set()
    wait_until(lambda: len(calls) == 2)
    assert calls[1] == calls[0] + 2


@pytest.mark.slow
def test_a_tour_by_keyboard_alone_and_in_chinese(trained, open_page):
    """Of nano as it is shipped, whose boxes have soft edges."""
    page = open_page(trained, locale="zh-CN")
    page.locator("[data-tab-id=tiles]:visible").click()
    page.locator("#inside button").first.press("Enter")
    page.locator("#inside-guide").press("Enter")
    tour = page.locator("#inside-tour .tour")
    expect(tour.locator("output")).to_have_text("1 / 5", timeout=60_000)
    expect(tour).to_be_focused()
    for number, (mode, words) in enumerate(
        [("attention", "切片"), ("attention", "词元"), ("attention", "越亮"), ("experts", "路由器"), ("boxes", "把握")]
    ):
        expect(tour.locator("output")).to_have_text(f"{number + 1} / 5")
        expect(tour.locator("li:visible")).to_contain_text(words)
        expect(page.locator(f".within [data-mode={mode}]")).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".pointed")).to_have_count(1)
        page.keyboard.press("ArrowRight")
    expect(page.locator(".within output")).to_have_text("回答中框的边")
    drawn = look(page)
    page.keyboard.press("Escape")
    expect(tour).to_be_hidden()
    expect(page.locator("#inside-question textarea")).to_be_focused()
    page.locator(".within [data-mode=experts]").press("Enter")
    expect(page.locator(".within .legend button").first).to_contain_text("%")
    wait_until(lambda: look(page) != drawn)
    page.locator(".within .legend button").first.press("Enter")
    expert = page.locator(".within .expert select").input_value()
    expect(page.locator(".within .legend .bar")).to_be_visible()
    assert int(expert) >= 0


@pytest.mark.slow
def test_stop_keeps_what_was_written(scripted, pictures, open_page):
    scripted.script.endless = True
    page = open_page(scripted)
    ask(page, pictures["tall"])
    expect(page.locator("#inside-answer .written")).to_contain_text("Hello.Hello.")
    page.locator("#inside-stop").click()
    assert scripted.script.closed.wait(PATIENCE)
    expect(page.locator("#inside-status")).to_contain_text("stopped")
    expect(page.locator("#inside-answer .written")).to_contain_text("Hello.Hello.")
    expect(page.locator("#inside-open")).to_be_visible()
    expect(page.locator("#inside-ask")).to_be_visible()


@pytest.mark.slow
def test_a_question_without_a_picture_is_refused_in_place(scripted, open_page):
    page = open_page(scripted, at="?tab=tiles#inside")  # a link opens the view
    page.locator("#inside-ask").click()
    expect(page.locator("#inside-notice")).to_contain_text("There is no picture to ask about")
    assert scripted.script.requests == []


@pytest.mark.slow
def test_what_was_seen_goes_with_its_pictures(nano, pictures, open_page):
    page = open_page(nano)
    ask(page, pictures["tall"])
    page.locator("#inside-open").click(timeout=60_000)
    expect(page.locator("#inside-view canvas.local")).to_be_visible(timeout=60_000)
    page.get_by_role("tab", name="Chat").click()
    page.get_by_role("tab", name="Tiles").click()
    expect(page.locator("#inside-view canvas.local")).to_be_visible()
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
    assert scripted.script.closed.wait(PATIENCE)
    expect(page.locator("#inside-ask")).to_be_visible()
    for part in ("#inside-open", "#inside-answer", "#inside-status"):
        expect(page.locator(part)).to_be_hidden()


def test_a_file_is_opened_or_refused_in_place():
    page = SimpleNamespace(notice="notice", open="open")
    files = Files(cast(Any, page), Limits(), Kept(2**20), lambda look, seen: {"shown": seen.tokens})
    look = Look(kept=SEEN)
    shown = files.open(as_upload(save_upload(pack_file(SEEN), "seen.npz")), look)
    assert (shown["notice"], shown["shown"]) == ("", SEEN.tokens)
    assert look.request is None and look.seen is not None and look.kept is SEEN
    refused = files.open(as_upload(save_upload(b"PK and then nothing", "bad.npz")), look)
    assert list(refused) == ["notice"] and "bad.npz is no inspection of this app" in refused["notice"]
    assert look.seen.tokens == SEEN.tokens  # which is still there


def build_inside(backend: ScriptedBackend) -> Inside:
    async def build() -> Inside:
        with gr.Blocks():
            inside = Inside(backend, Limits())
            inside.build(gr.Gallery(), gr.Slider(), gr.Slider())
        return inside

    return run_loop(build())  # outside of a loop, Gradio makes one that it never closes


def test_a_model_that_cannot_be_looked_into_says_so_and_offers_nothing():
    can, cannot = build_inside(ScriptedBackend()), build_inside(ScriptedBackend(capabilities=Capabilities()))
    assert "Ask something about the pictures above." in can.page.how.value  # nothing was looked into yet
    assert (
        read(cannot.page.how.value)
        == "The model behind this page cannot be looked into: it runs on a server elsewhere."
    )
    assert [inside.page.guide.visible for inside in (can, cannot)] == [True, False]
    timings, look = Timings(prompt_tokens=900, prefill=1.0), Look(answer=[5])
    assert [inside.offer(look, timings).visible for inside in (can, cannot)] == [True, False]


def test_a_file_that_is_opened_while_an_answer_runs_stays_when_that_ends():
    script = ScriptedBackend(endless=True)
    inside, look, file = build_inside(script), Look(), save_upload(pack_file(SEEN), "seen.npz")
    files = Files(inside.page, Limits(), inside.kept, inside.show)

    async def ask_and_open() -> list[dict[Any, Any]]:
        updates = []
        async for update in inside.ask(look, [str(PICTURE)], "Well?", 1, 9, Caller("", "")):
            updates.append(update)
            if len(updates) == 2:
                updates.append(files.open(as_upload(file), look))
        return updates

    *_, opened, last = run_loop(ask_and_open())
    assert opened[inside.page.result].visible and look.seen is not None
    assert set(last) == {inside.page.open, inside.page.ask, inside.page.halt, inside.running}
    assert (last[inside.page.open].visible, last[inside.page.ask].visible) == (False, True)
    assert script.closed.wait(PATIENCE)


def test_a_file_that_is_opened_while_an_answer_is_looked_into_stays():
    script = ScriptedBackend()
    inside, file = build_inside(script), save_upload(pack_file(SEEN), "seen.npz")
    look = Look(request=Request([{"role": "user", "content": "Well?"}]), answer=[5])
    files = Files(inside.page, Limits(), inside.kept, inside.show)

    async def look_and_open() -> list[dict[Any, Any]]:
        updates = []
        async for update in inside.look_inside(look):
            updates.append(update)
            if len(updates) == 1:
                files.open(as_upload(file), look)
        return updates

    assert [list(update) for update in run_loop(look_and_open())] == [[inside.page.open]] * 2
    assert look.seen is not None and look.seen.tokens == SEEN.tokens


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
