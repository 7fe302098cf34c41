"""Conversations that the browser keeps."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from dsvl2_app.backend.scripted import CARD, ScriptedBackend
from dsvl2_app.errors import AppError, PromptError
from dsvl2_app.image.load import USUAL
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.request import Timings
from dsvl2_app.settings import Settings
from dsvl2_app.ui.tabs.chat.archive import read_archive, write_archive
from dsvl2_app.ui.tabs.chat.conversation import Attachment, Conversation, Turn
from dsvl2_app.ui.tabs.chat.keeping import Keeping, snapshot
from dsvl2_app.ui.tabs.chat.transcript import show_transcript
from dsvl2_app.ui.uploads import save_upload
from tests.ui.conftest import App, serve_page
from tests.ui.steps import ask, attach, bot, leave, user
from tests.waiting import PATIENCE, wait_until

BOXES = "A <|ref|>dog<|/ref|><|det|>[[100, 200, 500, 700]]<|/det|>."


def test_what_is_kept_is_read_back(pictures: dict[str, Path]) -> None:
    file = save_upload(pictures["wide"].read_bytes(), "wide.png")
    shown = (Attachment.of(ImageRef.of(Path(file))),)
    before = Conversation(
        [Turn("What?", shown, BOXES, finish="eos", dropped=True), Turn("And?", shown, "Half", finish="cancelled")]
    )
    kept = snapshot(before)["turns"]
    brought = [
        {**turn, "pictures": [{"path": file, "page": each["page"]} for each in turn["pictures"]]} for turn in kept
    ]
    after = Keeping(USUAL, None).read({"turns": brought})
    assert [(turn.question, turn.answer, turn.dropped) for turn in after.turns] == [
        ("What?", BOXES, True),
        ("And?", "Half", False),
    ]
    assert [picture.image for picture in after.pictures] == [picture.image for picture in before.pictures]
    assert after.turns[0].places == (0,)


def bring(conversation: Conversation) -> Conversation:
    """As a browser keeps it and brings it back; of a conversation without pictures."""
    return Keeping(USUAL, None).read(json.loads(json.dumps(snapshot(conversation))))


def test_what_an_answer_cost_and_how_it_ended_is_kept(tmp_path: Path) -> None:
    timings = Timings(vision=0.5, decode=1.5, prompt_tokens=900, new_tokens=3, cache_bytes=7)
    turns = [
        Turn("What?", (), "This.", finish="length", timings=timings, context=4096),
        Turn("And?", (), "", finish="eos", timings=timings, unread=True),
        Turn("More?", (), "Half", finish="cancelled", timings=timings),
    ]
    before = Conversation(turns)
    archive = write_archive(before, tmp_path / "a.zip")
    for after in (bring(before), read_archive(str(archive), USUAL)):
        assert after.turns == turns
        assert show_transcript(after) == show_transcript(before)
        noted = ["reads English alone" in answer["content"][0]["text"] for answer in show_transcript(after)[1::2]]
        assert noted == [False, True, False]


def test_an_answer_that_is_being_written_is_kept_without_what_there_is_of_it() -> None:
    (turn,) = bring(Conversation([Turn("What?", (), "Thi", timings=Timings(new_tokens=1))])).turns
    assert (turn.answer, turn.finish) == ("", "cancelled")


@pytest.mark.parametrize(
    "timings",
    [None, 7, [], {"decode": "1"}, {"decode": -1.0}, {"decode": True}, {"decode": 1e300}, {"new_tokens": 0.5}],
)
def test_numbers_that_are_none_count_as_none(timings: Any) -> None:
    entry = {"question": "What?", "answer": "This.", "pictures": [], "timings": timings, "finish": "x", "context": "y"}
    (turn,) = Keeping(USUAL, None).read({"turns": [entry]}).turns
    assert (turn.timings, turn.finish, turn.context) == (Timings(), "eos", 0)


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        {"turns": 1},
        {"turns": [{}]},
        {"turns": [{"question": 1, "answer": "", "pictures": []}]},
        {"turns": [{"question": "", "answer": "", "pictures": [{"path": "/etc/passwd"}]}]},
        {"turns": [{"question": "", "answer": "", "pictures": [{"path": 7, "page": "x"}]}]},
        {"turns": [{"question": "", "answer": "", "pictures": []}] * 501},
    ],
)
def test_whatever_a_browser_brings_is_a_conversation_or_one_sentence(told: Any) -> None:
    with pytest.raises(AppError):
        Keeping(USUAL, None).read(told)
    with pytest.raises(PromptError):
        Keeping(USUAL, None).read({"turns": "x"})


@pytest.mark.slow
def test_a_reload_loses_nothing_and_earlier_conversations_are_there(scripted, pictures, open_page):
    scripted.script.say = BOXES
    page = open_page(scripted)
    history = page.locator("#chat-history")
    expect(history.locator("summary")).to_have_text("Earlier conversations (0)")
    attach(page, pictures["wide"])
    ask(page, "Where is the dog?")
    expect(bot(page).locator(".found img")).to_be_visible()
    expect(history.locator("summary")).to_contain_text("Earlier conversations (1, ")
    cost = bot(page).locator("summary").inner_text()
    page.locator("#message textarea").fill("half a questi")
    leave(page, page.reload)
    expect(user(page)).to_contain_text("Where is the dog?")
    expect(user(page).locator(".picture img")).to_have_count(1)
    expect(bot(page).locator(".found img")).to_be_visible()
    expect(bot(page).locator("summary")).to_have_text(cost)
    expect(page.locator("#message textarea")).to_have_value("half a questi")
    scripted.script.say = "Brown."
    ask(page, "Which colour?")
    expect(bot(page)).to_contain_text("Brown.")
    assert [len(message["content"]) > 0 for message in scripted.script.requests[-1].messages] == [True] * 3
    assert scripted.script.requests[-1].messages[0]["content"][0]["image"].size == (1000, 400)

    # cleared by mistake: what is typed stays, and the conversation comes back
    page.locator("#message textarea").fill("next")
    page.locator("#conversation").get_by_role("button", name="Clear").click()
    expect(page.locator("#conversation .user-row")).to_have_count(0)
    expect(page.locator("#message textarea")).to_have_value("next")
    page.get_by_role("button", name="Bring the conversation back").click()
    expect(page.locator("#conversation .user-row")).to_have_count(2)
    expect(page.locator("#chat-back")).to_be_hidden()
    expect(history.locator("summary")).to_contain_text("Earlier conversations (")

    # another branch: both are kept
    page.locator("#conversation .undo").first.click()
    expect(page.locator("#conversation .user-row")).to_have_count(0)
    expect(page.locator("#message textarea")).to_have_value("Where is the dog?")
    ask(page, "Where is <|ref|>the cat<|/ref|>?")
    expect(bot(page)).to_contain_text("Brown.")
    history.locator("summary").click()
    expect(history.locator(".open")).to_have_text(["Where is the cat?", "Where is the dog?"])
    history.locator("[type=search]").fill("which colour")
    expect(history.locator(".open")).to_have_text(["Where is the dog?"])
    history.locator(".open").click()
    expect(page.locator("#conversation .user-row")).to_have_count(2)
    expect(user(page)).to_contain_text("Which colour?")

    # a name is found by the search, and stays when the conversation goes on
    page.once("dialog", lambda dialog: dialog.accept("Rex"))
    history.locator(".rename").click()
    expect(history.locator(".open")).to_have_text(["Rex"])
    history.locator("[type=search]").fill("rex")
    expect(history.locator(".open")).to_have_text(["Rex"])
    history.locator("[type=search]").fill("")
    expect(history.locator(".open")).to_have_text(["Where is the cat?", "Rex"])
    history.locator(".begin").click()
    expect(page.locator("#conversation .user-row")).to_have_count(0)
    expect(history.locator("[aria-current]")).to_have_count(0)
    history.get_by_role("button", name="Rex").click()
    expect(page.locator("#conversation .user-row")).to_have_count(2)
    ask(page, "And now?")
    expect(user(page)).to_contain_text("And now?")
    expect(page.locator("#conversation [data-testid=bot]")).to_have_count(3)
    expect(bot(page).locator("summary")).to_be_visible()
    expect(page.locator("#message .submit-button")).to_be_visible()  # until then Escape and the arrow mean the answer
    expect(history.locator(".open")).to_have_text(["Rex", "Where is the cat?"])  # the latest first

    # the arrow up takes the last question back, Escape ends this or stops an answer
    for keys in ("ArrowUp", "Escape", "ArrowUp"):
        page.locator("#message textarea").press(keys)
        expect(page.locator("#chat-keep")).to_be_visible(visible=keys == "ArrowUp")
        expect(page.locator("#message textarea")).to_have_value("And now?" if keys == "ArrowUp" else "")
    scripted.script.endless = True
    page.locator("#message textarea").press("Enter")
    expect(bot(page)).to_contain_text("Brown.Brown.")
    page.keyboard.press("Escape")
    expect(bot(page).locator("summary")).to_contain_text("stopped")
    scripted.script.endless = False

    # forgotten, it is gone
    page.on("dialog", lambda dialog: dialog.accept())
    history.locator(".forget").click()
    expect(history.locator("summary")).to_have_text("Earlier conversations (0)")
    kept = page.evaluate(
        "() => new Promise((done) => { const opened = indexedDB.open('dsvl2'); setTimeout(() => done('no end'), 20000);"
        " opened.onsuccess = () => { const all = opened.result.transaction('pictures').objectStore('pictures').count();"
        " all.onsuccess = () => done(all.result); }; })"
    )
    assert kept == 0
    history.locator("[type=checkbox]").uncheck()
    ask(page, "Is this kept?")
    expect(bot(page)).to_contain_text("Brown.")
    leave(page, page.reload)
    expect(history.locator("summary")).to_have_text("Earlier conversations (0)")
    expect(page.locator("#conversation .user-row")).to_have_count(0)

    # a link leads to a tab and brings a question
    leave(page, lambda: page.goto(f"{scripted.url}?tab=documents&q=What%20is%20this%3F"))
    expect(page.locator("#documents-files")).to_be_visible()
    expect(page.locator("#message textarea")).to_have_value("What is this?")


LOSES = """() => {
    const put = IDBObjectStore.prototype.put;  // as if the page were left while an answer is on its way to the database
    IDBObjectStore.prototype.put = function (value, ...rest) {
        return value.turns?.at(-1).answer ? this.get("") : put.call(this, value, ...rest);
    };
}"""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """A page that is left before the event behind an answer, which tells the browser once more what to keep."""
    keep = Keeping.keep

    def lose_answers(keeping: Keeping, conversation: Conversation) -> dict[str, Any]:
        ended = conversation.turns and not conversation.turns[-1].is_running
        return keeping.begin() if ended else keep(keeping, conversation)

    monkeypatch.setattr(Keeping, "keep", lose_answers)
    script = ScriptedBackend(card=CARD)
    script.say, script.endless = BOXES, True
    yield from serve_page(script, Settings.parse([], {}), script)


@pytest.mark.slow
@pytest.mark.parametrize("loses", [False, True])
def test_an_answer_is_kept_by_what_ends_it(hasty, pictures, open_page, loses: bool):
    page = open_page(hasty)
    if loses:
        page.evaluate(LOSES)
    attach(page, pictures["wide"])
    ask(page, "Where is the dog?")
    expect(page.locator("#chat-history summary")).to_contain_text("Earlier conversations (1, ")
    expect(bot(page)).to_contain_text("A dog")
    page.keyboard.press("Escape")
    cost = bot(page).locator("summary")
    expect(cost).to_contain_text("stopped")
    said = cost.inner_text()
    leave(page, page.reload)
    expect(user(page)).to_contain_text("Where is the dog?")
    expect(user(page).locator(".picture img")).to_have_count(1)
    expect(bot(page)).to_contain_text("A dog")
    expect(cost).to_have_text(said)
    hasty.script.endless = False
    ask(page, "And now?")
    expect(page.locator("#conversation [data-testid=bot]")).to_have_count(2)


@pytest.fixture
def delayed(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[App, threading.Event]]:
    """A page that hears of a question only once the event is set, whatever has come of it by then."""
    keep, released = Keeping.keep, threading.Event()

    def hold_questions(keeping: Keeping, conversation: Conversation) -> dict[str, Any]:
        kept = keep(keeping, conversation)
        if conversation.turns and conversation.turns[-1].is_running:
            kept["words"]["title"] = "Came late"
            assert released.wait(PATIENCE)
        return kept

    monkeypatch.setattr(Keeping, "keep", hold_questions)
    script = ScriptedBackend(card=CARD)
    script.say = BOXES
    for app in serve_page(script, Settings.parse([], {}), script):
        yield app, released


@pytest.mark.slow
def test_what_comes_late_of_a_question_makes_no_second_conversation(delayed, open_page):
    app, released = delayed
    page = open_page(app)
    summary, search = page.locator("#chat-history summary"), page.locator("#chat-history [type=search]")
    ask(page, "Where is the dog?")
    expect(summary).to_contain_text("Earlier conversations (1, ")
    summary.click()
    released.set()

    def came() -> bool:
        search.fill("" if search.input_value() else "dog")  # draws the list anew
        return "Came late" in summary.inner_text()

    wait_until(came)
    search.fill("")
    ask(page, "And now?")
    expect(page.locator("#conversation [data-testid=bot]")).to_have_count(2)
    expect(page.locator("#chat-history .open")).to_have_count(1)
    expect(summary).to_contain_text("Came late (1, ")


@pytest.mark.slow
def test_a_question_that_was_asked_is_not_typed_again_by_a_reload(scripted, open_page):
    page = open_page(scripted)
    ask(page, "Where is the dog?")
    expect(bot(page).locator("summary")).to_be_visible()
    history = page.locator("#chat-history summary")
    expect(history).to_contain_text("Earlier conversations (1, ")
    leave(page, page.reload)
    expect(user(page)).to_contain_text("Where is the dog?")
    expect(history).to_contain_text("Earlier conversations (1, ")
    expect(page.locator("#message textarea")).to_have_value("")
