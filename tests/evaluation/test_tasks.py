from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from dsvl2_app.command_flags import EVAL_TASKS
from dsvl2_app.evaluation.questions import Question, RowError, read_question
from dsvl2_app.evaluation.tasks import TASKS, Scored
from dsvl2_app.image.reference import ImageRef
from tests.evaluation.datasets import encode

PICTURE = ImageRef.of(encode(Image.new("RGB", (40, 30), "red")))
OPTIONS = {"A": "a cat", "B": "a dog"}


def question(**changed) -> Question:
    row = {"number": 1, "id": "1", "pictures": (PICTURE,), "prompt": "What is it?", "truths": ("a cat",)}
    return Question(**(row | changed))


def text_of(name: str, asked: Question) -> str:
    """The message, with <p> for a picture."""
    (message,) = TASKS[name].ask(asked)
    return "".join("<p>" if part["type"] == "image" else part["text"] for part in message["content"])


def test_the_command_line_knows_the_tasks() -> None:
    assert tuple(TASKS) == EVAL_TASKS


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (
            ("docvqa", "infovqa", "chartqa", "textvqa"),
            "<p>\nWhat is it?\nAnswer the question using a single word or phrase.",
        ),
        (("ocrbench",), "<p>\nWhat is it?"),
        (
            ("mmstar", "ai2d", "realworldqa", "mmbench"),
            "<p>\nQuestion: What is it?\nOptions:\nA. a cat\nB. a dog\n"
            "Please select the correct answer from the options above. \n",
        ),
        (
            ("mmmu",),
            "<p>\n What is it?\nA. a cat\nB. a dog\nAnswer with the option's letter from the given choices directly. "
            "Answer the question using a single word or phrase.\n \n",
        ),
        (
            ("mathvista",),
            "<p>\nHint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the "
            "end.\nQuestion: What is it?\nChoices:\n(A) a cat\n(B) a dog",
        ),
        (("mme",), "<p>\nWhat is it?"),
        (("refcoco", "refcoco+", "refcocog"), "<p>\n<|ref|>What is it?<|/ref|>."),
    ],
)
def test_wordings(names: tuple[str, ...], text: str) -> None:
    for name in names:
        assert text_of(name, question(options=OPTIONS)) == text


@pytest.mark.parametrize(
    ("name", "changed", "text"),
    [
        ("mmbench", {"options": OPTIONS, "hint": "It purrs."}, "<p>\nHint: It purrs.\nQuestion: What is it?\nOptions:\n"
         "A. a cat\nB. a dog\nPlease select the correct answer from the options above. \n"),
        ("mmmu", {}, "<p>\n What is it?\n"),
        ("realworldqa", {}, "<p>\nWhat is it?"),
        ("mathvista", {"answer_type": "float", "precision": 1, "unit": "$"}, "<p>\nHint: Please answer the question "
         "requiring a floating-point number with one decimal place and provide the final value, e.g., 1.2, 1.3, 1.4, "
         "at the end.\nQuestion: What is it? (Unit: $)"),
        ("mathvista", {"answer_type": "integer", "prompt": "Hint: Count.\nQuestion: How many?"},
         "<p>\nHint: Count.\nQuestion: How many?"),
    ],
)  # fmt: skip
def test_wordings_of_rows_with_more_or_less(name: str, changed: dict, text: str) -> None:
    assert text_of(name, question(**changed)) == text


def test_mmmu_doubles_the_first_picture_and_puts_all_before_the_text() -> None:
    asked = question(pictures=(PICTURE, PICTURE), options=OPTIONS, prompt="<image 1> or <image 2>?")
    (message,) = TASKS["mmmu"].ask(asked)
    first, second, text = message["content"]
    assert (first["image"].size, second["image"].size) == ((80, 60), (40, 30))
    assert text["text"].startswith("\n <image 1> or <image 2>?\nA. a cat\n")


