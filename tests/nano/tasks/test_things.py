"""Questions about things: answers agree with the picture, and evaluation accepts them."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from random import Random

import pytest

from dsvl2_app.text.boxes import parse_boxes
from nano import tasks
from nano.samples import WITH_THINGS, make_sample
from nano.scenes import Level, Scene
from nano.scenes.scene import UNKNOWN_THING, scale_box
from nano.scenes.things import render
from nano.suite import score, thing_rows
from nano.tasks.thing_names import DO_NOT_KNOW
from nano.tasks.thing_pictures import compose_things
from nano.tasks.turn import Turn
from nano.things.pack import EVALUATION
from nano.things.vocabulary import by_words, kinds, nouns
from tests.nano.packs import make_pack

PACK = make_pack()


@lru_cache
def scenes(setting: str, count: int) -> list[Scene]:
    return [render(Random(seed), Level(0.4), PACK, setting=setting) for seed in range(count)]


def asked(task: str, count: int = 60) -> list[tuple[Scene, Turn]]:
    setting = "single" if task == "name" else ""
    pairs = [
        (scene, turn)
        for seed, scene in enumerate(scenes(setting, count))
        for turn in [tasks.ask(scene, Random(f"{task} {seed}"), task)]
        if turn
    ]
    assert pairs, "nothing was ever asked"
    return pairs


@pytest.mark.slow
@pytest.mark.parametrize("task", tasks.TASKS["things"])
def test_every_task_asks_and_its_own_answer_is_right(task: str):
    for scene, turn in asked(task, 200 if task == "odd" else 60):
        assert turn.question.strip() == turn.question and not {"{", "«"} & set(turn.question)
        assert score(turn, turn.answer) == 1.0, turn
        assert score(turn, "Perhaps.") == 0.0 or turn.truth == {"boxes": []}
        assert turn.kind.startswith("things.")
        parsed = parse_boxes(turn.answer)
        assert not parsed.problems
        there = [list(scale_box(item.box, scene.size)) for item in scene.objects]
        assert all([box.x1, box.y1, box.x2, box.y2] in there for box in parsed.boxes)


def test_a_name_is_accepted_in_full_alone():
    turn = Turn("?", "", "things.name", {"name": ["tree", "trees"]})
    assert [score(turn, answer) for answer in ("It is a tree.", "A tree", "tree", "It is a palm tree.", "")] == [
        1, 1, 1, 0, 0,
    ]  # fmt: skip


def test_finding_gives_every_thing_that_matches():
    kinds_found = Counter()
    plurals = {kind.plural: kind for kind in kinds().values()} | {kind.name: kind for kind in kinds().values()}
    for scene, turn in asked("find", 200):
        kinds_found[turn.kind] += 1
        label = turn.answer.partition("<|/ref|>")[0].removeprefix("<|ref|>").lower()
        label = label.removeprefix("all ").removeprefix("the ")
        if turn.kind == "things.none" or label.endswith("object"):
            continue
        if turn.kind == "things.find_kind":
            found = [item for item in scene.objects if nouns()[item.kind].kind is plurals[label]]
        else:
            noun = by_words().get(label) or by_words()[label[:-1]]
            found = [item for item in scene.objects if item.kind == noun.name]
        assert sorted(turn.truth["boxes"]) == sorted(list(scale_box(item.box, scene.size)) for item in found), turn
    assert set(kinds_found) == {"things.find", "things.find_several", "things.find_kind", "things.none"}


def test_nothing_is_said_of_kinds_where_something_is_unknown():
    for scene, turn in asked("find", 200):
        if any(item.kind == UNKNOWN_THING for item in scene.objects):
            assert turn.kind != "things.find_kind"


@pytest.mark.slow
def test_counts_are_right_and_reach_nine():
    counts: Counter[int] = Counter()
    for scene, turn in asked("count", 300):
        number = turn.truth["number"]
        counts[number] += 1
        called = turn.answer.removesuffix(".").split(maxsplit=3)[3]
        if called in by_words():
            assert number == sum(item.kind == by_words()[called].name for item in scene.objects), turn
    assert set(range(8)) <= set(counts)


@pytest.mark.slow
def test_what_is_unknown_is_said_to_be():
    for scene, turn in asked("name", 200):
        unknown = scene.objects[0].kind == UNKNOWN_THING
        assert (turn.answer == f"{DO_NOT_KNOW}.") == unknown == (turn.kind == "things.unknown")
        assert unknown or nouns()[scene.objects[0].kind].name in turn.answer


@pytest.mark.parametrize("task", ["exists", "is_kind", "is_side"])
def test_as_many_no_as_yes(task: str):
    answers = [turn.truth["yes"] for _, turn in asked(task, 300)]
    assert 0.35 < sum(answers) / len(answers) < 0.65


def test_several_pictures_of_things():
    for seed in range(8):
        several, turns = compose_things(Random(seed), Level(0.5), 6, PACK, "which")
        assert 2 <= len(several) <= 4
        for turn in turns:
            place = ("first", "second", "third", "fourth").index(turn.truth["fact"][0])
            what = turn.answer.partition(" shows ")[2].removesuffix(".")
            noun = by_words()[what.removeprefix("an ").removeprefix("a ")].name
            assert [any(item.kind == noun for item in scene.objects) for scene in several].index(True) == place
    (first, second), turns = compose_things(Random(3), Level(0.5), 6, PACK, "in_context", unsought=0.0)
    noun = first.objects[first.facts["marked"]].kind
    boxes = sorted(list(scale_box(item.box, second.size)) for item in second.objects if item.kind == noun)
    assert boxes and {turn.kind for turn in turns} == {"things.in_context", "things.marked"}
    assert all(sorted(turn.truth["boxes"]) == boxes for turn in turns if turn.kind == "things.in_context")


@pytest.mark.slow
def test_samples_with_things_are_the_same_every_time():
    for name, mixture in WITH_THINGS.items():
        one, other = (make_sample(mixture, 5, PACK) for _ in range(2))
        assert one.dialogues == other.dialogues and bool(one.dialogues) == (name != "patches_things")
    families = Counter(
        scene.family for seed in range(40) for scene in make_sample(WITH_THINGS["patches_things"], seed, PACK).scenes
    )
    assert families["things"] > 8 and len(families) > 2


def test_every_row_about_things_has_cases():
    rows = thing_rows(PACK, make_pack(EVALUATION))
    assert {row.task: row.floor for row in rows if row.floor} == {
        "name one": 0.95, "find one": 0.95, "find several": 0.92, "count things to 6": 0.92, "find by kind": 0.88,
        "name one, new hand": 0.80, "find one, new hand": 0.90, "name one, photograph": 0.50,
        "find one, photograph": 0.75, "unknown": 0.70, "known, not declared unknown": 0.95,
    }  # fmt: skip
    for row in rows:
        (case,) = row.cases(1)
        assert case.turn.kind in row.kinds and score(case.turn, case.turn.answer) == 1.0
