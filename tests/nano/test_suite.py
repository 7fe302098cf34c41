from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from dsvl2_app.evaluation.report import Report
from nano import suite
from nano.suite import EVALUATION_SEEDS, ROWS, Row, evaluate, score
from nano.tasks.turn import Turn

FLOORS = {
    "locate one object": 0.90, "locate several objects": 0.80, "colour, shape, yes or no": 0.93, "count up to 6": 0.85,
    "left, right, above, below": 0.90, "nothing matches": 0.90, "locate a named widget": 0.75, "locate a word": 0.75,
    "read a word": 0.75, "read a number": 0.80, "tallest bar, highest value": 0.80, "which picture": 0.85,
    "in-context grounding": 0.70,
}  # fmt: skip


def turn(**truth: Any) -> Turn:
    return Turn("?", "", "shapes.x", truth)


def test_what_nano_must_reach_is_measured():
    assert {row.task: row.floor for row in ROWS if row.floor is not None} == FLOORS


def test_rows_have_seeds_of_their_own_beyond_training():
    firsts = sorted(row.first_seed for row in ROWS)
    assert firsts[0] >= EVALUATION_SEEDS
    assert all(after - before >= suite.SEEDS_PER_ROW for before, after in pairwise(firsts))


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.family}-{row.task}")
def test_every_row_has_cases_and_the_right_answers_score(row: Row):
    for case in row.cases(2):
        assert not row.kinds or case.turn.kind in row.kinds
        assert score(case.turn, case.turn.answer) > 0.6
        assert score(case.turn, "I do not know.") == 0.0 or case.turn.truth == {"boxes": []}
        content = case.messages[0]["content"]
        assert [part["type"] for part in content].count("image") == len(case.images)
        assert content[-1] == {"type": "text", "text": case.turn.question}


def test_cases_are_the_same_every_time():
    row = ROWS[0]
    assert [case.turn for case in row.cases(3)] == [case.turn for case in row.cases(5)][:3]


@pytest.mark.parametrize(
    ("truth", "right", "wrong"),
    [
        ({"number": 3}, ["There are 3 stars.", "three"], ["There are 13.", "4", "", "no"]),
        ({"number": 0}, ["There are no stars.", "0"], ["There are 10 stars."]),
        ({"yes": True}, ["Yes, there is.", "yes"], ["No, there is not.", "", "There is, yes."]),
        ({"text": "MOTOR"}, ['It says "MOTOR".', "motor", "MOTOR."], ['It says "MOTORS".', ""]),
        ({"text": "One\ntwo."}, ["One\ntwo."], ["One two."]),
        ({"fact": ["grey", "gray"]}, ["The star is grey.", "Gray"], ["greyish", "red"]),
        ({"fact": ["12.50"]}, ["The total is 12.50."], ["112.50", "12.5"]),
    ],
)
def test_score_of_words(truth: dict[str, Any], right: list[str], wrong: list[str]):
    assert all(score(turn(**truth), answer) == 1.0 for answer in right)
    assert not any(score(turn(**truth), answer) for answer in wrong)


def test_score_of_parts():
    assert score(turn(all=[["red"], ["blue", "cyan"]]), "red and green") == 0.5


def test_a_report_is_a_table_and_json():
    right = {}
    rows = [ROWS[0], next(row for row in ROWS if row.task == "count up to 6")]
    for row in rows:
        right |= {(row.task, case.turn.question, case.images[0].tobytes()): case.turn.answer for case in row.cases(5)}

    def answer(messages: list[dict[str, Any]]) -> str:
        picture, *_, text = messages[0]["content"]
        key = (text["text"], picture["image"].tobytes())
        return next(value for known, value in right.items() if known[1:] == key)

    report = Report(tuple(evaluate(answer, cases=5, rows=rows)))
    assert [row.accuracy for row in report.scores] == [1.0, 1.0]
    assert report.scores[1].chance > 0
    wrong = Report(tuple(evaluate(lambda messages: "", cases=5, rows=rows)))
    assert "below" in wrong.table and "below" not in report.table
    summary = json.loads(json.dumps(wrong.as_dict()))
    assert summary["floors"] == 2 and summary["reached"] == 0 and summary["rows"][0]["cases"] == 5
