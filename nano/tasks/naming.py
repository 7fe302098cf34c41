"""What the objects of a picture of shapes are called, and which of them a description fits."""

from __future__ import annotations

from random import Random

from nano.scenes.scene import COLOURS, SHAPES, Scene, SceneObject
from nano.tasks.turn import side_of

SYNONYMS = {"ellipse": ("ellipse", "oval"), "diamond": ("diamond", "rhombus"), "grey": ("grey", "gray")}
THINGS = ("object", "shape", "thing")


def describe(item: SceneObject) -> str:
    return f"{item.colour} {item.kind}"


def say(rng: Random, *parts: str) -> str:
    """A description in a questioner's words: now and then a synonym or the American spelling."""
    return " ".join(rng.choice(SYNONYMS.get(part, (part,))) for part in parts if part)


def matching(scene: Scene, colour: str = "", kind: str = "", filled: bool | None = None) -> list[SceneObject]:
    return [
        item
        for item in scene.objects
        if colour in ("", item.colour) and kind in ("", item.kind) and filled in (None, item.filled)
    ]


def find_unique(scene: Scene, rng: Random) -> tuple[str, SceneObject] | None:
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
            return say(rng, colour, kind or rng.choice(THINGS[:2])), item
    return None


def find_absent(scene: Scene, rng: Random) -> tuple[str, str] | None:
    """A colour and a shape that do not occur together, mostly each of them present on its own."""
    there = {(item.colour, item.kind) for item in scene.objects}
    for _ in range(20):
        colour = rng.choice(scene.objects).colour if rng.random() < 0.7 else rng.choice(list(COLOURS))
        kind = rng.choice(scene.objects).kind if rng.random() < 0.7 else rng.choice(SHAPES)
        if (colour, kind) not in there:
            return colour, kind
    return None


def spellings(colour: str) -> list[str]:
    return ["grey", "gray"] if colour == "grey" else [colour]


def find_extreme(scene: Scene, kind: str) -> SceneObject | None:
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


def find_beside(scene: Scene, rng: Random) -> tuple[str, SceneObject, str, SceneObject] | None:
    """A described object and the only object on one side of it."""
    if not 2 <= len(scene.objects) <= 5:
        return None
    found = find_unique(scene, rng)
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
