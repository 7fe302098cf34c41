"""What holds for every task: the answer agrees with the scene, and evaluation accepts it."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from random import Random

import pytest

from dsvl2_app.text.boxes import parse_boxes
from nano import scenes, tasks
from nano.scenes import Level
from nano.scenes.scene import scale_box
from nano.suite import score
from nano.tasks import naming
from nano.tasks.turn import Turn

pytestmark = pytest.mark.slow

FAMILIES = sorted(scenes.FAMILIES)


@lru_cache(maxsize=40)  # the tests of one family follow each other
def render(family: str, seed: int) -> scenes.Scene:
    return scenes.render(family, Random(seed))


def asked(family: str, task: str, seeds: int = 40) -> list[tuple[scenes.Scene, Turn]]:
    found = []
    for seed in range(seeds):
        rng = Random(f"{task} {seed}")
        scene = render(family, seed)
        for _ in range(4):
            turn = tasks.ask(scene, rng, task)
            if turn:
                found.append((scene, turn))
    return found


@pytest.mark.parametrize(("family", "task"), [(family, task) for family in FAMILIES for task in tasks.TASKS[family]])
def test_every_task_asks_and_its_own_answer_is_right(family: str, task: str):
    pairs = asked(family, task) or asked(family, task, 150)
    assert pairs, "nothing was ever asked"
    for scene, turn in pairs:
        assert turn.question.strip() == turn.question and turn.question
        assert not {"[", "{"} & set(turn.question.replace("[[", ""))
        assert score(turn, turn.answer) == 1.0 or "caption" in turn.kind, turn
        for box in parse_boxes(turn.answer).boxes:
            written = [box.x1, box.y1, box.x2, box.y2]
            assert written in [list(scale_box(item.box, scene.size)) for item in scene.objects] or (
                written in turn.truth["boxes"]
            )
        assert not parse_boxes(turn.answer).problems


def test_grounding_gives_every_object_that_matches():
    for scene, turn in asked("shapes", "locate"):
        words = turn.answer.lower().replace("gray", "grey").replace("oval", "ellipse").replace("rhombus", "diamond")
        label = words.split("<|/ref|>")[0] if "<|ref|>" in words else words
        if any(word in label for word in ("most", "lowest", "largest", "smallest", "filled", "outlined", "no ")):
            continue
        matching = [
            item
            for item in scene.objects
            if (item.colour in label or not any(colour in label for colour in naming.COLOURS))
            and (item.kind in label or not any(kind in label for kind in naming.SHAPES))
        ]
        assert sorted(turn.truth["boxes"]) == sorted(list(scale_box(item.box, scene.size)) for item in matching), turn


def test_counts_are_right_and_two_and_more_prevail():
    counts: Counter[int] = Counter()
    for scene, turn in asked("shapes", "count", 150):
        number = turn.truth["number"]
        counts[number] += 1
        colours = [colour for colour in naming.COLOURS if f" {colour} " in f" {turn.answer} "]
        kinds = [kind for kind in naming.SHAPES if f" {kind}" in turn.answer]
        found = naming.matching(scene, *(colours or [""]), *(kinds or [""])[:1])
        assert len(found) == number, turn
    assert set(counts) == set(range(10))
    assert sum(counts[number] for number in range(2, 10)) > 0.6 * counts.total()


@pytest.mark.parametrize(
    ("family", "task"), [("shapes", "exists"), ("shapes", "is_colour"), ("documents", "word_exists")]
)
def test_as_many_no_as_yes(family: str, task: str):
    answers = [turn.truth["yes"] for _, turn in asked(family, task, 100)]
    assert 0.42 < sum(answers) / len(answers) < 0.58


def test_a_follow_up_says_it():
    scene = scenes.render("shapes", Random(1), Level(0.0))
    turns = next(filter(None, (tasks.follow_up(scene, Random(seed)) for seed in range(20))))
    assert len(turns) > 1 and all(" it" in f" {turn.question.lower()}" for turn in turns[1:])


def test_ask_some_gives_different_questions():
    rng = Random(2)
    turns = tasks.ask_some(scenes.render("shapes", rng), rng, 9)
    assert len({turn.question for turn in turns}) == 9
