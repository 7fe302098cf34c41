"""Questions about coloured shapes."""

from __future__ import annotations

from collections import Counter
from random import Random

from nano.phrasings import phrase
from nano.scenes.scene import COLOURS, SHAPES, Scene, SceneObject
from nano.tasks.turn import (
    OPPOSITE,
    SAID,
    Task,
    Turn,
    article,
    capital,
    join,
    place_of,
    plural,
    side_of,
    write_boxes,
    write_reference,
)

SYNONYMS = {"ellipse": ("ellipse", "oval"), "diamond": ("diamond", "rhombus"), "grey": ("grey", "gray")}
THINGS = ("object", "shape", "thing")


def describe(item: SceneObject) -> str:
    return f"{item.colour} {item.kind}"


def _say(rng: Random, *parts: str) -> str:
    """A description in a questioner's words: now and then a synonym or the American spelling."""
    return " ".join(rng.choice(SYNONYMS.get(part, (part,))) for part in parts if part)


def matching(scene: Scene, colour: str = "", kind: str = "", filled: bool | None = None) -> list[SceneObject]:
    return [
        item
        for item in scene.objects
        if colour in ("", item.colour) and kind in ("", item.kind) and filled in (None, item.filled)
    ]


def _unique(scene: Scene, rng: Random) -> tuple[str, SceneObject] | None:
    """An object and a description that fits it alone."""
    items = list(scene.objects)
    rng.shuffle(items)
    for item in items:
        ways = [(item.colour, item.kind)]
        if len(matching(scene, kind=item.kind)) == 1:
            ways.append(("", item.kind))
        if len(matching(scene, colour=item.colour)) == 1:
            ways.append((item.colour, ""))
        colour, kind = rng.choice(ways)
        if len(matching(scene, colour, kind)) == 1:
            return _say(rng, colour, kind or rng.choice(THINGS[:2])), item
    return None


def _absent(scene: Scene, rng: Random) -> tuple[str, str] | None:
    """A colour and a shape that do not occur together, mostly each of them present on its own."""
    there = {(item.colour, item.kind) for item in scene.objects}
    for _ in range(20):
        colour = rng.choice(scene.objects).colour if rng.random() < 0.7 else rng.choice(list(COLOURS))
        kind = rng.choice(scene.objects).kind if rng.random() < 0.7 else rng.choice(SHAPES)
        if (colour, kind) not in there:
            return colour, kind
    return None


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
    what = f"{_say(rng, item.colour)} {rng.choice(THINGS)}"
    answer = f"The {item.colour} object is {article(item.kind)}."
    return Turn(phrase(rng, "shape", what=what), answer, "shapes.shape", {"fact": [item.kind]})


def ask_colour(scene: Scene, rng: Random) -> Turn | None:
    kinds = Counter(item.kind for item in scene.objects)
    single = [item for item in scene.objects if kinds[item.kind] == 1]
    if not single:
        return None
    item = rng.choice(single)
    what = _say(rng, item.kind)
    if len(scene.objects) == 1 and rng.random() < 0.3:
        what = rng.choice(THINGS)
    answer = f"The {item.kind} is {item.colour}."
    return Turn(phrase(rng, "colour", what=what), answer, "shapes.colour", {"fact": _spellings(item.colour)})


def _spellings(colour: str) -> list[str]:
    return ["grey", "gray"] if colour == "grey" else [colour]


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
        absent = _absent(scene, rng)
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
    said = _say(rng, colour, plural(kind)) if kind else _say(rng, colour, plural(rng.choice(THINGS)))
    if kind in SYNONYMS and rng.random() < 0.2:
        said = _say(rng, colour, plural(SYNONYMS[kind][1]))
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
    found = _unique(scene, rng)
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
        first, second = _unique(scene, rng), _unique(scene, rng)
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
        absent = _absent(scene, rng)
        if absent is None:
            return None
        colour, kind = absent
        if rng.random() < 0.25:
            wider = rng.choice(((colour, ""), ("", kind)))
            colour, kind = (colour, kind) if matching(scene, *wider) else wider
    noun = f"{colour} {kind or 'object'}".strip()
    said = article(_say(rng, colour, kind or rng.choice(THINGS)))
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
    question = phrase(rng, "is_colour", what=_say(rng, item.kind), colour=_say(rng, colour))
    answer = f"{'Yes' if yes else 'No'}, the {item.kind} is {item.colour}."
    return Turn(question, answer, "shapes.is_colour", {"yes": yes})


def ask_size(scene: Scene, rng: Random) -> Turn | None:
    if len(scene.objects) < 2:
        return None
    kind = rng.choice(("largest", "smallest"))
    item = _extreme(scene, kind)
    if item is None:
        return None
    answer = f"The {kind} object is {article(describe(item))}."
    return Turn(phrase(rng, kind), answer, f"shapes.{kind}", {"fact": [describe(item)]})


