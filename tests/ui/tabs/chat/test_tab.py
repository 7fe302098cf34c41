"""The Chat tab in a browser: questions and answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from dsvl2_app.errors import PromptError
from dsvl2_app.ui.tabs.chat import revising
from dsvl2_app.ui.tabs.chat.choices import MEMORY
from tests.ui.steps import ask, attach, bot, leave, measure, open_settings, rest, user
from tests.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.slow

HOSTILE = "<b>x</b> <image> a < b &lt; <script>document.title = 'owned'</script> <img src=x onerror=alert(1)>"
ANSWER = "# Title\n\n**bold** `<i>`\n\n```html\n<u>code</u> `x`\n```\n\n"
BOXES = "See <|ref|>the <b>dog</b><|/ref|><|det|>[[100, 200, 500, 700]]<|/det|>."


def test_a_conversation_with_nano(nano, pictures, open_page):
    page = open_page(nano)
    expect(page.locator("#header")).to_contain_text("nano from random weights")
    expect(page.locator("#header .banner")).to_contain_text("random")
    attach(page, pictures["wide"], pictures["turned"])
    open_settings(page)
    limit = page.get_by_label("number input for New tokens at most")
    for _ in range(20):  # what the browser remembers may come after, and set it back
        limit.fill("5")
        limit.press("Tab")
        page.wait_for_timeout(300)
        if limit.input_value() == "5":
            break
    expect(limit).to_have_value("5")
    ask(page, "Compare <image> with <image>")
    expect(page.locator("#conversation .user-row img")).to_have_count(2)
    expect(user(page)).to_contain_text("Compare <image> with <image>")
    expect(bot(page).locator("summary")).to_contain_text("5 tokens", timeout=60_000)
    expect(page.locator("#message textarea")).to_have_value("")
    ask(page, "And now?")
    expect(page.locator("#conversation .bot-row")).to_have_count(2)
    expect(bot(page).locator("summary")).to_contain_text("5 tokens", timeout=60_000)


def test_the_answer_grows_and_stop_keeps_it(scripted, open_page):
    scripted.script.endless = True
    scripted.script.say = "word after word "
    page = open_page(scripted)
    ask(page, "Go on")
    expect(bot(page)).to_contain_text("word after word ")
    early = bot(page).inner_text()
    expect(bot(page)).to_contain_text("word after word " * 20)
    page.get_by_role("button", name="Stop").click()
    expect(bot(page).locator("summary")).to_contain_text("stopped")
    assert scripted.script.closed.wait(PATIENCE)
    assert len(bot(page).inner_text()) > len(early)

    scripted.script.endless = False
    scripted.script.say = "Done."
    ask(page, "And then?")
    expect(bot(page)).to_contain_text("Done.")
    first, _, second = scripted.script.requests[-1].messages[1:], None, scripted.script.requests[-1].messages
    assert "word after word" in first[0]["content"]
    assert [message["role"] for message in second] == ["user", "assistant", "user"]


def test_both_sides_text_is_shown_and_never_run(scripted, open_page):
    scripted.script.say = ANSWER + HOSTILE + " ![p](http://127.0.0.1:9/p.png)"
    page = open_page(scripted)
    question = f"  {HOSTILE}\n  *second* line\n\n1. third & `code` $$x$$"
    page.locator("#message textarea").fill(question)
    page.get_by_role("button", name="Submit").click()
    expect(bot(page).locator("summary")).to_be_visible()
    assert user(page).locator("p").inner_text() == question
    prose = bot(page).locator(".prose")
    expect(prose).to_contain_text(HOSTILE + " ![p](")
    expect(prose.locator("h1")).to_have_text("Title")
    expect(prose.locator("strong")).to_have_text("bold")
    expect(prose.locator("p code")).to_have_text("<i>")
    expect(prose.locator("pre")).to_contain_text("<u>code</u> `x`")
    expect(prose.locator("p b, script, u, i")).to_have_count(0)
    expect(page.locator("#conversation :is(.user-row, .bot-row) img")).to_have_count(0)
    assert page.title() == "DeepSeek-VL2"


def test_copying_an_answer_gives_the_text(scripted, open_page):
    scripted.script.say = "a < b & `<i>`"
    page = open_page(scripted)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, "Hi")
    expect(bot(page).locator("summary")).to_be_visible()
    page.locator("#conversation .message-buttons-left").get_by_role("button", name="Copy").click()
    wait_until(lambda: page.evaluate("navigator.clipboard.readText()") == "a < b & `<i>`")


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_no_button_covers_a_message(scripted, open_page, width):
    scripted.script.say = "word\n\n" * 4
    page = open_page(scripted, width=width, height=700)
    for number in range(1, 4):
        ask(page, "x" * 300)
        expect(page.locator("#conversation summary")).to_have_count(number)
    expect(page.locator("#conversation").get_by_role("button", name="Clear")).to_be_visible()
    covered = """() => {
        const found = [], area = document.querySelector("#conversation .bubble-wrap");
        for (let top = area.scrollHeight; top >= 0; top -= 8) {
            area.scrollTop = top;
            const corner = area.getBoundingClientRect();
            for (let x = corner.right - 100; x < corner.right; x += 8)
                for (let y = corner.top + 1; y < corner.top + 40; y += 8) {
                    const hit = document.elementFromPoint(x, y);
                    if (!area.contains(hit)) found.push([top, hit.outerHTML.slice(0, 80)]);
                }
        }
        return found;
    }"""
    assert page.evaluate(covered) == []


def test_an_empty_answer_is_an_answer(scripted, open_page):
    scripted.script.say = ""
    page = open_page(scripted)
    ask(page, "Hi")
    expect(bot(page)).to_contain_text("The model had nothing to say.")
    expect(bot(page).locator("summary")).to_contain_text("0 tokens")


def test_timings_unfold(scripted, open_page):
    page = open_page(scripted)
    ask(page, "Hi")
    bot(page).locator("summary").click()
    expect(bot(page).locator("details")).to_contain_text("900 tokens")
    expect(bot(page).locator("details")).to_contain_text("2 tiles, 1 more alike")


def test_on_a_phone_no_number_is_torn_apart_and_no_dot_is_left_over(scripted, open_page):
    scripted.script.say = "word " * 20
    page = open_page(scripted, width=390)
    ask(page, "Hi")
    bot(page).locator("summary").click()
    expect(bot(page).locator("td").first).to_be_visible()
    figures = bot(page).locator("td:is(:nth-child(3), :nth-child(4))")
    heights = figures.evaluate_all("""all => all.map(each => {
        const text = document.createRange();
        text.selectNodeContents(each);
        return text.getBoundingClientRect().height;
    })""")
    assert 0 < max(heights) < 24
    expect(page.locator("footer")).to_have_text(re.compile(r"^\s*Settings\s*$"), use_inner_text=True)


def test_retry_and_clear(scripted, open_page):
    page = open_page(scripted)
    ask(page, "First")
    expect(bot(page).locator("summary")).to_be_visible()
    scripted.script.say = "Another."
    page.get_by_role("button", name="Retry").click()
    expect(bot(page)).to_contain_text("Another.")
    assert len(scripted.script.requests[-1].messages) == 1
    page.locator("#conversation").get_by_role("button", name="Clear").click()
    expect(page.locator("#conversation .welcome")).to_be_visible()
    ask(page, "Second")
    expect(bot(page)).to_contain_text("Another.")
    assert len(scripted.script.requests[-1].messages) == 1


def test_clear_stops_the_answer(scripted, open_page):
    scripted.script.endless = True
    page = open_page(scripted)
    ask(page, "Go on")
    expect(bot(page)).to_contain_text("Hello.Hello.")
    page.locator("#conversation").get_by_role("button", name="Clear").click()
    assert scripted.script.closed.wait(PATIENCE)
    expect(page.locator("#conversation .welcome")).to_be_visible()
    expect(page.get_by_role("button", name="Submit")).to_be_visible()


@pytest.mark.slow
def test_a_double_click_on_send_stops_nothing(scripted, open_page):
    scripted.script.endless, scripted.script.pause = True, 0.1
    page = open_page(scripted)
    page.locator("#message textarea").fill("Go on")
    send, stop = page.locator("#message .submit-button"), page.locator("#message .stop-button")
    (place,) = measure(send)
    page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    expect(stop).to_be_visible()
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)
    assert measure(stop)[0]["y"] == pytest.approx(place["y"], abs=1)
    expect(bot(page)).to_contain_text("Hello." * 10)
    expect(stop).to_be_visible()
    stop.click()
    expect(bot(page).locator("summary")).to_contain_text("stopped")


def test_a_question_may_interrupt_an_answer(scripted, open_page):
    scripted.script.endless, scripted.script.pause = True, 1.0  # slow to stop, so that two answers run for a moment
    page = open_page(scripted)
    ask(page, "First")
    expect(bot(page)).to_contain_text("Hello.")
    scripted.script.endless, scripted.script.say = False, "Another."
    page.locator("#message textarea").fill("Second")
    page.locator("#message textarea").press("Enter")
    expect(bot(page)).to_contain_text("Another.")
    expect(page.locator("#message .submit-button")).to_be_visible()
    costs = page.locator("#conversation summary")
    expect(costs).to_have_text([re.compile(r"stopped\s*$"), re.compile(r"^(?!.*stopped)")])


def test_closing_the_tab_stops_the_answer(scripted, open_page):
    scripted.script.endless = True
    page = open_page(scripted)
    ask(page, "Go on")
    expect(bot(page)).to_contain_text("Hello.Hello.")
    page.close()
    assert scripted.script.closed.wait(PATIENCE)


def test_a_refused_question_stays_where_it_was_typed(scripted, pictures, open_page):
    page = open_page(scripted)
    notice = page.get_by_role("alert")
    attach(page, pictures["broken"])
    ask(page, "What is this?")
    expect(notice).to_contain_text("'broken.png' is damaged or incomplete")
    expect(page.locator("#message textarea")).to_have_value("What is this?")
    page.get_by_role("button", name="Remove file").click()

    scripted.script.say = PromptError("The conversation is too <long>; write less.")
    ask(page, "What is that?")
    expect(notice).to_have_text("The conversation is too <long>; write less.")
    expect(page.locator("#message textarea")).to_have_value("What is that?")
    expect(page.locator("#conversation .welcome")).to_be_visible()

    scripted.script.say = "All is well."
    ask(page, "And now?")
    expect(bot(page)).to_contain_text("All is well.")
    expect(notice).to_have_count(0)


def test_two_visitors_do_not_share_a_conversation(scripted, open_page):
    one, other = open_page(scripted), open_page(scripted)
    ask(one, "First")
    expect(bot(one).locator("summary")).to_be_visible()
    ask(other, "Second")
    expect(bot(other).locator("summary")).to_be_visible()
    first, second = scripted.script.requests
    assert len(second.messages) == 1
    assert first.owner != second.owner


def test_boxes_are_chips_and_drawn_on_a_picture_of_choice(scripted, pictures, open_page):
    scripted.script.say = BOXES
    page = open_page(scripted)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    attach(page, pictures["wide"], pictures["tall"])
    ask(page, "Where is the dog?")
    answer = page.locator("#conversation .bot-row").first
    expect(answer.locator(".chip")).to_have_text(["the <b>dog</b>", "100, 200, 500, 700"])
    drawing = answer.locator("img")
    expect(drawing).to_have_attribute("alt", "Boxes on picture 2")
    expect(answer.locator(".placing")).to_contain_text("The model does not say which one")
    answer.get_by_label("2").press("ArrowLeft")  # by keyboard
    expect(drawing).to_have_attribute("alt", "Boxes on picture 1")
    expect(answer.get_by_label("1")).to_be_focused()
    page.locator("#conversation .message-buttons-left").get_by_role("button", name="Copy").click()
    wait_until(lambda: page.evaluate("navigator.clipboard.readText()") == BOXES)
    open_settings(page)
    page.get_by_label("Raw").check()
    expect(answer).to_contain_text(BOXES)


def test_chips_and_boxes_point_at_each_other(scripted, pictures, open_page):
    two = "<|ref|>cats<|/ref|><|det|>[[500, 300, 700, 900], [10, 10, 90, 90]]<|/det|>"
    scripted.script.say = f"Image 1: {BOXES} Image 2: {two}"
    page = open_page(scripted)
    attach(page, pictures["wide"], pictures["tall"])
    ask(page, "What is there?")
    answer = bot(page)
    box, chip = answer.locator(".box"), answer.locator(".chip button")
    expect(answer.locator(".found img")).to_have_count(2)
    expect(chip).to_have_text(["the <b>dog</b>", "100, 200, 500, 700", "cats", "500, 300, 700, 900", "10, 10, 90, 90"])

    def expect_active(*indices: str) -> None:
        """Of boxes and of chips."""
        for part in (".box", ".chip button:not([data-index*=' '])"):
            active = answer.locator(f"{part}.active")
            expect(active).to_have_count(len(indices) + ("0" in indices and part != ".box"))
        for index in indices:
            expect(answer.locator(f".box[data-index='{index}']")).to_have_class(re.compile("active"))

    chip.nth(0).hover()
    expect_active("0")
    chip.nth(2).hover()
    expect_active("1", "2")
    chip.nth(4).hover()
    expect_active("2")
    expect(chip.nth(2)).to_have_class("active")
    answer.locator(".box[data-index='1']").hover()
    expect_active("1")
    page.locator("#message textarea").hover()
    expect_active()
    # by keyboard: one stop for chips, one for boxes, arrows between them, Enter to keep
    chip.nth(0).focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(chip.nth(3)).to_be_focused()
    expect_active("1")
    page.keyboard.press("Enter")
    page.locator("#message textarea").focus()
    expect_active("1")
    expect(box.locator("visible=true").and_(answer.locator("[aria-pressed=true]"))).to_have_count(1)
    answer.locator(".box[data-index='0']").focus()
    page.keyboard.press("ArrowDown")
    expect(answer.locator(".box[data-index='1']")).to_be_focused()
    # after another question it still does
    scripted.script.say = "Yes."
    ask(page, "Really?")
    expect(page.locator("#conversation summary")).to_have_count(2)
    first = page.locator("#conversation [data-testid=bot]").first
    first.locator(".chip button").first.hover()
    expect(first.locator(".box[data-index='0']")).to_have_class(re.compile("active"))


def test_the_picture_that_was_chosen_stays_after_more_questions_and_a_reload(scripted, pictures, open_page):
    scripted.script.say = BOXES
    page = open_page(scripted)
    attach(page, pictures["wide"], pictures["tall"])
    ask(page, "Where is the dog?")
    first = page.locator("#conversation .bot-row").first
    expect(first.locator("img")).to_have_attribute("alt", "Boxes on picture 2")
    attach(page, pictures["turned"])
    ask(page, "And here?")
    expect(page.locator("#conversation .placing")).to_have_count(2)
    first.get_by_label("1").check()  # of an earlier answer, too
    expect(first.locator("img")).to_have_attribute("alt", "Boxes on picture 1")
    expect(bot(page).locator("img")).to_have_attribute("alt", "Boxes on picture 3")
    scripted.script.say = "Brown."
    ask(page, "Which colour?")
    expect(bot(page).locator("summary")).to_be_visible()
    expect(first.locator("img")).to_have_attribute("alt", "Boxes on picture 1")
    leave(page, page.reload)
    expect(first.locator("img")).to_have_attribute("alt", "Boxes on picture 1")
    expect(page.locator("#conversation .bot-row").nth(1).locator("img")).to_have_attribute("alt", "Boxes on picture 3")


@pytest.mark.parametrize("width", [390, 1280])
def test_pictures_are_shown_whole(scripted, open_page, tmp_path, width):
    scripted.script.say = BOXES
    sizes = [(1000, 400), (4000, 60), (60, 4000), (400, 300)]
    for number, size in enumerate(sizes):
        Image.new("RGB", size, "steelblue").save(tmp_path / f"{number}.png")
    page = open_page(scripted, width=width)
    attach(page, *sorted(tmp_path.iterdir()))
    ask(page, "Where is the dog?")
    expect(page.locator("#conversation .found img")).to_be_visible()
    page.wait_for_function("[...document.querySelectorAll('#conversation .prose img')].every(each => each.complete)")
    around, canvas, picture = measure(
        *(page.locator(f"#conversation {part}") for part in (".bubble-wrap", ".canvas", ".canvas img"))
    )
    shown = page.locator("#conversation .prose img").evaluate_all("all => all.map(each => [each.width, each.height])")
    for (across, down), (own_width, own_height) in zip(shown, [*sizes, sizes[-1]], strict=True):
        scale = max(across, down) / max(own_width, own_height)
        assert (across, down) == pytest.approx((scale * own_width, scale * own_height), abs=1.5)
        assert across <= around["width"]
    assert shown[-1][0] > 200  # what was found is large enough to be seen
    assert picture == pytest.approx(canvas, abs=1)  # as boxes think


@contextmanager
def stored(page: Page) -> Iterator[None]:
    """What is done inside is in the browser's storage afterwards. It is encrypted, and with each change anew."""
    before = page.evaluate("key => localStorage.getItem(key)", MEMORY)
    yield
    page.wait_for_function("([key, before]) => localStorage.getItem(key) !== before", arg=[MEMORY, before])


