"""Two to four pictures of things: which one has it, and the same thing in another hand."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from nano.phrasings import phrase
from nano.scenes import Level, Scene
from nano.scenes.scene import UNKNOWN_THING
from nano.scenes.things import render
from nano.tasks.pictures import ORDINALS, UNSOUGHT, WITHOUT_TILES
from nano.tasks.thing_names import article_of, named
from nano.tasks.turn import Turn, write_boxes, write_label, write_reference
from nano.things.pack import Pack
from nano.things.vocabulary import nouns


def compose_things(
    rng: Random, level: Level, count: int, pack: Pack, variety: str = "", unsought: float = UNSOUGHT
) -> tuple[list[Scene], list[Turn]]:
    """Pictures and up to `count` questions about them together; the variety is "which" or "in_context"."""
    variety = variety or rng.choice(("which", "in_context"))
    return _which(rng, level, count, pack) if variety == "which" else _in_context(rng, level, count, pack, unsought)


def _which(rng: Random, level: Level, count: int, pack: Pack) -> tuple[list[Scene], list[Turn]]:
    number = rng.choices((2, 3, 4), (50, 30, 20))[0]
    level = replace(level, most_tiles=1 if number >= WITHOUT_TILES else min(level.most_tiles, 4))
    several = [render(rng, level, pack) for _ in range(number)]
    turns: dict[str, Turn] = {}
    for _ in range(3 * count):
        place = rng.randrange(number)
        item = rng.choice(several[place].objects)
        others = [scene for other, scene in enumerate(several) if other != place]
        if item.kind == UNKNOWN_THING or any(named(scene, item.kind) for scene in others):
            continue
        what = article_of(nouns()[item.kind])
        question = phrase(rng, "which_picture", what=what, verbatim=True)
        answer = f"The {ORDINALS[place]} picture shows {what}."
        turns.setdefault(question, Turn(question, answer, "things.which_picture", {"fact": [ORDINALS[place]]}))
        if len(turns) == count:
            break
    return several, list(turns.values())


def _in_context(rng: Random, level: Level, count: int, pack: Pack, unsought: float) -> tuple[list[Scene], list[Turn]]:
    """A red rectangle marks a thing in the first picture; the answer boxes all of its noun in the second."""
    level = replace(level, most_tiles=min(level.most_tiles, 4))
    first = render(rng, level, pack, marked=True)
    noun = nouns()[first.objects[first.facts["marked"]].kind]
    second = render(rng, level, pack, wanted=noun.name if rng.random() > unsought else "")
    found = [item.box for item in named(second, noun.name)]
    turns = []
    for _ in range(max(1, count // 3)):
        question = phrase(rng, "in_context")
        answer = (
            write_reference(noun.name, found, second.size)
            if found
            else f"{write_label(noun.name)}: there is none in the second picture."
        )
        truth = {"boxes": write_boxes(found, second.size)[1] if found else []}
        turns.append(Turn(question, answer, "things.in_context", truth))
    marked = f"It is {article_of(noun)}."
    turns.append(Turn(phrase(rng, "marked"), marked, "things.marked", {"fact": [noun.name]}))
    return [first, second], turns
