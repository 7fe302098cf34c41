"""Model -> table: accuracy per family and task on pictures whose seeds training never touches.

`evaluate` asks any `answer(messages) -> str`, so the app's backend, a remote server and a test double are
measured alike. A row with a floor is a promise that nano has to keep; the others say where it is weak.
`chance` is what always giving the most frequent answer of a row would score, where that is an answer at all.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from dsvl2_app.command_flags import EVAL_CASES
from dsvl2_app.evaluation.report import Answer, Messages, Score
from dsvl2_app.evaluation.scoring import read_number, read_quotation, says_any, score_boxes
from dsvl2_app.image.geometry import RELEASED_CANDIDATES, TileGeometry
from dsvl2_app.image.tiles import choose_grid
from dsvl2_app.text.prompt import place_images
from nano import scenes, tasks
from nano.samples import EVALUATION_SEEDS
from nano.scenes import Level, Scene
from nano.scenes.sizes import TILE
from nano.scenes.things import PHOTOGRAPHIC, STRANGE
from nano.scenes.things import render as render_things
from nano.tasks.pictures import compose
from nano.tasks.talk import ask_about
from nano.tasks.thing_names import DO_NOT_KNOW
from nano.tasks.turn import Turn
from nano.things.pack import (
    EVALUATION,
    FILES,
    INKED,
    KEPT_HAND,
    PHOTOGRAPH,
    TRAINING,
    Pack,
    read_evaluation,
    read_training,
)
from nano.things.vocabulary import nouns

SEEDS_PER_ROW = 100_000
MOST_CASES = 1000
GEOMETRY = TileGeometry(
    tile=TILE, candidates=tuple((width // 384 * TILE, height // 384 * TILE) for width, height in RELEASED_CANDIDATES)
)
TALL_ENOUGH = 14  # px of a word on its tile, from which reading it is promised


@dataclass(frozen=True, slots=True)
class Case:
    images: tuple[np.ndarray, ...]
    turn: Turn

    @property
    def messages(self) -> Messages:
        pictures = [Image.fromarray(image) for image in self.images]
        return [{"role": "user", "content": place_images(self.turn.question, pictures)}]


@dataclass(frozen=True, slots=True)
class Row:
    """What is measured: cases of these kinds, from these scenes."""

    family: str
    task: str
    kinds: tuple[str, ...]
    asks: tuple[str, ...]  # names of the tasks that may give such a question
    floor: float | None = None
    variety: str = ""
    wanted: Callable[[Scene, Turn], bool] = lambda scene, turn: True
    pack: Pack | None = None  # of sprites, for things
    strange: float = STRANGE
    photographic: float = PHOTOGRAPHIC
    declared: bool = False  # counts answers that do not say that the thing is unknown, whatever they name

    @property
    def first_seed(self) -> int:
        """Of its own, whatever other rows there are."""
        place = zlib.crc32(f"{self.family}/{self.task}".encode()) % 1000
        return EVALUATION_SEEDS + place * SEEDS_PER_ROW

    def cases(self, count: int) -> list[Case]:
        found: list[Case] = []
        for seed in range(self.first_seed, self.first_seed + SEEDS_PER_ROW):
            case = self._draw(seed)
            if case is not None:
                found.append(case)
                if len(found) == count:
                    return found
        raise AssertionError(f"{self.family} {self.task}: too few of {SEEDS_PER_ROW} scenes can be asked this")

    def _draw(self, seed: int) -> Case | None:
        rng = Random(seed)
        level = Level(rng.random())
        if self.family == "talk":
            return Case((), ask_about(rng, things=self.variety == "things"))
        if self.family == "pictures":
            several, turns = compose(rng, level, 12, self.variety)
            images = tuple(scene.image for scene in several)
            fitting = [turn for turn in turns if turn.kind in self.kinds]
            return Case(images, rng.choice(fitting)) if fitting else None
        if self.pack:
            scene = render_things(
                rng, level, self.pack, setting=self.variety, strange=self.strange, photographic=self.photographic
            )
        else:
            renderer = scenes.documents.VARIETIES.get(self.variety) if self.family == "documents" else None
            scene = renderer(rng, level) if renderer else scenes.render(self.family, rng, level)
        if not scene.objects:
            return None
        for _ in range(6):
            turn = tasks.ask(scene, rng, rng.choice(self.asks))
            if turn is not None and turn.kind in self.kinds and self.wanted(scene, turn):
                return Case((scene.image,), turn)
        return None


def _readable(scene: Scene, turn: Turn) -> bool:
    """A word of 3 to 10 letters, or a number of up to 5 digits, tall enough on its tile."""
    text = turn.truth["text"]
    width, height = scene.size
    columns, rows = choose_grid(width, height, GEOMETRY)
    scale = min(columns * TILE / width, rows * TILE / height)
    heights = [item.box[3] - item.box[1] for item in scene.objects if item.text == text]
    right_kind = text.isdigit() or (text.isalpha() and 3 <= len(text) <= 10)
    return right_kind and len(heights) == 1 and heights[0] * scale >= TALL_ENOUGH


def _up_to_six(scene: Scene, turn: Turn) -> bool:
    return turn.truth["number"] <= 6


_READING = ("read_only", "read_place", "read_colour", "read_box")

ROWS: tuple[Row, ...] = (
    Row("shapes", "locate one object", ("shapes.locate",), ("locate",), 0.90),
    Row("shapes", "locate several objects", ("shapes.locate_several",), ("locate",), 0.80),
    Row(
        "shapes", "colour, shape, yes or no",
        ("shapes.colour", "shapes.shape", "shapes.exists", "shapes.is_colour"),
        ("colour", "shape", "exists", "is_colour"), 0.93,
    ),
    Row("shapes", "count up to 6", ("shapes.count",), ("count",), 0.85, wanted=_up_to_six),
    Row("shapes", "left, right, above, below", ("shapes.side", "shapes.is_side"), ("side", "is_side"), 0.90),
    Row("shapes", "nothing matches", ("shapes.none",), ("locate",), 0.90),
    Row("screens", "locate a named widget", ("screens.locate",), ("locate",), 0.75),
    Row("documents", "locate a word", ("documents.locate_word",), ("locate_word",), 0.75),
    Row("documents", "read a word", ("documents.word", "documents.read_box"), _READING, 0.75, "words", _readable),
    Row("documents", "read a number", ("documents.number",), _READING, 0.80, "words", _readable),
    Row("charts", "tallest bar, highest value", ("charts.highest", "charts.highest_value"),
        ("highest", "highest_value"), 0.80),
    Row("pictures", "which picture", ("pictures.which",), (), 0.85, "mixed"),
    Row("pictures", "in-context grounding", ("pictures.in_context",), (), 0.70, "in_context"),
    # ---- no floor
    Row("shapes", "count 7 to 9", ("shapes.count",), ("count",), wanted=lambda _, turn: turn.truth["number"] > 6),
    Row("shapes", "where", ("shapes.where",), ("where",)),
    Row("shapes", "largest, smallest", ("shapes.largest", "shapes.smallest"), ("size",)),
    Row("shapes", "caption", ("shapes.caption",), ("caption",)),
    Row("shapes", "grounded caption", ("shapes.grounded_caption",), ("grounded_caption",)),
    Row("documents", "read everything", ("documents.read_all",), ("read_all",)),
    Row("documents", "read a line", ("documents.line", "documents.title"), ("line", "title"), None, "page"),
    Row("documents", "nothing matches", ("documents.none",), ("locate_word",)),
    Row("documents", "receipt", ("documents.total", "documents.price"), ("total", "price"), None, "receipt"),
    Row("documents", "form", ("documents.field",), ("field",), None, "form"),
    Row("documents", "table", ("documents.cell",), ("cell",), None, "table"),
    Row("charts", "value of a name", ("charts.value",), ("value",)),
    Row("charts", "locate a part", ("charts.locate",), ("locate",)),
    Row("charts", "title", ("charts.title",), ("title",)),
    Row("screens", "on or off", ("screens.ticked",), ("ticked",)),
    Row("screens", "which icon", ("screens.icon",), ("icon",)),
    Row("screens", "text of a field", ("screens.entered",), ("entered",)),
    Row("pictures", "difference", ("pictures.difference",), (), None, "difference"),
    Row("pictures", "count in one of them", ("pictures.count",), (), None, "mixed"),
    Row("talk", "about itself", (), ()),
)  # fmt: skip


def choose_rows(things: str | None) -> tuple[Row, ...]:
    """All rows, with those about things where the folder of their packs is given."""
    if not things:
        return ROWS
    training = read_training(Path(things) / FILES[TRAINING])
    evaluation = read_evaluation(Path(things) / FILES[EVALUATION])
    talk = Row("talk", "about itself", (), (), variety="things")
    return *(talk if row.family == "talk" else row for row in ROWS), *thing_rows(training, evaluation)


def thing_rows(training: Pack, evaluation: Pack) -> tuple[Row, ...]:
    """Things in hands that were trained on, in the hand that was not, in photographs that were not, and unknown ones.

    Pictures are new in all of them. Only `training` lends grounds to drawings, and only `evaluation` to photographs.
    """
    kept = Pack(evaluation.split, evaluation.only(KEPT_HAND).sprites, training.grounds)
    photographs = evaluation.only(PHOTOGRAPH)
    known, strange = _split_known(kept), _only_unknown(evaluation)
    training, inked = training.without(*INKED), training.only(*INKED)

    def row(task: str, kinds: tuple[str, ...], asks: tuple[str, ...], pack: Pack, **more: Any) -> Row:
        settings: dict[str, Any] = {"strange": 0.0, **more}
        return Row("things", task, kinds, asks, pack=pack, **settings)

    find = ("find",)
    return (
        row("name one", ("things.name",), ("name",), training, floor=0.95, variety="single"),
        row("find one", ("things.find",), find, training, floor=0.95),
        row("find several", ("things.find_several",), find, training, floor=0.92),
        row("count things to 6", ("things.count",), ("count",), training, floor=0.92, wanted=_up_to_six),
        row("find by kind", ("things.find_kind",), find, training, floor=0.88),
        row("name one, new hand", ("things.name",), ("name",), known, floor=0.80, variety="single"),
        row("find one, new hand", ("things.find",), find, known, floor=0.90),
        row("name one, photograph", ("things.name",), ("name",), photographs, floor=0.50, variety="single",
            photographic=1.0),
        row("find one, photograph", ("things.find",), find, photographs, floor=0.75, photographic=1.0),
        row("unknown", ("things.unknown",), ("name",), strange, floor=0.70, variety="single", strange=1.0),
        row("known, not declared unknown", ("things.name",), ("name",), training, floor=0.95, variety="single",
            declared=True),
        row("name one, in ink", ("things.name",), ("name",), inked, variety="single"),
        row("no such thing", ("things.none",), find, training),
        row("which kind", ("things.kind", "things.is_kind"), ("kind", "is_kind"), training),
        row("is there a", ("things.exists",), ("exists",), training),
        row("colour of a thing", ("things.colour",), ("colour",), training),
        row("odd one out", ("things.odd",), ("odd",), training),
        row("left of a thing", ("things.side", "things.is_side"), ("side", "is_side"), training),
        row("what it is for", ("things.purpose",), ("purpose",), training),
        row("caption of things", ("things.caption",), ("caption",), training),
        row("grounded caption of things", ("things.grounded_caption",), ("grounded_caption",), training),
    )  # fmt: skip


def _split_known(pack: Pack) -> Pack:
    return Pack(pack.split, tuple(sprite for sprite in pack.sprites if nouns()[sprite.noun].known), pack.grounds)


def _only_unknown(pack: Pack) -> Pack:
    """Unknown things in the hands of training, so that the thing alone is new."""
    chosen = (sprite for sprite in pack.without(KEPT_HAND, *INKED).sprites if not nouns()[sprite.noun].known)
    return Pack(pack.split, tuple(chosen), pack.grounds)


# ---- scoring -----------------------------------------------------------------------------------------------


_NAMING = re.compile(r"^((it|this|that|they|these) (is|are) )?((an?|the|some) )?")


def score(turn: Turn, answer: str) -> float:
    """0 to 1: how right an answer is."""
    match turn.truth:
        case {"boxes": boxes}:
            return score_boxes(answer, boxes)
        case {"number": number}:
            return float(read_number(answer) == number)
        case {"yes": yes}:
            first = re.findall(r"\w+", answer.lower())[:1]
            return float(first == ["yes" if yes else "no"])
        case {"text": text}:
            # A lone word in one size does not show its case ("oz", "OZ"), so case does not count.
            given = (read_quotation(answer), answer.strip())
            return float(text.casefold() in (candidate.casefold() for candidate in given))
        case {"fact": accepted}:
            return float(says_any(answer, accepted))
        case {"name": accepted}:
            return float(_NAMING.sub("", answer.strip().lower()).rstrip(".") in accepted)
        case {"all": groups}:
            return sum(says_any(answer, accepted) for accepted in groups) / len(groups)
    raise AssertionError(f"no way to score {turn.truth}")


def _score(row: Row, turn: Turn, answer: str) -> float:
    return float(not says_any(answer, [DO_NOT_KNOW])) if row.declared else score(turn, answer)


def _chance(cases: Sequence[Case]) -> float:
    keys = Counter(str(case.turn.truth) for case in cases if case.turn.truth.keys() & {"number", "yes", "fact", "name"})
    return keys.most_common(1)[0][1] / len(cases) if keys else 0.0


def evaluate(answer: Answer, cases: int = EVAL_CASES, rows: Sequence[Row] = ROWS) -> Iterator[Score]:
    """Row by row, for a caller that shows progress."""
    for row in rows:
        drawn = row.cases(cases)
        points = [_score(row, case.turn, answer(case.messages)) for case in drawn]
        yield Score(row.family, row.task, len(drawn), sum(points) / len(points), _chance(drawn), row.floor)
