"""Transcripts, their cost, and the files they are kept in."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from dsvl2_app.errors import AppError, PromptError
from dsvl2_app.image.load import USUAL, Limits
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.request import PromptPlan, Sampling, Timings
from dsvl2_app.ui.tabs.chat import transcript
from dsvl2_app.ui.tabs.chat.archive import read_archive, write_archive, write_markdown
from dsvl2_app.ui.tabs.chat.choices import Choices, build_choices
from dsvl2_app.ui.tabs.chat.conversation import Attachment, Conversation, Turn
from dsvl2_app.ui.tabs.chat.meter import Meter, count, show_plan
from dsvl2_app.ui.tabs.chat.parts import ChatPage
from dsvl2_app.ui.tabs.chat.transcript import show_transcript
from dsvl2_app.ui.tabs.chat.transfer import Transfer
from dsvl2_app.ui.words.wording import describe_timings

ANSWER = "<|ref|>a|b<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>"


def choose(**choices: Any) -> Choices:
    return Choices(Sampling(), **choices)


@pytest.fixture
def conversation(pictures: dict[str, Path]) -> Conversation:
    wide, turned = (Attachment.of(ImageRef.of(pictures[name])) for name in ("wide", "turned"))
    return Conversation(
        [
            Turn("What is <image>?\nThis.", (wide,), "A disc.", finish="eos"),
            Turn("And in the first picture?", (turned,), ANSWER, finish="eos"),
        ]
    )


def test_an_archive_is_read_back(conversation, tmp_path):
    conversation.drop_oldest()
    read = read_archive(str(write_archive(conversation, tmp_path / "a.zip")), Limits())
    assert [(turn.question, turn.answer, turn.dropped) for turn in read.turns] == [
        (turn.question, turn.answer, turn.dropped) for turn in conversation.turns
    ]
    assert [picture.image.size for picture in read.pictures] == [(1000, 400), (400, 1000)]
    assert read.turns[-1].places == (1,)  # "the first picture" of those that are left


def test_every_answer_with_boxes_is_drawn_again(conversation, tmp_path):
    conversation.turns[0] = replace(conversation.turns[0], answer=ANSWER)
    read = read_archive(str(write_archive(conversation, tmp_path / "a.zip")), Limits())
    assert [turn.places for turn in read.turns] == [(0,), (0,)]
    assert all('class="found"' in message["content"][0]["text"] for message in show_transcript(read)[1::2])


@pytest.mark.parametrize(
    "index",
    [
        b"no JSON",
        b"[]",
        b'{"format": "another", "turns": []}',
        b'{"format": "dsvl2-conversation-1", "turns": [{"question": 1}]}',
        json.dumps(
            {
                "format": "dsvl2-conversation-1",
                "turns": [{"question": "", "answer": "", "dropped": False, "pictures": ["../../etc/passwd"]}],
            }
        ).encode(),
        None,
    ],
)
def test_other_files_are_refused_in_one_sentence(index, tmp_path):
    path = tmp_path / "a.zip"
    if index is None:
        path.write_bytes(b"PK no zip")
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("conversation.json", index)
    with pytest.raises(PromptError, match=r"no conversation of this page"):
        read_archive(str(path), Limits())


def test_a_picture_that_unpacks_to_too_much_is_not_read(conversation, tmp_path, monkeypatch):
    path = write_archive(conversation, tmp_path / "a.zip")
    monkeypatch.setattr("dsvl2_app.ui.tabs.chat.archive.LARGEST_PICTURE", 100)
    with pytest.raises(AppError, match="is larger than"):
        read_archive(str(path), Limits())


def test_markdown_names_pictures_and_tabulates_boxes(conversation):
    text = write_markdown(conversation)
    assert "*Picture 2, 400 × 1000 px*" in text
    assert "> What is <image>?\n> This." in text
    assert "| a\\|b | 1 | 2 | 3 | 4 |" in text


def test_what_is_measured_is_what_the_model_is_given(nano_backend, conversation):
    conversation.turns.append(Turn("Now?", ()))
    before = Conversation(conversation.turns[:2])
    counted, _ = count(nano_backend, before, conversation.turns[2], choose(system="Be brief."))
    plan = nano_backend.plan(conversation.messages("Be brief."))
    assert counted.tokens == plan.tokens
    assert [layout.grid for layout in counted.layouts] == [layout.grid for layout in plan.layouts]
    assert counted.tokens == counted.text_tokens + sum(layout.num_tokens for layout in counted.layouts)


def test_a_third_picture_is_warned_of(nano_backend, conversation):
    third = Turn("Three", conversation.turns[0].pictures)
    assert count(nano_backend, conversation, third, choose())[1]
    assert not count(nano_backend, conversation, third, choose(tiling=True))[1]
    conversation.drop_oldest()
    assert not count(nano_backend, conversation, third, choose())[1]


def test_fewer_tiles_cost_less(nano_backend, conversation):
    turn = conversation.turns.pop()
    for most in (1, 4):
        counted, _ = count(nano_backend, conversation, turn, choose(max_tiles=most))
        plan = nano_backend.plan(Conversation([*conversation.turns, turn]).messages(), max_tiles=most)
        assert counted.tokens == plan.tokens
        assert all(layout.grid[0] * layout.grid[1] <= most for layout in counted.layouts)


def test_pictures_are_numbered_as_the_model_gets_them(conversation):
    shown = conversation.turns
    assert conversation.numbers == [1, 2]
    conversation.editing = 1
    assert conversation.numbers == [1, None]
    conversation.editing = None
    conversation.drop_oldest()
    assert conversation.numbers == [None, 1]
    conversation.mark()
    assert conversation.turns[-1].places == (1,)  # "the first picture", of those that are left
    assert 'alt="Boxes on picture 1"' in show_transcript(conversation)[-1]["content"][0]["text"]
    assert conversation.undo(0) == replace(shown[0], dropped=True)
    assert conversation.turns == []


def test_what_was_reused_is_told_apart_from_what_was_done():
    rows = describe_timings(Timings(prefill=1.0, prompt_tokens=900, new_tokens=3, decode=0.001))
    assert [row[0] for row in rows] == ["Prompt", "Answer"]
    assert [row[2] for row in rows] == ["900 tokens/s", "3,000 tokens/s"]
    spared = Timings(vision=0.5, prefill=1.0, tiles=9, encoded_tiles=5, reused_tiles=3, cache_bytes=1_230_000)
    assert describe_timings(replace(spared, prompt_tokens=900, reused_tokens=800)) == [
        ("Pictures", "5 tiles, 1 more alike", "", "0.50 s"),
        ("Prompt", "100 tokens", "100 tokens/s", "1.00 s"),
        ("Answer", "0 tokens", "", "0.00 s"),
        ("From the cache", "800 tokens, 3 tiles", "", ""),
        ("KV cache", "1.23 MB", "", ""),
    ]


def test_an_interrupted_answer_is_one_that_was_stopped(conversation):
    first = conversation.turns[0]
    conversation.interrupt()
    assert first in conversation.turns  # it had ended
    for answer, words in (("A di", "A di"), ("", "Stopped before its first word.")):
        turns = [replace(first, answer=answer, finish=None, progress="Answering", timings=Timings(new_tokens=1))]
        interrupted = Conversation(turns)
        interrupted.interrupt()
        shown = show_transcript(interrupted)[-1]["content"][0]["text"]
        assert words in shown
        assert "stopped</summary>" in shown
        assert turns[0].is_running  # for the one who writes it


def test_what_does_not_fit_is_said():
    assert "81 too many" in show_plan(PromptPlan(4176, (), 4096))
    assert "1 left for the answer" in show_plan(PromptPlan(4095, (), 4096))


def test_the_meter_counts_no_message_twice(nano_backend, conversation):
    with gr.Blocks():
        page = ChatPage([])
        usual = [control.value for control in build_choices(nano_backend.card)]
    meter = Meter(nano_backend, USUAL, page)
    once = meter.weigh({"text": "Now?", "files": []}, None, conversation, *usual)[page.meter]
    conversation.begin(Turn("Now?", ()), choose())
    late = meter.weigh({"text": "Now?", "files": []}, None, conversation, *usual)  # the box is emptied a moment after
    assert "tokens of" in once
    assert "tokens of" not in str(late[page.meter])


def test_a_place_without_a_picture_is_said(nano_backend):
    plan = nano_backend.plan([{"role": "user", "content": "<image>"}])
    assert "no picture for an &lt;image&gt;" in show_plan(plan, lacking=True)


def test_the_chosen_picture_stays_and_travels(conversation, tmp_path):
    conversation.mark(marked=1)
    number = conversation.drawn
    assert number == 1
    assert conversation.turns[number].places == (1,)
    conversation.turns.append(replace(conversation.turns[0], answer="No boxes.", pictures=()))
    assert re.search(r'value="1 1" checked> 2<', show_transcript(conversation)[3]["content"][0]["text"])
    read = read_archive(str(write_archive(conversation, tmp_path / "c.zip")), USUAL)
    assert read.turns[number].marked == 1
    assert "| label | x1 | y1 | x2 | y2 | picture |" in write_markdown(read)
    assert "| a\\|b | 1 | 2 | 3 | 4 | 2 |" in write_markdown(read)


def test_where_words_placed_a_box_it_stays_though_pictures_are_numbered_anew(conversation, tmp_path):
    conversation.mark()
    assert conversation.turns[1].places == (0,)  # "in the first picture"
    conversation.drop_oldest()
    read = read_archive(str(write_archive(conversation, tmp_path / "c.zip")), USUAL)
    assert read.turns[1].places == (0,)


@pytest.mark.parametrize(
    "changed",
    [
        {"marked": 7},
        {"marked": -1},
        {"marked": True},
        {"placed": {"places": [7], "known": True}},
        {"placed": {"places": [0, 0], "known": True}},
        {"placed": {"places": "0", "known": True}},
        {"placed": {"places": [0], "known": 1}},
        {"placed": {"places": [True], "known": True}},
    ],
)
def test_a_place_where_no_picture_is_counts_as_none(conversation, tmp_path, changed):
    path = write_archive(conversation, tmp_path / "c.zip")
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    index = json.loads(files["conversation.json"])
    index["turns"][1] |= changed
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**files, "conversation.json": json.dumps(index)}.items():
            archive.writestr(name, data)
    read = read_archive(str(path), USUAL)
    assert (read.turns[1].marked, read.turns[1].places) == (None, (0,))


def test_boxes_of_one_answer_are_drawn_each_on_its_own_picture(conversation):
    answer = f"Image_1 shows {ANSWER}, image_2 {ANSWER}, and {ANSWER}."
    conversation.turns[1] = replace(conversation.turns[1], question="What do they show?", answer=answer)
    conversation.mark()
    assert conversation.turns[1].places == (0, 1, 1)
    shown = show_transcript(conversation)[-1]["content"][0]["text"]
    assert 'alt="Boxes on picture 1"' in shown
    assert 'alt="Boxes on picture 2"' in shown
    assert re.search(r'value="1 said" checked> as the answer says<', shown)
    conversation.mark(1, 0, conversation.turns[1].placed)
    assert conversation.turns[1].places == (0, 0, 0)
    conversation.mark(1, None, conversation.turns[1].placed)
    assert conversation.turns[1].places == (0, 1, 1)


@pytest.mark.parametrize(
    ("question", "answer", "width"),
    [
        ("And in the first picture?", ANSWER, 1000),
        ("And here?", f"Image 1: {ANSWER}", 1000),
        ("And in the first picture?", f"Image 2: {ANSWER}", 400),
        ("And in both?", f"Image 2: {ANSWER} Image 1: {ANSWER}", 1000),
        ("And in the first picture?", "A disc.", 1000),
        ("And here?", "The first picture has a disc.", 1000),
        ("And here?", "A disc.", 400),
        ("And in the ninth picture?", "A disc.", 400),
    ],
)
def test_what_the_last_answer_is_about_is_told_by_boxes_then_words(conversation, question, answer, width):
    conversation.turns[1] = replace(conversation.turns[1], question=question, answer=answer)
    conversation.mark()
    assert conversation.meant.size[0] == width


def test_an_answer_is_about_the_picture_that_was_chosen_for_its_boxes(conversation):
    conversation.mark(marked=1)
    assert conversation.meant.size == (400, 1000)
    assert Conversation().meant is None


def test_a_label_is_only_text_though_boxes_stand_within_markdown(conversation):
    hostile = "a\n\n# b </section> <img src=x>"
    conversation.turns[1] = replace(conversation.turns[1], answer=ANSWER.replace("a|b", hostile))
    conversation.mark()
    shown = show_transcript(conversation)[-1]["content"][0]["text"]
    found = shown[shown.index('<section class="found">') :]
    assert "\n" not in found
    assert found.count("</section>") == 1
    assert "<img src=x" not in found


def test_earlier_turns_are_not_written_anew_for_each_token(conversation, monkeypatch):
    conversation.mark()
    conversation.turns.append(Turn("More?", ()))
    written: list[str] = []
    monkeypatch.setattr(transcript, "show_answer", lambda text, **_: written.append(text) or text)
    for answer in ("a", "ab"):
        conversation.turns[2] = replace(conversation.turns[2], answer=answer)
        show_transcript(conversation)
    assert written == ["A disc.", ANSWER, "a", "ab"]
    conversation.raw = True
    show_transcript(conversation)
    assert written[4:] == ["A disc.", ANSWER, "ab"]
    conversation.drop_oldest()  # which renumbers the pictures
    conversation.turns[2] = replace(conversation.turns[2], finish="eos")  # so that pictures can be chosen again
    assert 'class="dropped"' in show_transcript(conversation)[1]["content"][0]["text"]
    assert written[7:] == ["A disc.", ANSWER, "ab"]


def test_that_nobody_knows_the_picture_is_said(conversation):
    conversation.turns[1] = replace(conversation.turns[1], question="Where is it?")
    conversation.mark()
    assert "does not say which one" in show_transcript(conversation)[-1]["content"][0]["text"]
    conversation.mark(marked=0)
    assert "does not say which one" not in show_transcript(conversation)[-1]["content"][0]["text"]


def test_nothing_is_not_exported():
    with pytest.raises(PromptError, match="no conversation yet"):
        Transfer(USUAL, None).export(Conversation())


def test_one_picture_is_left_out_and_comes_back(conversation, tmp_path):
    """With its `<image>`; the numbers of the others close up."""
    first, second = conversation.turns
    both = replace(first, question="Is <image> in <image>?", pictures=first.pictures + second.pictures)
    three = replace(first, question="And <image>, <image>?", pictures=(*both.pictures, first.pictures[0]))
    conversation = Conversation([both, three])
    before = conversation.messages()
    conversation.drop_picture(1)
    conversation.drop_picture(2)  # which has no place in the text
    conversation.drop_picture(9)
    assert conversation.numbers == [1, None, None, 2, 3]
    texts = [[part.get("text", "picture") for part in message["content"]] for message in conversation.messages()[::2]]
    assert texts == [["Is ", "picture", " in ?"], ["And ", "picture", ", ", "picture", "?"]]
    shown = show_transcript(conversation)[0]["content"][0]["text"]
    assert shown.count("picture gone") == 1
    read = read_archive(str(write_archive(conversation, tmp_path / "c.zip")), USUAL)
    assert [picture.dropped for picture in read.pictures] == [False, True, True, False, False]
    conversation.drop_picture(1)
    conversation.drop_picture(2)
    assert conversation.messages() == before
