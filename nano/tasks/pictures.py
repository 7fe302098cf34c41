"""Conversations over two to four pictures: which one, how many, what differs, find the same kind of thing."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

from nano import scenes
from nano.phrasings import phrase
from nano.scenes import Level, Scene
from nano.scenes.scene import COLOURS
from nano.scenes.shapes import render as render_shapes
from nano.tasks.naming import describe, matching
from nano.tasks.reading import quote
from nano.tasks.turn import (
    Turn,
    article,
    join,
    place_of,
    plural,
    write_boxes,
    write_label,
    write_reference,
)

ORDINALS = ("first", "second", "third", "fourth")
WITHOUT_TILES = 3  # from so many pictures on, none is cut into tiles
UNSOUGHT = 0.1  # what evaluation is measured with


def compose(
    rng: Random, level: Level, count: int, variety: str = "", *, unsought: float = UNSOUGHT
) -> tuple[list[Scene], list[Turn]]:
    """Pictures and up to `count` questions about them together; `unsought` as in `compose_in_context`."""
    variety = variety or rng.choices(("mixed", "in_context", "difference"), (45, 42, 13))[0]
    if variety == "in_context":
        return compose_in_context(rng, level, count, unsought)
    return {"mixed": compose_mixed, "difference": compose_difference}[variety](rng, level, count)


# ---- different pictures ------------------------------------------------------------------------------------


def compose_mixed(rng: Random, level: Level, count: int) -> tuple[list[Scene], list[Turn]]:
    number = rng.choices((2, 3, 4), (50, 30, 20))[0]
    level = replace(level, most_tiles=1 if number >= WITHOUT_TILES else min(level.most_tiles, 4))
    several: list[Scene] = []
    while len(several) < number:
        draw = rng.random()
        if draw < 0.7:
            scene = render_shapes(rng, replace(level, hardness=level.hardness * (draw < 0.45)))
        elif draw < 0.9:
            scene = scenes.documents.render(rng, level, "words")
        else:
            scene = scenes.render(rng.choice(("charts", "screens")), rng, level)
        if scene.objects:
            several.append(scene)
    return several, _ask_about(several, rng, count, [])


def _ask_about(several: list[Scene], rng: Random, count: int, first: list[Turn]) -> list[Turn]:
    """`first` and further questions, `count` different ones in all."""
    turns = {turn.question: turn for turn in first}
    for ask in rng.choices([ask for ask, _ in ASKS], [weight for _, weight in ASKS], k=4 * count):
        turn = ask(several, rng)
        if turn is not None:
            turns.setdefault(turn.question, turn)
        if len(turns) >= count:
            break
    return list(turns.values())


def _phrase(rng: Random, kind: str, picture: int, *, verbatim: bool = False, **slots: str) -> str:
    """As `phrase`, about one picture of several."""
    number = rng.choice((str(picture + 1), str(picture + 1), ORDINALS_AS_WORDS[picture]))
    return phrase(rng, kind, verbatim=verbatim, **slots, ordinal=ORDINALS[picture], number=number)


ORDINALS_AS_WORDS = ("one", "two", "three", "four")


def _the(number: int) -> str:
    return f"the {ORDINALS[number]} picture"


def ask_which(several: list[Scene], rng: Random) -> Turn | None:
    """Something that one picture alone has."""
    number = rng.randrange(len(several))
    scene = several[number]
    others = [other for place, other in enumerate(several) if place != number]
    if scene.family == "shapes":
        item = rng.choice(scene.objects)
        colour, kind = rng.choice(
            ((item.colour, item.kind), (item.colour, item.kind), ("", item.kind), (item.colour, ""))
        )
        if any(matching(other, colour, kind) for other in others if other.family == "shapes"):
            return None
        # A chart or a button may well have that colour.
        if not kind and any(other.family in ("charts", "screens") for other in others):
            return None
        what = article(f"{colour} {kind or 'object'}".strip())
        if not kind and any(item.colour == colour for other in others for item in other.objects):
            return None
    elif scene.variety == "words":
        word = rng.choice(scene.objects).text
        if len(word) < 2 or any(word.lower() == item.text.lower() for other in others for item in other.objects):
            return None
        what = f"the {'number' if word.isdigit() else 'word'} {quote(word)}"
    else:
        kind = scene.facts.get("kind", "window")
        if any(other.facts.get("kind", other.variety) == kind for other in others):
            return None
        what = article(kind)
    answer = f"The {ORDINALS[number]} picture shows {what}."
    return Turn(
        phrase(rng, "which_picture", what=what, verbatim=True), answer, "pictures.which", {"fact": [ORDINALS[number]]}
    )


def ask_in_picture(several: list[Scene], rng: Random) -> Turn | None:
    number = rng.randrange(len(several))
    scene = several[number]
    if scene.family != "shapes" or len(scene.objects) > 5:
        return None
    names: dict[str, int] = {}
    for item in sorted(scene.objects, key=lambda item: item.box):
        names[describe(item)] = names.get(describe(item), 0) + 1
    parts = join([article(name) if count == 1 else f"{count} {plural(name)}" for name, count in names.items()])
    answer = f"The {ORDINALS[number]} picture shows {parts}."
    question = _phrase(rng, "in_picture", number)
    return Turn(question, answer, "pictures.caption", {"all": [[name, plural(name)] for name in names]})


def ask_count_in_picture(several: list[Scene], rng: Random) -> Turn | None:
    number = rng.randrange(len(several))
    scene = several[number]
    if scene.family != "shapes":
        return None
    item = rng.choice(scene.objects)
    colour, kind = rng.choice((("", ""), (item.colour, item.kind), ("", item.kind), (item.colour, "")))
    count = len(matching(scene, colour, kind))
    if count > 9 or (count == 1 and rng.random() < 0.7):
        return None
    noun = f"{colour} {kind or 'object'}".strip()
    answer = (
        f"There is 1 {noun} in {_the(number)}."
        if count == 1
        else f"There are {count} {plural(noun)} in {_the(number)}."
    )
    question = _phrase(rng, "count_in_picture", number, what=plural(noun))
    return Turn(question, answer, "pictures.count", {"number": count})


def ask_read_in_picture(several: list[Scene], rng: Random) -> Turn | None:
    single = [number for number, scene in enumerate(several) if scene.variety == "words" and len(scene.objects) == 1]
    if not single:
        return None
    number = rng.choice(single)
    text = several[number].objects[0].text
    question = _phrase(rng, "read_picture", number)
    return Turn(question, f"It says {quote(text)}.", "pictures.read", {"text": text})


def ask_locate_in_picture(several: list[Scene], rng: Random) -> Turn | None:
    number = rng.randrange(len(several))
    scene = several[number]
    if scene.family != "shapes":
        return None
    item = rng.choice(scene.objects)
    found = matching(scene, item.colour, item.kind)
    name = describe(item) if len(found) == 1 else plural(describe(item))
    label = rng.choice((name, f"the {name}"))
    question = _phrase(rng, "locate_in_picture", number, what=label, verbatim=True)
    boxes = [other.box for other in found]
    truth = {"boxes": write_boxes(boxes, scene.size)[1]}
    return Turn(question, write_reference(label, boxes, scene.size), "pictures.locate", truth)


def ask_how_many(several: list[Scene], rng: Random) -> Turn:
    count = len(several)
    return Turn(phrase(rng, "how_many_pictures"), f"There are {count} pictures.", "pictures.number", {"number": count})


def ask_most(several: list[Scene], rng: Random) -> Turn | None:
    if any(scene.family != "shapes" for scene in several):
        return None
    counts = [len(scene.objects) for scene in several]
    top = max(counts)
    if counts.count(top) > 1:
        return None
    number = counts.index(top)
    answer = f"The {ORDINALS[number]} picture has the most objects, {top}."
    return Turn(phrase(rng, "more_objects"), answer, "pictures.most", {"fact": [ORDINALS[number]]})


# ---- the same kind of thing --------------------------------------------------------------------------------


def compose_in_context(
    rng: Random, level: Level, count: int, unsought: float = UNSOUGHT
) -> tuple[list[Scene], list[Turn]]:
    """A red rectangle in the first picture marks an object; the answer boxes objects of its kind in the second.

    The share `unsought` of second pictures is drawn without making sure that the kind occurs; it does in one of five of
    them. Either answer begins with the kind in the singular, so that the model finds out first which kind is marked,
    and decides with the next token whether it is there.
    """
    level = replace(level, most_tiles=min(level.most_tiles, 4))
    first = render_shapes(rng, level, marked=True)
    marked = first.objects[first.facts["marked"]]
    sought = rng.random() > unsought
    second = render_shapes(rng, level, wanted=marked.kind if sought else "")
    found = matching(second, kind=marked.kind)
    turns: list[Turn] = []
    for _ in range(max(1, count // 2)):
        question = phrase(rng, "in_context")
        if rng.random() < 0.35:  # as people type it, who do not know the special token
            question = question.removeprefix("<|grounding|>")
            question = question[0].upper() + question[1:] if rng.random() < 0.7 else question
        if found:
            boxes = [item.box for item in found]
            answer, truth = write_reference(marked.kind, boxes, second.size), write_boxes(boxes, second.size)[1]
        else:
            answer, truth = f"{write_label(marked.kind)}: there is none in the second picture.", []
        turns.append(Turn(question, answer, "pictures.in_context", {"boxes": truth}))
    return [first, second], _ask_about([first, second], rng, count, turns)


def ask_marked(several: list[Scene], rng: Random) -> Turn | None:
    if "marked" not in several[0].facts:
        return None
    item = several[0].objects[several[0].facts["marked"]]
    answer = f"It is {article(describe(item))}."
    return Turn(phrase(rng, "marked"), answer, "pictures.marked", {"fact": [describe(item)]})


# ---- spot the difference -----------------------------------------------------------------------------------


def compose_difference(rng: Random, level: Level, count: int) -> tuple[list[Scene], list[Turn]]:
    """The same picture twice, but for the colour of one object."""
    level = replace(level, most_tiles=min(level.most_tiles, 4), hardness=level.hardness * 0.5)
    seed = rng.getrandbits(48)
    first = render_shapes(Random(seed), level, repaint={})
    number = rng.randrange(len(first.objects))
    item = first.objects[number]
    ground = first.image[first.owner == 0].mean(0)
    seen = [name for name, value in COLOURS.items() if name != item.colour and math.dist(value, ground) > 95]
    colour = rng.choice(seen)
    second = render_shapes(Random(seed), level, repaint={number: colour})
    place = place_of(item.box, first.size)
    where = f" {place}" if place else ""
    answer = f"The {item.kind}{where} is {item.colour} in the first picture and {colour} in the second."
    truth = {"all": [[item.kind], [item.colour], [colour]]}
    turns = [Turn(phrase(rng, "difference"), answer, "pictures.difference", truth) for _ in range(min(3, count))]
    return [first, second], _ask_about([first, second], rng, count, turns)


ASKS = (
    (ask_which, 4.0),
    (ask_in_picture, 1.0),
    (ask_count_in_picture, 1.5),
    (ask_read_in_picture, 1.5),
    (ask_locate_in_picture, 1.5),
    (ask_how_many, 0.2),
    (ask_most, 0.8),
    (ask_marked, 0.8),
)