def _extreme(scene: Scene, kind: str) -> SceneObject | None:
    """The object that is largest, smallest, leftmost ... by a clear margin."""
    width, height = scene.size
    measure = {
        "largest": lambda item: item.area**0.5,
        "smallest": lambda item: -(item.area**0.5),
        "leftmost": lambda item: -item.centre[0],
        "rightmost": lambda item: item.centre[0],
        "topmost": lambda item: -item.centre[1],
        "lowest": lambda item: item.centre[1],
    }[kind]
    ordered = sorted(scene.objects, key=measure)
    first, second = ordered[-1], ordered[-2]
    margin = {"largest": 0.2 * first.area**0.5, "smallest": 0.2 * second.area**0.5}.get(
        kind, 0.07 * (width if kind in ("leftmost", "rightmost") else height)
    )
    return first if measure(first) - measure(second) > margin else None


def ask_filled(scene: Scene, rng: Random) -> Turn | None:
    found = _unique(scene, rng)
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
    return Turn(phrase(rng, "background"), answer, "shapes.background", {"fact": _spellings(colour)})


def ask_colours(scene: Scene, rng: Random) -> Turn | None:
    colours = [colour for colour in COLOURS if matching(scene, colour)]
    if not 2 <= len(colours) <= 5:
        return None
    answer = f"The colours are {join(colours)}."
    return Turn(phrase(rng, "colours"), answer, "shapes.colours", {"all": [_spellings(c) for c in colours]})


def ask_written(scene: Scene, rng: Random) -> Turn | None:
    marked = [item for item in scene.objects if item.text and len(matching(scene, item.colour, item.kind)) == 1]
    if not marked:
        return None
    item = rng.choice(marked)
    question = phrase(rng, "written", what=_say(rng, item.colour, item.kind))
    return Turn(question, f'It says "{item.text}".', "shapes.written", {"text": item.text})


def ask_beside(scene: Scene, rng: Random) -> Turn | None:
    found = _beside(scene, rng)
    if found is None:
        return None
    said, item, side, neighbour = found
    question = phrase(rng, "beside", what=said, side=rng.choice(SAID[side]))
    answer = f"{capital(article(describe(neighbour)))} is {side} the {describe(item)}."
    return Turn(question, answer, "shapes.beside", {"fact": [describe(neighbour)]})


def _beside(scene: Scene, rng: Random) -> tuple[str, SceneObject, str, SceneObject] | None:
    """A described object and the only object on one side of it."""
    if not 2 <= len(scene.objects) <= 5:
        return None
    found = _unique(scene, rng)
    if found is None:
        return None
    said, item = found
    sides: dict[str | None, list[SceneObject]] = {}
    for other in scene.objects:
        if other is not item:
            sides.setdefault(side_of(other.box, item.box), []).append(other)
    clear = [side for side, others in sides.items() if side and len(others) == 1 and None not in sides]
    if not clear:
        return None
    side = rng.choice(clear)
    return said, item, side, sides[side][0]


# ---- captions and boxes ------------------------------------------------------------------------------------


def _groups(scene: Scene) -> list[tuple[str, list[SceneObject]]]:
    groups: dict[str, list[SceneObject]] = {}
    for item in sorted(scene.objects, key=lambda item: item.box):
        groups.setdefault(describe(item), []).append(item)
    return list(groups.items())


def _name_group(name: str, items: list[SceneObject]) -> str:
    return article(name) if len(items) == 1 else f"{len(items)} {plural(name)}"


def ask_caption(scene: Scene, rng: Random) -> Turn:
    parts = []
    for name, items in _groups(scene):
        place = place_of(items[0].box, scene.size) if len(items) == 1 else None
        parts.append(f"{_name_group(name, items)} {place}" if place else _name_group(name, items))
    ground = f" on a {scene.facts['background']} background" if scene.facts.get("background") else ""
    answer = f"The picture shows {join(parts)}{ground}."
    return Turn(
        phrase(rng, "caption"), answer, "shapes.caption", {"all": [[name, plural(name)] for name, _ in _groups(scene)]}
    )


def ask_grounded_caption(scene: Scene, rng: Random) -> Turn | None:
    groups = _groups(scene)
    if len(groups) > 5:
        return None
    parts = []
    truth = []
    for name, items in groups:
        boxes = [item.box for item in items]
        label = name if len(items) == 1 else plural(name)
        count = article(label).split()[0] if len(items) == 1 else str(len(items))
        parts.append(f"{count} {write_reference(label, boxes, scene.size)}")
        truth += write_boxes(boxes, scene.size)[1]
    answer = f"The picture shows {join(parts)}."
    return Turn(phrase(rng, "grounded_caption"), answer, "shapes.grounded_caption", {"boxes": truth})


