from __future__ import annotations

import json

import pytest

from dsvl2_app.__main__ import main
from dsvl2_app.backend import scripted
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.evaluation.check import draw_circle, make_probes
from dsvl2_app.model import rotary
from dsvl2_app.runtime.cpu.operations import CpuOperations

ANSWERS = {
    "a short question": (["Paris.", "It is Paris"], ["London", "0, 0, 0", "Parisian"]),
    "a red circle": (
        ["The image shows a red circle on a white background.", "A Red ellipse"],
        ["0, 0, 0, 0, 0,", "a blue circle", "a red square", ""],
    ),
    "a colour": (["Blue", "The square is blue."], ["red", "bluebell"]),
    "a word": (["HELLO", 'It says "Hello".'], ["HELL", "HELLOS"]),
    "a number": (["3", "There are three circles"], ["2", "13"]),
    "a box": (
        ["<|ref|>it<|/ref|><|det|>[[239, 239, 760, 760]]<|/det|>"],
        ["<|det|>[[239, 239, 760, 760]]", "[[239, 239, 760, 760]]", "<|det|>[[0, 0, 10, 10]]<|/det|>", "none"],
    ),
    "a box in a corner": (["<|det|>[[598, 598, 885, 885]]<|/det|>"], ["<|det|>[[104, 104, 364, 364]]<|/det|>"]),
}


@pytest.mark.parametrize("probe", make_probes(), ids=lambda probe: probe.name)
def test_answers_are_judged(probe) -> None:
    right, wrong = ANSWERS[probe.name]
    assert [probe.is_right(answer) for answer in (*right, *wrong)] == [True] * len(right) + [False] * len(wrong)


def test_the_picture_is_the_one_that_others_asked_about() -> None:
    picture = draw_circle().open()
    red = [(x, y) for x in range(384) for y in range(384) if picture.getpixel((x, y)) == (255, 0, 0)]
    assert picture.size == (384, 384) and picture.getpixel((0, 0)) == (255, 255, 255)
    assert (min(red), max(red)) == ((92, min(y for x, y in red if x == 92)), (292, max(y for x, y in red if x == 292)))
    assert {min(y for _, y in red), max(y for _, y in red)} == {92, 292}


def test_a_wrong_answer_is_an_error_after_all_that_can_be_shown(monkeypatch, capsys) -> None:
    monkeypatch.setattr(scripted, "load", lambda _: ScriptedBackend("Paris", pause=0))
    monkeypatch.setenv("DSVL2_BACKEND", "scripted")
    assert main(["check", "tiny"]) == 2
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[:7]] == ["right"] + ["WRONG"] * 6 and lines[7].startswith("1 of 7 are")
    assert err.startswith("Wrong: a red circle, a colour, a word, a number, a box, a box in a corner. Fetch the")


@pytest.mark.slow
def test_nano_is_right(capsys) -> None:
    assert main(["check", "nano", "--threads", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["wrong"] == 0 and len(told["checks"]) == 6 and all(each["tokens"] > 0 for each in told["checks"])


@pytest.mark.slow
def test_a_wrong_pairing_of_positions_is_noticed(monkeypatch, capsys) -> None:
    for way in ("rotate_halves", "rotate_pairs"):
        swapped = rotary.rotate_pairs if way == "rotate_halves" else rotary.rotate_halves

        def rotate(self, queries, keys, angles, swapped=swapped):
            return swapped(queries, angles), swapped(keys, angles)

        monkeypatch.setattr(CpuOperations, way, rotate)
    assert main(["check", "nano", "--threads", "1"]) == 2
    assert "a red circle" in capsys.readouterr().err.partition(".")[0]
