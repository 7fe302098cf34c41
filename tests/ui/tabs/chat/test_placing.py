"""Which picture a box is on."""

from __future__ import annotations

import pytest

from dsvl2_app.text.boxes import parse_boxes
from dsvl2_app.ui.tabs.chat.placing import Placed, Seen, place_boxes

BOX = "<|ref|>dog<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>"
THREE = [Seen(1), Seen(2), Seen(3)]


def place(question: str, answer: str = BOX, pictures: list[Seen] = THREE, first: int = 0) -> Placed:
    return place_boxes(question, answer, parse_boxes(answer).starts, pictures, first)


@pytest.mark.parametrize(
    ("question", "on", "known"),
    [
        ("Find the dog in the first image.", 0, True),
        ("Where is the dog in picture 1?", 0, True),
        ("What is in Image #2?", 1, True),
        ("What is in image_2?", 1, True),
        ("Find the dog in the last photo.", 2, True),
        ("第一张里的狗在哪里？", 0, True),
        ("图片1里的狗", 0, True),
        ("Is the dog of image 1 in picture 2?", 2, False),
        ("Find the dog.", 2, False),
        ("Find the second dog.", 2, False),
        ("Find 1 dog in image 9.", 2, False),
        (
            "This is image_1: <image>\nThis is image_2: <image>\nThis is image_3: <image>\nFind the dog in image_1.",
            0,
            True,
        ),
        ("This is image_1: <image>\nThis is image_2: <image>\nThis is image_3: <image>\nFind the dog.", 2, False),
    ],
)
def test_boxes_go_on_the_picture_that_the_question_names(question: str, on: int, known: bool) -> None:
    assert place(question) == Placed((on,), known)


def test_the_answer_knows_better_than_the_question() -> None:
    answer = f"In the first image there is {BOX}, and {BOX}. 第二张图里有{BOX}。Both image 1 and image 2 have {BOX}"
    assert place("Find the dog in picture 3.", answer) == Placed((0, 0, 1, 2), True)
    assert place("Find the dog.", answer) == Placed((0, 0, 1, 2), False)
    assert place("Find the dog.", f"Image 2: {BOX}") == Placed((1,), True)


def test_a_label_that_names_a_picture_counts() -> None:
    assert place("Find it.", "<|ref|>the dog in image 1<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>") == Placed((0,), True)


def test_what_is_sent_no_more_is_not_meant() -> None:
    assert place("Find the dog in picture 1.", pictures=[Seen(None), Seen(1), Seen(2)]) == Placed((1,), True)
    assert place("Find the dog.", pictures=[Seen(1), Seen(None)]) == Placed((0,), True)
    assert place("Find the dog.", pictures=[Seen(None), Seen(None)]) == Placed((1,), True)


def test_pages_are_called_by_the_numbers_that_the_document_gives_them() -> None:
    pages = [Seen(1, page=3), Seen(2, page=4), Seen(3)]
    assert place("Where is the total on page 4?", pictures=pages) == Placed((1,), True)
    assert place("Where is the total on page 1?", pictures=pages) == Placed((2,), False)
    assert place("第3页的总额在哪里？", pictures=pages) == Placed((0,), True)
    assert place("Where is the total in picture 1?", pictures=pages) == Placed((0,), True)


def test_a_question_that_captions_its_pictures_counts_them_itself() -> None:
    question = "This is image_1: <image>\nThis is image_2: <image>\nFind the dog in image_1."
    assert place(question, first=1) == Placed((1,), True)