def test_settings_are_remembered_and_presets_set_them(scripted, open_page):
    page = open_page(scripted)
    open_settings(page)
    with stored(page):
        page.get_by_label("Creative").check()
        expect(page.get_by_label("number input for Temperature")).to_have_value("0.8")
    with stored(page):
        page.get_by_label("System prompt").fill("Be brief.")
    with stored(page):
        page.get_by_label("Never").check()
    with stored(page):
        page.get_by_label("number input for Tiles at most").fill("4")
        page.keyboard.press("Tab")
    leave(page, page.reload)
    open_settings(page)
    expect(page.get_by_label("Creative")).to_be_checked()
    expect(page.get_by_label("System prompt")).to_have_value("Be brief.")
    ask(page, "Hi")
    expect(bot(page).locator("summary")).to_be_visible()
    request = scripted.script.requests[-1]
    assert request.messages[0] == {"role": "system", "content": "Be brief."}
    assert (request.tiling, request.max_tiles) == (False, 4)
    assert request.grammar
    assert request.owner
    assert request.sampling.temperature == 0.8
    expect(page.locator("#chat-settings")).to_have_class(re.compile("changed"))
    with stored(page):
        page.get_by_label("Precise").check()
        expect(page.get_by_label("number input for Tiles at most")).to_have_value("9")  # a preset sets it, too
    expect(page.get_by_label("Automatic", exact=True)).to_be_checked()
    expect(page.get_by_label("System prompt")).to_have_value("Be brief.")
    with stored(page):
        page.get_by_role("button", name="Reset all").click()
        expect(page.get_by_label("Balanced")).to_be_checked()
    expect(page.get_by_label("number input for Tiles at most")).to_have_value("9")
    expect(page.get_by_label("System prompt")).to_have_value("")
    expect(page.locator("#chat-settings")).not_to_have_class(re.compile("changed"))


def test_the_message_box_has_the_focus_where_there_is_a_keyboard(scripted, pictures, open_page):
    page = open_page(scripted)
    box = page.locator("#message textarea")
    expect(box).to_be_focused()
    page.locator("#chat-export").focus()
    attach(page, pictures["wide"])
    expect(box).to_be_focused()
    phone = open_page(scripted, width=390, is_mobile=True, has_touch=True)
    attach(phone, pictures["wide"])
    expect(phone.locator("#chat-meter")).to_contain_text("Picture 1")
    rest(phone)
    expect(phone.locator("#message textarea")).not_to_be_focused()
    assert phone.evaluate("scrollY") == 0


def test_answers_are_shown_as_was_chosen_last(scripted, open_page, held):
    page = open_page(scripted)
    ask(page, "Hello?")
    expect(bot(page)).to_contain_text("Hello.")
    open_settings(page)
    rest(page)
    calls, go = held(revising, "show_transcript")
    raw = page.get_by_label("Raw")
    for wanted in (True, False):
        raw.set_checked(wanted)
        wait_until(lambda: calls)
    go.set()
    wait_until(lambda: len(calls) == 2)