def ask_grounded_beside(scene: Scene, rng: Random) -> Turn | None:
    found = _beside(scene, rng)
    if found is None:
        return None
    said, item, side, neighbour = found
    question = phrase(rng, "grounded_beside", what=said, side=rng.choice(SAID[side]))
    first = write_reference(describe(neighbour), [neighbour.box], scene.size)
    second = write_reference(describe(item), [item.box], scene.size)
    truth = write_boxes([neighbour.box, item.box], scene.size)[1]
    answer = f"{capital(article(describe(neighbour)).split()[0])} {first} is {side} the {second}."
    return Turn(question, answer, "shapes.grounded_beside", {"boxes": truth})


def ask_locate(scene: Scene, rng: Random) -> Turn | None:
    """One box, several boxes, or the sentence that nothing matches."""
    item = rng.choice(scene.objects)
    draw = rng.random()
    if draw < 0.14:
        absent = _absent(scene, rng)
        return None if absent is None else ground(rng, _say(rng, *absent), " ".join(absent), [], scene, "none")
    if draw < 0.22 and len(scene.objects) > 1:
        kind = rng.choice(("largest", "smallest", "leftmost", "rightmost", "topmost", "lowest"))
        found = _extreme(scene, kind)
        if found is None:
            return None
        name = f"{kind} {rng.choice(THINGS[:2])}"
        return ground(rng, name, name, [found], scene, "locate")
    colour, kind, filled = item.colour, item.kind, None
    if draw < 0.4:
        colour = ""
    elif draw < 0.55:
        kind = ""
    elif draw < 0.62:
        filled = item.filled
    found = matching(scene, colour, kind, filled)
    fill = "" if filled is None else "filled" if filled else "outlined"
    noun = kind or rng.choice(THINGS[:2])
    name = " ".join(part for part in (fill, colour, noun) if part)
    said = _say(rng, fill, colour, noun)
    return ground(rng, said, name, found, scene, "locate" if len(found) == 1 else "locate_several")


def ground(
    rng: Random, said: str, name: str, found: list[SceneObject], scene: Scene, task: str, family: str = "shapes"
) -> Turn:
    """A grounding question, wrapped in `<|ref|>` or in plain words, and its answer; the label repeats the
    words.
    """
    draw = rng.random()
    if len(found) > 1:
        head, _, tail = said.rpartition(" ")
        many = f"{head} {plural(tail)}".strip()
        said = rng.choice((many, f"the {many}", f"all {many}", f"all the {many}"))
    elif draw < 0.45:
        said = f"the {said}"
    elif draw < 0.55:
        said = article(said)
    if rng.random() < 0.12:
        said = capital(said)
    wrapped = rng.random() < 0.7
    question = phrase(rng, "locate" if wrapped else "locate_plainly", verbatim=True, what=said)
    if not found:
        return Turn(question, f"There is no {name} in the picture.", f"{family}.none", {"boxes": []})
    boxes = [item.box for item in found]
    truth = write_boxes(boxes, scene.size)[1]
    return Turn(question, write_reference(said, boxes, scene.size), f"{family}.{task}", {"boxes": truth})


def ask_in_box(scene: Scene, rng: Random) -> Turn | None:
    item = rng.choice(scene.objects)
    box = write_boxes([item.box], scene.size)[0]
    return Turn(
        phrase(rng, "in_box", box=box), f"It is {article(describe(item))}.", "shapes.in_box", {"fact": [describe(item)]}
    )


def converse(scene: Scene, rng: Random) -> list[Turn]:
    """Find something, then ask about it as "it"."""
    found = _unique(scene, rng)
    if found is None:
        return []
    said, item = found
    name = describe(item)
    place = place_of(item.box, scene.size)
    turns = [ground(rng, said, name, [item], scene, "locate")]
    if place and rng.random() < 0.5:
        turns = [Turn(phrase(rng, "where", what=said), f"The {name} is {place}.", "shapes.where", {"fact": [place]})]
    colours = {"fact": _spellings(item.colour)}
    later = [
        Turn(phrase(rng, "it_colour"), f"The {item.kind} is {item.colour}.", "shapes.it", colours),
        Turn(phrase(rng, "it_shape"), f"It is {article(name)}.", "shapes.it", {"fact": [item.kind]}),
        Turn(
            phrase(rng, "it_box"), write_reference(name, [item.box], scene.size), "shapes.it_box",
            {"boxes": write_boxes([item.box], scene.size)[1]},
        ),
    ]  # fmt: skip
    if place and turns[0].kind != "shapes.where":
        later.append(Turn(phrase(rng, "it_where"), f"The {name} is {place}.", "shapes.it", {"fact": [place]}))
    return turns + rng.sample(later, rng.randint(1, 3))


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
