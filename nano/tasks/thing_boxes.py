"""Questions about things whose questions or answers hold boxes."""

from __future__ import annotations

from random import Random

from nano.phrasings import phrase
from nano.scenes.scene import UNKNOWN_THING, Scene, SceneObject
from nano.tasks.naming import find_extreme
from nano.tasks.thing_names import (
    DO_NOT_KNOW,
    absent,
    article_of,
    call,
    call_many,
    groups,
    named,
    of_kind,
)
from nano.tasks.turn import Turn, capital, join, write_boxes, write_reference
from nano.things.vocabulary import kinds, nouns


def ask_find(scene: Scene, rng: Random) -> Turn | None:
    """One box, several, all of a kind, or the sentence that nothing matches."""
    there = [item for item in scene.objects if item.kind != UNKNOWN_THING]
    draw = rng.random()
    if draw < 0.14 or not there:
        noun = absent(scene, rng)
        return _ground(rng, call(rng, noun), noun.name, [], scene, "none")
    if draw < 0.22 and len(scene.objects) > 1:
        extreme = rng.choice(("largest", "smallest", "leftmost", "rightmost", "topmost", "lowest"))
        found = find_extreme(scene, extreme)
        return None if found is None else _ground(rng, f"{extreme} object", "", [found], scene, "find")
    if draw < 0.42:
        return _find_kind(scene, rng, there)
    noun = nouns()[rng.choice(there).kind]
    found_all = named(scene, noun.name)
    if len(found_all) == 1:
        return _ground(rng, call(rng, noun), noun.name, found_all, scene, "find")
    return _ground(rng, call_many(rng, noun), noun.name, found_all, scene, "find_several")


def _find_kind(scene: Scene, rng: Random, there: list[SceneObject]) -> Turn | None:
    if len(there) < len(scene.objects):  # what is not known may be of any kind
        return None
    present = {nouns()[item.kind].kind.name for item in there}
    if rng.random() < 0.12:
        kind = kinds()[rng.choice(sorted(set(kinds()) - present))]
        return _ground(rng, kind.name, kind.name, [], scene, "none")
    kind = kinds()[rng.choice(sorted(present))]
    found = of_kind(scene, kind)
    return _ground(rng, kind.name if len(found) == 1 else kind.plural, kind.name, found, scene, "find_kind")


def _ground(rng: Random, said: str, name: str, found: list[SceneObject], scene: Scene, task: str) -> Turn:
    """In `<|ref|>` or in plain words; the label repeats the words."""
    draw = rng.random()
    if len(found) > 1:
        said = rng.choice((said, f"the {said}", f"all {said}", f"all the {said}"))
    elif draw < 0.5:
        said = f"the {said}"
    if rng.random() < 0.06:
        said = capital(said)
    question = phrase(rng, "locate" if rng.random() < 0.7 else "locate_plainly", verbatim=True, what=said)
    if not found:
        return Turn(question, f"There is no {name} in the picture.", f"things.{task}", {"boxes": []})
    boxes = [item.box for item in found]
    truth = {"boxes": write_boxes(boxes, scene.size)[1]}
    return Turn(question, write_reference(said, boxes, scene.size), f"things.{task}", truth)


def ask_in_box(scene: Scene, rng: Random) -> Turn:
    item = rng.choice(scene.objects)
    question = phrase(rng, "in_box", box=write_boxes([item.box], scene.size)[0])
    if item.kind == UNKNOWN_THING:
        return Turn(question, f"{DO_NOT_KNOW}.", "things.unknown_in_box", {"fact": [DO_NOT_KNOW]})
    noun = nouns()[item.kind]
    names = {"name": [noun.name, noun.plural, *noun.others]}
    return Turn(question, f"It is {article_of(noun)}.", "things.in_box", names)


def ask_grounded_caption(scene: Scene, rng: Random) -> Turn | None:
    """What is not known is left out; None where that is all, or where there is too much."""
    found = [(name, items) for name, items in groups(scene.objects) if name != UNKNOWN_THING]
    if not 1 <= len(found) <= 5:
        return None
    parts, truth = [], []
    for name, items in found:
        noun, boxes = nouns()[name], [item.box for item in items]
        before = "" if noun.mass else f"{article_of(noun).split()[0]} " if len(items) == 1 else f"{len(items)} "
        label = noun.name if len(items) == 1 else noun.plural
        parts.append(f"{before}{write_reference(label, boxes, scene.size)}")
        truth += write_boxes(boxes, scene.size)[1]
    answer = f"The picture shows {join(parts)}."
    return Turn(phrase(rng, "grounded_caption"), answer, "things.grounded_caption", {"boxes": truth})
