"""Questions about coloured shapes."""

from __future__ import annotations

from collections import Counter
from random import Random

from nano.phrasings import phrase
from nano.scenes.scene import COLOURS, Scene, SceneObject
from nano.tasks.boxes import (
    ask_caption,
    ask_grounded_beside,
    ask_grounded_caption,
    ask_in_box,
    ask_locate,
)
from nano.tasks.naming import (
    SYNONYMS,
    THINGS,
    describe,
    find_absent,
    find_beside,
    find_extreme,
    find_unique,
    matching,
    say,
    spellings,
)
from nano.tasks.turn import OPPOSITE, SAID, Task, Turn, article, capital, join, place_of, plural, side_of


def ask_shape(scene: Scene, rng: Random) -> Turn | None:
    if len(scene.objects) == 1 and rng.random() < 0.6:
        item = scene.objects[0]
        answer = f"It is {article(describe(item))}."
        return Turn(phrase(rng, "only"), answer, "shapes.shape", {"fact": [item.kind]})
    colours = Counter(item.colour for item in scene.objects)
    single = [item for item in scene.objects if colours[item.colour] == 1]
    if not single:
        return None
    item = rng.choice(single)
    what = f"{say(rng, item.colour)} {rng.choice(THINGS)}"
    answer = f"The {item.colour} object is {article(item.kind)}."
    return Turn(phrase(rng, "shape", what=what), answer, "shapes.shape", {"fact": [item.kind]})


def ask_colour(scene: Scene, rng: Random) -> Turn | None:
    kinds = Counter(item.kind for item in scene.objects)
    single = [item for item in scene.objects if kinds[item.kind] == 1]
    if not single:
        return None
    item = rng.choice(single)
    what = say(rng, item.kind)
    if len(scene.objects) == 1 and rng.random() < 0.3:
        what = rng.choice(THINGS)
    answer = f"The {item.kind} is {item.colour}."
    return Turn(phrase(rng, "colour", what=what), answer, "shapes.colour", {"fact": spellings(item.colour)})


def ask_count(scene: Scene, rng: Random) -> Turn | None:
    """Counts of two and more are sought out: most descriptions fit one object or none."""
    draw = rng.random()
    wants = []
    for colour in {item.colour for item in scene.objects}:
        wants.append((colour, ""))
    for kind in {item.kind for item in scene.objects}:
        wants.append(("", kind))
    wants += sorted({(item.colour, item.kind) for item in scene.objects})
    wants.sort()
    if draw < 0.07:
        absent = find_absent(scene, rng)
        if absent is None:
            return None
        colour, kind = absent
    elif draw < 0.2 and 2 <= len(scene.objects) <= 9:
        colour = kind = ""
    else:
        weights = [min(len(matching(scene, *want)), 9) ** 1.5 for want in wants]
        colour, kind = rng.choices(wants, weights)[0]
    count = len(matching(scene, colour, kind))
    if count > 9 or (count == 1 and rng.random() < 0.85):
        return None
    noun = kind or "object"
    said = say(rng, colour, plural(kind)) if kind else say(rng, colour, plural(rng.choice(THINGS)))
    if kind in SYNONYMS and rng.random() < 0.2:
        said = say(rng, colour, plural(SYNONYMS[kind][1]))
    described = f"{colour} {noun if count == 1 else plural(noun)}".strip()
    answer = (
        f"There is 1 {described}."
        if count == 1
        else f"There are {count} {described}."
        if count
        else f"There are no {described}."
    )
    return Turn(phrase(rng, "count", what=said), answer, "shapes.count", {"number": count})


def ask_where(scene: Scene, rng: Random) -> Turn | None:
    found = find_unique(scene, rng)
    if found is None:
        return None
    said, item = found
    place = place_of(item.box, scene.size)
    if place is None:
        return None
    answer = f"The {describe(item)} is {place}."
    return Turn(phrase(rng, "where", what=said), answer, "shapes.where", {"fact": [place]})


def _pair(scene: Scene, rng: Random) -> tuple[str, SceneObject, str, SceneObject, str] | None:
    if len(scene.objects) < 2:
        return None
    for _ in range(4):
        first, second = find_unique(scene, rng), find_unique(scene, rng)
        if first is None or second is None or first[1] is second[1]:
            continue
        side = side_of(first[1].box, second[1].box)
        if side:
            return *first, *second, side
    return None


def ask_side(scene: Scene, rng: Random) -> Turn | None:
    pair = _pair(scene, rng)
    if pair is None:
        return None
    one, first, other, second, side = pair
    kind = "side" if "left" in side or "right" in side else "height"
    answer = f"The {describe(first)} is {side} the {describe(second)}."
    question = phrase(rng, kind, one=one, other=other)
    fact = [word for word in ("left", "right", "above", "below") if word in side]
    return Turn(question, answer, "shapes.side", {"fact": fact})


def ask_is_side(scene: Scene, rng: Random) -> Turn | None:
    pair = _pair(scene, rng)
    if pair is None:
        return None
    one, first, other, second, side = pair
    yes = rng.random() < 0.5
    asked = side if yes else OPPOSITE[side]
    question = phrase(rng, "is_side", one=one, other=other, side=rng.choice(SAID[asked]))
    answer = f"{'Yes' if yes else 'No'}, the {describe(first)} is {side} the {describe(second)}."
    return Turn(question, answer, "shapes.is_side", {"yes": yes})


