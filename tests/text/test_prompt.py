"""Messages -> pieces of the official prompt, and the neutralising of special tokens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl2_app.errors import PromptError
from dsvl2_app.text.prompt import Begin, End, ImageSlot, Text, compose, place_images, split_special


def flatten(messages: list[Any], **options: bool) -> list[str]:
    """The prompt with each piece as a string."""
    pieces, _ = compose(messages, **options)
    marks = {Begin: "BEGIN", End: "END"}
    return [
        f"image {piece.index}"
        if isinstance(piece, ImageSlot)
        else marks.get(type(piece)) or "".join(text.content for text in piece)
        for piece in pieces
    ]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def system(content: Any) -> dict[str, Any]:
    return {"role": "system", "content": content}


def text(content: str) -> dict[str, str]:
    return {"type": "text", "text": content}


def image(source: Any) -> dict[str, Any]:
    return {"type": "image", "image": source}


# -- turns -------------------------------------------------------------------------------------------------------


def test_one_question() -> None:
    assert flatten([user(" What? \n")]) == ["BEGIN", "<|User|>: What?\n\n<|Assistant|>:"]
    assert flatten([user([text("What?")])]) == flatten([user("What?")])
    assert flatten([user("What?")], answer_next=False) == ["BEGIN", "<|User|>: What?\n\n"]


def test_an_empty_last_answer_is_an_open_one() -> None:
    """The official example ends every conversation with one."""
    assert flatten([user("What?"), assistant("")]) == flatten([user("What?")])
    assert flatten([user("What?"), assistant(None)]) == flatten([user("What?")])


def test_turns_alternate() -> None:
    messages = [user("What?"), assistant(" A cup. "), user("Where?")]
    first = ["BEGIN", "<|User|>: What?\n\n<|Assistant|>:", "A cup.", "END"]
    assert flatten(messages) == [*first, "<|User|>: Where?\n\n<|Assistant|>:"]
    assert flatten(messages[:2]) == first
    assert flatten(messages[:2], continue_answer=True) == first[:-1]
    official = [{**message, "role": f"<|{message['role'].title()}|>"} for message in messages]
    assert flatten(official) == flatten(messages)


def test_system_prompt_goes_first() -> None:
    assert flatten([system(" Be brief. "), user("What?")])[1] == "Be brief.\n\n<|User|>: What?\n\n<|Assistant|>:"
    assert flatten([system(" "), user("What?")]) == flatten([user("What?")])


def test_images_cut_the_text() -> None:
    parts = [text("  First "), image("a"), text(" then "), text("the "), image("b"), image("c"), text(" end ")]
    messages = [user(parts), assistant("Yes."), user([image("d")])]
    assert flatten(messages) == [
        *("BEGIN", "<|User|>: First ", "image 0", " then the ", "image 1", "", "image 2"),
        *(" end\n\n<|Assistant|>:", "Yes.", "END"),
        *("<|User|>: ", "image 3", "\n\n<|Assistant|>:"),
    ]
    assert compose(messages)[1] == ["a", "b", "c", "d"]


def test_a_path_is_an_image_too() -> None:
    assert compose([user([{"type": "image", "path": "a.png"}])])[1] == ["a.png"]


def test_texts_know_their_author() -> None:
    pieces, _ = compose([system("s"), user("u"), assistant("a"), user("v")])
    texts = [piece_text for piece in pieces if isinstance(piece, list) for piece_text in piece]
    assert {(each.content, each.author) for each in texts if each.author != "template"} == {
        ("s\n\n", "system"),
        ("u", "user"),
        ("a", "assistant"),
        ("v", "user"),
    }
    assert Text("<|User|>: ", "template") in texts


@given(st.text(alphabet=" \n\tab\u3000", max_size=6), st.text(alphabet=" \nab", max_size=6))
def test_white_space_is_stripped_around_the_whole_message(before: str, after: str) -> None:
    """As `str.strip` on text in which `<image>` stands for the picture."""
    stripped = f"{before}<image>{after}".strip()
    _, opening, _, closing = flatten([user([text(before), image(1), text(after)])])
    assert f"{opening}<image>{closing}" == f"<|User|>: {stripped}\n\n<|Assistant|>:"


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        ([], "The conversation is empty; write a message first"),
        ([system("Be brief.")], "has no message of a user"),
        ([user("a"), system("b")], "Message 2 is a system prompt; only the first"),
        ([{"content": "a"}], r"Message 1 needs a role \(user, assistant or system\) and content"),
        ([{"role": "user"}], "Message 1 needs a role"),
        ([{"role": "tool", "content": "a"}], "Message 1 needs a role"),
        ([{"role": [], "content": "a"}], "Message 1 needs a role"),
        (["hello"], "Message 1 needs a role"),
        ([user("a"), assistant([image("x")])], "Message 2 is the assistant's and holds an image"),
        ([user([{"type": "video", "video": "x"}])], "neither text nor an image"),
        ([user([{"type": "text", "text": 5}])], "neither text nor an image"),
        ([user([{"type": "image", "image": None}])], "neither text nor an image"),
        ([user(["hello"])], "neither text nor an image"),
        # content that is nothing of the sort
        ([user(5)], "Message 1"),
        # pictures that would be lost without a word
        ([system([text("Look:"), image("x")]), user("a")], "Message 1 .*image"),
        # answers to nobody
        ([assistant("hi")], "has no message of a user"),
    ],
)
def test_conversations_that_cannot_be_prompts(messages: list[Any], sentence: str) -> None:
    with pytest.raises(PromptError, match=sentence):
        compose(messages)


# -- typed images ------------------------------------------------------------------------------------------------


def show(parts: list[dict[str, Any]]) -> str:
    return "".join(part.get("text", f"[{part.get('image')}]") for part in parts)


@pytest.mark.parametrize(
    ("typed", "images", "shown"),
    [
        ("What?", [], "What?"),
        ("What?", [1], "[1]\nWhat?"),
        ("What?", [1, 2], "[1]\n[2]\nWhat?"),
        ("See <image> and <image>.", [1, 2], "See [1] and [2]."),
        ("<image><image>", [1, 2], "[1][2]"),
        ("See <image>.", [1, 2], "[1]\nSee [2]."),
        ("See <image> and <image>.", [1], "See [1] and <image>."),
        ("See <image>.", [], "See <image>."),
        ("", [1], "[1]\n"),
        ("", [], ""),
    ],
)
def test_typed_image_tokens_say_where_pictures_go(typed: str, images: list[int], shown: str) -> None:
    assert show(place_images(typed, images)) == shown


@given(st.text(alphabet="ab<image> ", max_size=40), st.lists(st.integers(), max_size=4))
def test_no_picture_is_lost(typed: str, images: list[int]) -> None:
    placed = [part["image"] for part in place_images(typed, images) if part["type"] == "image"]
    assert placed == images


# -- neutralising ------------------------------------------------------------------------------------------------

SPECIAL = ("<image>", "<|User|>", "<|ref|>", "<|/ref|>", "<｜end▁of▁sentence｜>", "<|User|>:")
fragments = st.sampled_from([*SPECIAL, "<", "<|", "|>", "image>", "<|User", "User|>", "<<", "a", " ", "｜", "é", "😀"])
typed_texts = st.lists(st.one_of(fragments, st.text(max_size=3)), max_size=12).map("".join)


@given(typed_texts, st.frozensets(st.sampled_from(SPECIAL)))
def test_no_piece_holds_a_forbidden_token(typed: str, allowed: frozenset[str]) -> None:
    pieces = split_special(typed, SPECIAL, allowed)
    assert "".join(pieces) == typed
    forbidden = [token for token in SPECIAL if token not in allowed]
    assert not [piece for piece in pieces for token in forbidden if token in piece]


@given(typed_texts.filter(lambda typed: not any(token in typed for token in SPECIAL)))
def test_ordinary_text_stays_whole(typed: str) -> None:
    """So that it is tokenised as the official code does."""
    assert split_special(typed, SPECIAL, frozenset()) == [typed]


@given(typed_texts)
def test_nothing_is_cut_where_everything_is_allowed(typed: str) -> None:
    assert split_special(typed, SPECIAL, frozenset(SPECIAL)) == [typed]
