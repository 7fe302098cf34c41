"""Questions about coloured shapes whose answers hold boxes, captions, and a conversation about what was found."""

from __future__ import annotations

from random import Random

from nano.phrasings import phrase
from nano.scenes.scene import Scene, SceneObject
from nano.tasks.naming import (
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
from nano.tasks.turn import SAID, Turn, article, capital, join, place_of, plural, write_boxes, write_reference


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
    found = find_beside(scene, rng)
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
        absent = find_absent(scene, rng)
        return None if absent is None else ground(rng, say(rng, *absent), " ".join(absent), [], scene, "none")
    if draw < 0.22 and len(scene.objects) > 1:
        kind = rng.choice(("largest", "smallest", "leftmost", "rightmost", "topmost", "lowest"))
        found = find_extreme(scene, kind)
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
    said = say(rng, fill, colour, noun)
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
    found = find_unique(scene, rng)
    if found is None:
        return []
    said, item = found
    name = describe(item)
    place = place_of(item.box, scene.size)
    turns = [ground(rng, said, name, [item], scene, "locate")]
    if place and rng.random() < 0.5:
        turns = [Turn(phrase(rng, "where", what=said), f"The {name} is {place}.", "shapes.where", {"fact": [place]})]
    colours = {"fact": spellings(item.colour)}
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