def ask_exists(scene: Scene, rng: Random) -> Turn | None:
    yes = rng.random() < 0.5
    if yes:
        item = rng.choice(scene.objects)
        colour, kind = item.colour, item.kind
        if rng.random() < 0.25:
            colour, kind = rng.choice(((colour, ""), ("", kind)))
    else:
        absent = find_absent(scene, rng)
        if absent is None:
            return None
        colour, kind = absent
        if rng.random() < 0.25:
            wider = rng.choice(((colour, ""), ("", kind)))
            colour, kind = (colour, kind) if matching(scene, *wider) else wider
    noun = f"{colour} {kind or 'object'}".strip()
    said = article(say(rng, colour, kind or rng.choice(THINGS)))
    answer = f"Yes, there is {article(noun)}." if yes else f"No, there is no {noun}."
    return Turn(phrase(rng, "exists", what=said), answer, "shapes.exists", {"yes": yes})


def ask_is_colour(scene: Scene, rng: Random) -> Turn | None:
    kinds = Counter(item.kind for item in scene.objects)
    single = [item for item in scene.objects if kinds[item.kind] == 1]
    if not single:
        return None
    item = rng.choice(single)
    yes = rng.random() < 0.5
    colour = item.colour
    if not yes:
        others = [other.colour for other in scene.objects if other.colour != item.colour]
        colour = rng.choice(others) if others and rng.random() < 0.6 else rng.choice(list(COLOURS))
        if colour == item.colour:
            return None
    question = phrase(rng, "is_colour", what=say(rng, item.kind), colour=say(rng, colour))
    answer = f"{'Yes' if yes else 'No'}, the {item.kind} is {item.colour}."
    return Turn(question, answer, "shapes.is_colour", {"yes": yes})


def ask_size(scene: Scene, rng: Random) -> Turn | None:
    if len(scene.objects) < 2:
        return None
    kind = rng.choice(("largest", "smallest"))
    item = find_extreme(scene, kind)
    if item is None:
        return None
    answer = f"The {kind} object is {article(describe(item))}."
    return Turn(phrase(rng, kind), answer, f"shapes.{kind}", {"fact": [describe(item)]})


def ask_filled(scene: Scene, rng: Random) -> Turn | None:
    found = find_unique(scene, rng)
    if found is None or (len({item.filled for item in scene.objects}) == 1 and rng.random() < 0.7):
        return None
    said, item = found
    state = "filled" if item.filled else "outlined"
    answer = f"The {describe(item)} is {state}."
    return Turn(phrase(rng, "filled", what=said), answer, "shapes.filled", {"fact": [state]})


def ask_background(scene: Scene, rng: Random) -> Turn | None:
    colour = scene.facts.get("background")
    if not colour:
        return None
    answer = f"The background is {colour}."
    return Turn(phrase(rng, "background"), answer, "shapes.background", {"fact": spellings(colour)})


def ask_colours(scene: Scene, rng: Random) -> Turn | None:
    colours = [colour for colour in COLOURS if matching(scene, colour)]
    if not 2 <= len(colours) <= 5:
        return None
    answer = f"The colours are {join(colours)}."
    return Turn(phrase(rng, "colours"), answer, "shapes.colours", {"all": [spellings(c) for c in colours]})


def ask_written(scene: Scene, rng: Random) -> Turn | None:
    marked = [item for item in scene.objects if item.text and len(matching(scene, item.colour, item.kind)) == 1]
    if not marked:
        return None
    item = rng.choice(marked)
    question = phrase(rng, "written", what=say(rng, item.colour, item.kind))
    return Turn(question, f'It says "{item.text}".', "shapes.written", {"text": item.text})


def ask_beside(scene: Scene, rng: Random) -> Turn | None:
    found = find_beside(scene, rng)
    if found is None:
        return None
    said, item, side, neighbour = found
    question = phrase(rng, "beside", what=said, side=rng.choice(SAID[side]))
    answer = f"{capital(article(describe(neighbour)))} is {side} the {describe(item)}."
    return Turn(question, answer, "shapes.beside", {"fact": [describe(neighbour)]})


TASKS: dict[str, tuple[Task, float]] = {
    "shape": (ask_shape, 1.4),
    "colour": (ask_colour, 1.8),
    "count": (ask_count, 12.0),
    "where": (ask_where, 1.2),
    "side": (ask_side, 2.0),
    "is_side": (ask_is_side, 1.4),
    "exists": (ask_exists, 1.6),
    "is_colour": (ask_is_colour, 0.8),
    "size": (ask_size, 1.0),
    "filled": (ask_filled, 0.3),
    "background": (ask_background, 0.3),
    "colours": (ask_colours, 0.3),
    "written": (ask_written, 1.5),
    "beside": (ask_beside, 0.5),
    "caption": (ask_caption, 0.8),
    "grounded_caption": (ask_grounded_caption, 1.0),
    "grounded_beside": (ask_grounded_beside, 0.5),
    "locate": (ask_locate, 6.0),
    "in_box": (ask_in_box, 0.5),
}
