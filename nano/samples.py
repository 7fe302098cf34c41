"""Seed -> Sample, endless and reproducible: pictures, and conversations about them that each stand alone.

A sample depends on its seed and its mixture alone, so any number of workers may share the work, and a run
that was killed goes on where it stopped. Seeds from EVALUATION_SEEDS up belong to evaluation: training cannot
draw them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from nano import scenes, tasks
from nano.scenes import Level, Scene
from nano.scenes.things import render as render_things
from nano.tasks.pictures import compose
from nano.tasks.talk import ask_about, talk
from nano.tasks.thing_pictures import compose_things
from nano.tasks.turn import Turn
from nano.things.pack import TRAINING, Pack

EVALUATION_SEEDS = 900_000_000
SEEDS_PER_RUN = 100_000_000
RUNS = EVALUATION_SEEDS // SEEDS_PER_RUN  # run 0 draws the seeds from 0, run 1 those from 100,000,000, ...

Dialogue = tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """`dialogues` are independent: each follows the same images and knows nothing of the others."""

    scenes: tuple[Scene, ...]
    dialogues: tuple[Dialogue, ...]

    @property
    def images(self) -> tuple[np.ndarray, ...]:
        return tuple(scene.image for scene in self.scenes)


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a stage of training sees. The weights say how often a sample is of each sort."""

    shapes: float = 1.0
    documents: float = 1.0
    charts: float = 0.0
    screens: float = 0.0
    pictures: float = 0.0  # several pictures in one conversation
    unsought: float = 0.25  # in context: share of second pictures drawn without making sure that the kind occurs
    talk: float = 0.0  # no picture at all
    things: float = 0.0  # needs a pack of sprites
    pure: float = 0.0  # shapes in colours as programs name them
    hardness: tuple[float, float] = (0.0, 1.0)  # drawn evenly from this range
    most_tiles: int = 9
    questions: int = 9  # about each sample
    longest_dialogue: int = 1  # turns; more than 1 makes conversations


STAGES: dict[str, Mixture] = {
    # What patches show, before there is any language: half of it letters, few tiles.
    "patches": Mixture(shapes=0.4, documents=0.5, charts=0.05, screens=0.05, most_tiles=4, questions=0),
    "align": Mixture(shapes=0.5, documents=0.4, charts=0.05, screens=0.05, hardness=(0.0, 0.8), most_tiles=4),
    # 70 % pictures with text, 30 % text, as in the paper.
    "pretrain": Mixture(shapes=0.26, documents=0.22, charts=0.07, screens=0.08, pictures=0.07, talk=0.30),
    "sft": Mixture(
        shapes=0.28, documents=0.26, charts=0.13, screens=0.12, pictures=0.18, talk=0.03, longest_dialogue=4
    ),
}
# With a pack of sprites: things beside everything else.
WITH_THINGS: dict[str, Mixture] = {
    "patches_things": Mixture(
        things=0.5, shapes=0.18, documents=0.26, charts=0.03, screens=0.03, most_tiles=4, questions=0
    ),
    "pretrain_things": Mixture(
        things=0.48, shapes=0.09, documents=0.20, charts=0.05, screens=0.04, pictures=0.05, talk=0.09
    ),
    "sft_things": Mixture(
        things=0.36, shapes=0.10, pure=0.03, documents=0.26, charts=0.09, screens=0.05, pictures=0.09, talk=0.02,
        longest_dialogue=4,
    ),
}  # fmt: skip
SEVERAL_THINGS = 0.16  # share of pictures of things that come with others
STRANGE_TAUGHT = 0.15  # share of things that are unknown, where there is one picture
STYLED = 0.55  # and of those in another hand than any that a source has


def make_sample(mixture: Mixture, seed: int, pack: Pack | None = None) -> Sample:
    """`pack` holds the sprites of a mixture that has things."""
    rng = Random(seed)
    sorts = ("shapes", "documents", "charts", "screens", "pictures", "talk", "things", "pure")
    sort = rng.choices(sorts, [getattr(mixture, name) for name in sorts])[0]
    if sort == "talk":
        turns = [talk(rng, things=mixture.things > 0) for _ in range(mixture.questions)]
        return Sample((), _converse(turns, mixture, rng))
    level = Level(rng.uniform(*mixture.hardness), mixture.most_tiles)
    if sort == "things":
        assert pack, "a mixture with things needs a pack of sprites"
        if mixture.questions and rng.random() < SEVERAL_THINGS:
            several, turns = compose_things(rng, level, mixture.questions, pack, unsought=mixture.unsought)
        else:
            several = [render_things(rng, level, pack, strange=STRANGE_TAUGHT, styled=STYLED)]
            turns = tasks.ask_some(several[0], rng, mixture.questions)
        return Sample(tuple(several), _converse(turns, mixture, rng))
    if sort == "pictures":
        several, turns = compose(rng, level, mixture.questions, unsought=mixture.unsought)
        return Sample(tuple(several), _converse(turns, mixture, rng))
    scene = scenes.render("shapes" if sort == "pure" else sort, rng, replace(level, pure=sort == "pure"))
    turns = tasks.ask_some(scene, rng, mixture.questions)
    dialogues = _converse(turns, mixture, rng)
    if mixture.longest_dialogue > 1 and rng.random() < 0.4:
        follow_up = tasks.follow_up(scene, rng)
        if follow_up:
            dialogues = (*dialogues, tuple(follow_up))
    return Sample((scene,), dialogues)


def _converse(turns: list[Turn], mixture: Mixture, rng: Random) -> tuple[Dialogue, ...]:
    """Split questions into conversations, some of them with a greeting or thanks around."""
    dialogues: list[Dialogue] = []
    start = 0
    while start < len(turns):
        length = rng.randint(1, mixture.longest_dialogue) if rng.random() < 0.5 else 1
        dialogue = list(turns[start : start + length])
        start += length
        if mixture.longest_dialogue > 1:
            if rng.random() < 0.03:
                dialogue.insert(0, ask_about(rng, rng.choice(("hello", "can", "name")), things=mixture.things > 0))
            if rng.random() < 0.03:
                dialogue.append(ask_about(rng, rng.choice(("thanks", "bye", "cannot")), things=mixture.things > 0))
        dialogues.append(tuple(dialogue))
    return tuple(dialogues)


class SampleStream:
    """The samples of one training run by index; `stream[index]` costs the same wherever it is."""

    def __init__(self, mixture: Mixture, run: int = 0, pack: Pack | None = None) -> None:
        if pack and pack.split != TRAINING:
            raise ValueError(f"Sprites for {pack.split} are none to train on.")
        self.mixture, self.pack = mixture, pack
        if not 0 <= run < RUNS:
            raise ValueError(f"Run {run} would train on evaluation seeds; choose one from 0 to {RUNS - 1}.")
        self.first = run * SEEDS_PER_RUN

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < SEEDS_PER_RUN:
            raise IndexError(f"A run has {SEEDS_PER_RUN:,} samples; {index:,} is not one of them.")
        return make_sample(self.mixture, self.first + index, self.pack)

    def walk(self, start: int = 0, step: int = 1) -> Iterator[Sample]:
        """The samples start, start + step, ...: worker w of n takes `walk(w, n)`."""
        for index in range(start, SEEDS_PER_RUN, step):
            yield self[index]
