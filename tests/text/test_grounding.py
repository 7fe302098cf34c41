"""The messages of each mode, in the words of the official demo."""

from __future__ import annotations

import pytest

from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.text.boxes import parse_boxes
from dsvl2_app.text.grounding import ALLOWED, MOST_PHRASES, ask_for, ask_for_marked, name_boxes, split_phrases


def spell(messages: list[dict]) -> str:
    (message,) = messages
    assert message["role"] == "user"
    return "".join(part.get("text") or f"({part['image']})" for part in message["content"])


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("find", "(photo)\n<|ref|>a {dog}<|/ref|>."),
        ("find_all", "(photo)\nFind all <|ref|>a {dog}<|/ref|>."),
        ("describe", "(photo)\n<|grounding|>a {dog}"),
        ("point", "(photo)\nFind all <|ref|>a {dog}<|/ref|>."),
        ("count", "(photo)\nFind all <|ref|>a {dog}<|/ref|>."),
    ],
)
def test_a_question_about_one_picture(mode, text):
    assert spell(ask_for("photo", "a {dog}", mode)) == text


@pytest.mark.parametrize("mode", ["find", "find_all", "describe"])
@pytest.mark.parametrize(
    "phrase",
    [
        "<|ref|>the hill<|/ref|>",
        "\n<|ref|>the hill<|/ref|>.",
        "<|grounding|>the hill",
        "<|grounding|> <|ref|>the hill<|/ref|> .",
        " the hill<|/ref|>",
    ],
)
def test_tags_that_a_phrase_has_already_are_not_doubled(mode, phrase):
    assert ask_for("photo", phrase, mode) == ask_for("photo", "the hill", mode)


def test_tags_within_a_sentence_go_and_tags_alone_are_nothing():
    text = spell(ask_for("photo", "the <|ref|>hill<|/ref|> and the <|ref|>lake<|/ref|>."))
    assert text == "(photo)\n<|ref|>the hill and the lake.<|/ref|>."
    assert ask_for("photo", "<|grounding|>", "describe") == ask_for("photo", "", "describe")
    with pytest.raises(PromptError, match="nothing to look for"):
        ask_for("photo", "<|ref|> <|/ref|>.")


def test_a_mark_in_another_picture():
    text = spell(ask_for_marked("marked", "photo"))
    assert text.startswith("(marked)\n(photo)\n<|grounding|>In the first image, an object within the red rectangle")


def test_nothing_to_look_for_and_unknown_modes_are_refused():
    with pytest.raises(PromptError, match="nothing to look for"):
        ask_for("photo", " \n")
    for mode in ("in_context", "other", None):
        with pytest.raises(SettingsError, match="mode"):
            ask_for("photo", "dog", mode)


def test_several_phrases_are_apart_and_a_question_is_whole():
    assert split_phrases(" the dog; a cat\uff1bthe dog \n\n the hill;", "find") == ["the dog", "a cat", "the hill"]
    assert split_phrases("What is this; and why?", "describe") == ["What is this; and why?"]
    assert split_phrases(" ; ", "count") == [" ; "]  # refused where it is asked
    with pytest.raises(PromptError, match=f"11 phrases are too many at once; look for {MOST_PHRASES}"):
        split_phrases(";".join(map(str, range(11))), "find_all")


def test_only_what_the_messages_need_is_allowed():
    assert sorted(ALLOWED) == ["<|/ref|>", "<|grounding|>", "<|ref|>"]


@pytest.mark.parametrize(("phrase", "asked"), [("dogs", "dogs"), ("all dogs", "dogs"), ("All of the dogs", "the dogs"),
    ("\u6240\u6709\u7684\u72d7", "\u72d7"), ("allied flags", "allied flags"), ("all", "all")])  # fmt: skip
def test_all_is_said_once(phrase, asked):
    (message,) = ask_for(None, phrase, "find_all")
    assert message["content"][-1]["text"] == f"\nFind all <|ref|>{asked}<|/ref|>."


@pytest.mark.parametrize(
    ("label", "phrases", "name"),
    [
        ("all dogs", ["dogs"], "dogs"),
        ("All the dogs", ["dogs"], "dogs"),
        ("dogs", ["the dogs"], "the dogs"),
        ("all dogs", ["all dogs"], "dogs"),
        ("all cats", ["dogs", "cats"], "cats"),
        ("\u6240\u6709\u7684\u72d7", ["\u72d7"], "\u72d7"),
        ("dog", ["dogs"], "dog"),
        ("all birds", ["dogs"], "all birds"),
        ("", ["dogs"], ""),
    ],
)
@pytest.mark.parametrize("mode", ["find_all", "point", "count"])
def test_the_label_of_all_that_is_found_is_the_phrase(label, phrases, name, mode):
    parsed = parse_boxes(f"<|ref|>{label}<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>")
    assert [box.label for box in name_boxes(parsed, phrases, mode).boxes] == [name]
    assert name_boxes(parsed, phrases, "find") == parsed