@pytest.mark.parametrize(
    ("name", "changed", "raw", "extracted", "score"),
    [
        ("docvqa", {}, " A cat.\n", "A cat", 1),
        ("infovqa", {}, "a bat", "a bat", 4 / 5),
        ("chartqa", {"truths": ("10",)}, "10.4.", "10.4", 1),
        ("textvqa", {"truths": ("cat",) * 10}, "The cat.", "The cat", 1),
        ("ocrbench", {"kind": "Doc-oriented VQA"}, "It is a cat.", "It is a cat", 1),
        ("mmstar", {"options": OPTIONS, "truths": ("B",)}, "B. a dog", "B", 1),
        ("mmstar", {"options": OPTIONS, "truths": ("B",)}, "A", "A", 0),
        ("mmstar", {"options": OPTIONS, "truths": ("B",)}, "Who knows?", "", 0),
        ("mmmu", {"truths": ("24/7",)}, "It is 24/7.", "It is 24/7", 1),
        ("mmmu", {"truths": ("24/7", "3.429")}, "3.4", "3.4", 0),
        ("mmmu", {"options": OPTIONS, "truths": ("B",)}, "(B)", "B", 1),
        ("realworldqa", {"truths": ("Yes",)}, "yes.", "yes", 1),
        ("realworldqa", {"truths": ("3",)}, "There are 3", "There are 3", 0),
        ("realworldqa", {"options": OPTIONS, "truths": ("A",)}, "A", "A", 1),
        ("mme", {"truths": ("Yes",), "kind": "count"}, "Yes, it is.", "yes", 1),
        ("mme", {"truths": ("No",), "kind": "OCR"}, "Perhaps.", "", 0),
        ("mathvista", {"options": OPTIONS, "truths": ("B",)}, "The answer is (B) a dog.", "B", 1),
        ("mathvista", {"truths": ("1.2",), "answer_type": "float", "precision": 1}, "Answer: 1.23 cm", "1.23", 1),
        ("refcoco", {"truths": (), "box": (0, 0, 20, 30)}, "<|ref|>it<|/ref|><|det|>[[0, 0, 500, 999]]<|/det|>.",
         "<|det|>[[0, 0, 500, 999]]<|/det|>", 1),
        ("refcocog", {"truths": (), "box": (0, 0, 20, 30)}, "<|det|>[[500, 999, 0, 0]]<|/det|>", "", 0),
        ("refcoco+", {"truths": (), "box": (0, 0, 20, 30)}, "nowhere", "", 0),
    ],
)  # fmt: skip
def test_answers_are_read_and_scored(name: str, changed: dict, raw: str, extracted: str, score: float) -> None:
    task, asked = TASKS[name], question(**changed)
    task.check(asked)
    assert task.extract(asked, raw) == extracted
    assert task.score(asked, extracted) == pytest.approx(score)


@pytest.mark.parametrize(
    ("name", "changed", "reason"),
    [
        ("docvqa", {"truths": ()}, "it has no answer"),
        ("textvqa", {"truths": ("cat",) * 3}, "it has 3 answers of people, fewer than 4"),
        ("ocrbench", {"kind": "Reading"}, "its part 'Reading' is none of OCRBench"),
        ("mmstar", {}, "it has no options"),
        ("mmstar", {"options": OPTIONS, "truths": ("C",)}, "its answer C is none of its options"),
        ("mmstar", {"options": OPTIONS, "truths": ("A", "B")}, "its answer A B is none of its options"),
        ("refcoco", {}, "it has no box"),
        ("mmmu", {"split": "dev"}, "it is of the split dev, whose questions are examples and no part of the score"),
        ("mmmu", {"truths": ()}, "it has no answer"),
        ("realworldqa", {"options": OPTIONS, "truths": ("C",)}, "its answer C is none of its options"),
        ("mme", {"kind": "count"}, "its answer a cat is neither yes nor no"),
        ("mme", {"truths": ("Yes",), "kind": "taste"}, "its category 'taste' is none of MME"),
        ("mathvista", {"answer_type": "poem"}, "its answer_type 'poem' is none of MathVista"),
    ],
)
def test_what_cannot_be_scored_is_said(name: str, changed: dict, reason: str) -> None:
    with pytest.raises(RowError) as raised:
        TASKS[name].check(question(**changed))
    assert str(raised.value) == reason


TRAPS = [json.loads(line) for line in Path(__file__).with_name("traps.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: f"{trap['task']}, {trap['trap']}")
def test_traps(trap: dict) -> None:
    """Rows and answers written by hand, with the score that the benchmark's definition gives."""
    picture = encode(Image.new("RGB", (100, 100)))
    asked, task = read_question({"question": "Which?", "image": picture, **trap["row"]}, 1), TASKS[trap["task"]]
    task.check(asked)
    assert task.score(asked, task.extract(asked, trap["raw"])) == trap["score"]


def test_every_task_has_a_trap() -> None:
    assert {trap["task"] for trap in TRAPS} == {*TASKS}


def test_totals() -> None:
    scored = [Scored("7", "", 1.0), Scored("1000007", "", 0.0), Scored("8", "", 1.0), Scored("x", "", 1.0)]
    assert TASKS["docvqa"].total(scored) == {"score": 75}
    assert TASKS["mmbench"].total(scored) == {"score": pytest.approx(200 / 3), "every rotation by itself": 75}
    parts = [Scored("1", "b", 1.0), Scored("2", "a", 0.0), Scored("3", "b", 0.0)]
    assert TASKS["mmstar"].total(parts) == {"score": pytest.approx(100 / 3), "a": 0, "b": 50}
    assert TASKS["docvqa"].total([Scored(str(number), str(number), 1.0) for number in range(41)]) == {"score": 100}
    pair = [Scored("1", "count", 1.0, "a.png"), Scored("2", "count", 0.0, "a.png")]
    assert TASKS["mme"].total(pair)["score"] == 50
    points = TASKS["ocrbench"].total([Scored("1", "Doc-oriented VQA", 1.0)] * 3)
    assert points["score"] == points["Doc-oriented VQA"] == 3 and len(points) == 6


def test_a_doubled_picture_is_the_one_that_bilinear_makes() -> None:
    noise = Image.effect_noise((8, 6), 90).convert("RGB")
    file = io.BytesIO()
    noise.save(file, "PNG")
    (message,) = TASKS["mmmu"].ask(question(pictures=(ImageRef.of(file.getvalue()),), options=OPTIONS))
    expected = noise.resize((16, 12), Image.Resampling.BILINEAR)
    assert message["content"][0]["image"].open().tobytes() == expected.tobytes()
