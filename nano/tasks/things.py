"""Questions about everyday things: what they are, which kind, how many, where, what for."""

from __future__ import annotations

from collections import Counter
from random import Random

from nano.phrasings import phrase
from nano.scenes.scene import UNKNOWN_THING, Scene, SceneObject
from nano.tasks.naming import find_extreme, spellings
from nano.tasks.thing_boxes import ask_find, ask_grounded_caption, ask_in_box
from nano.tasks.thing_names import (
    DO_NOT_KNOW,
    SOMETHING,
    absent,
    alone,
    article_of,
    call,
    call_many,
    count_noun,
    groups,
    kind_article,
    name_group,
    of_kind,
    verb,
)
from nano.tasks.turn import OPPOSITE, SAID, Task, Turn, join, place_of, side_of
from nano.things.vocabulary import Noun, kinds, nouns


def ask_name(scene: Scene, rng: Random) -> Turn | None:
    if len(scene.objects) != 1:
        return None
    question = phrase(rng, "thing_name")
    (item,) = scene.objects
    if item.kind == UNKNOWN_THING:
        return Turn(question, f"{DO_NOT_KNOW}.", "things.unknown", {"fact": [DO_NOT_KNOW]})
    noun = nouns()[item.kind]
    return Turn(question, f"It is {article_of(noun)}.", "things.name", {"name": called(noun)})


def called(noun: Noun) -> list[str]:
    """What evaluation accepts as its name."""
    return [noun.name, noun.plural, *noun.others]


def ask_kind(scene: Scene, rng: Random) -> Turn | None:
    found = alone(scene, rng)
    if found is None:
        return None
    noun = nouns()[found.kind]
    other = rng.choice([kind for kind in kinds().values() if kind is not noun.kind])
    pair = [kind_article(noun.kind), kind_article(other)]
    rng.shuffle(pair)
    question = phrase(rng, "thing_kind", what=call(rng, noun), one=pair[0], other=pair[1])
    answer = f"{verb(noun, 'The')} {kind_article(noun.kind)}."
    return Turn(question, answer, "things.kind", {"fact": [noun.kind.name]})


def ask_is_kind(scene: Scene, rng: Random) -> Turn | None:
    found = alone(scene, rng)
    if found is None:
        return None
    noun, yes = nouns()[found.kind], rng.random() < 0.5
    asked = noun.kind if yes else rng.choice([kind for kind in kinds().values() if kind is not noun.kind])
    question = phrase(rng, "thing_is_kind", what=call(rng, noun), one=kind_article(asked))
    answer = f"{'Yes' if yes else 'No'}, {verb(noun, 'the')} {kind_article(noun.kind)}."
    return Turn(question, answer, "things.is_kind", {"yes": yes})


def ask_purpose(scene: Scene, rng: Random) -> Turn | None:
    found = alone(scene, rng)
    if found is None:
        return None
    noun = nouns()[found.kind]
    single = len(scene.objects) == 1 and rng.random() < 0.4
    question = phrase(rng, "thing_purpose", what="thing" if single else call(rng, noun))
    return Turn(question, noun.purpose, "things.purpose", {"fact": [noun.purpose]})


def ask_colour(scene: Scene, rng: Random) -> Turn | None:
    found = alone(scene, rng, coloured=True)
    if found is None:
        return None
    noun = nouns()[found.kind]
    answer = f"{verb(noun, 'The')} {found.colour}."
    return Turn(phrase(rng, "colour", what=call(rng, noun)), answer, "things.colour", {"fact": spellings(found.colour)})


def ask_exists(scene: Scene, rng: Random) -> Turn | None:
    yes = rng.random() < 0.5
    there = [item.kind for item in scene.objects if item.kind != UNKNOWN_THING]
    if rng.random() < 0.2:  # a kind
        present = {nouns()[name].kind.name for name in there}
        choices = sorted(present) if yes else sorted(set(kinds()) - present)
        # What is not known may be of any kind.
        if not choices or (not yes and len(there) < len(scene.objects)):
            return None
        kind = kinds()[rng.choice(choices)]
        answer = f"Yes, there is {kind_article(kind)}." if yes else f"No, there is no {kind.name}."
        return Turn(phrase(rng, "exists", what=kind_article(kind)), answer, "things.exists", {"yes": yes})
    if yes and not there:
        return None
    noun = nouns()[rng.choice(there)] if yes else absent(scene, rng)
    answer = f"Yes, there is {article_of(noun)}." if yes else f"No, there is no {noun.name}."
    said = article_of(noun) if rng.random() < 0.8 else article_of(noun, call(rng, noun))
    return Turn(phrase(rng, "exists", what=said), answer, "things.exists", {"yes": yes})


def ask_count(scene: Scene, rng: Random) -> Turn | None:
    """Of one noun, of a kind, or of everything; counts of two and more are sought out."""
    draw = rng.random()
    counts = Counter(item.kind for item in scene.objects if item.kind != UNKNOWN_THING)
    if draw < 0.06:
        noun = absent(scene, rng)
        if noun.mass:
            return None
        one, many, count = noun.name, noun.plural, 0
        said = call_many(rng, noun)
    elif draw < 0.14:
        one, many, count, said = "thing", "things", len(scene.objects), rng.choice(("things", "objects"))
    elif draw < 0.32:
        members = Counter(nouns()[item].kind.name for item in counts.elements())
        if not members or counts.total() < len(scene.objects):
            return None
        kind = kinds()[rng.choices(list(members), [count**1.5 for count in members.values()])[0]]
        one, many, count, said = kind.name, kind.plural, members[kind.name], kind.plural
    else:
        chosen = [name for name in counts if not nouns()[name].mass]
        if not chosen:
            return None
        noun = nouns()[rng.choices(chosen, [min(counts[name], 9) ** 1.5 for name in chosen])[0]]
        one, many, count, said = noun.name, noun.plural, counts[noun.name], call_many(rng, noun)
    if count > 9 or (count == 1 and rng.random() < 0.8):
        return None
    return Turn(phrase(rng, "count", what=said), count_noun(count, one, many), "things.count", {"number": count})


def ask_which(scene: Scene, rng: Random) -> Turn | None:
    """The things of a kind by name."""
    members = {nouns()[item.kind].kind.name for item in scene.objects if item.kind != UNKNOWN_THING}
    if not members:
        return None
    kind = kinds()[rng.choice(sorted(members))]
    found = groups(of_kind(scene, kind))
    if len(found) > 5:
        return None
    one = len(found) == 1 and len(found[0][1]) == 1
    answer = f"There {'is' if one else 'are'} {join([name_group(*group) for group in found])}."
    truth = {"all": [[nouns()[name].name, nouns()[name].plural] for name, _ in found]}
    return Turn(phrase(rng, "thing_which", many=kind.plural), answer, "things.which", truth)


def ask_odd(scene: Scene, rng: Random) -> Turn | None:
    """One thing of another kind than all others."""
    if len(scene.objects) < 3 or any(item.kind == UNKNOWN_THING for item in scene.objects):
        return None
    members = Counter(nouns()[item.kind].kind.name for item in scene.objects)
    if len(members) != 2 or min(members.values()) != 1:
        return None
    usual = kinds()[max(members, key=lambda name: members[name])]
    (odd,) = (item for item in scene.objects if nouns()[item.kind].kind is not usual)
    noun = nouns()[odd.kind]
    answer = f"{verb(noun, 'The')} not {kind_article(usual)}."
    question = phrase(rng, "thing_odd", one=kind_article(usual))
    return Turn(question, answer, "things.odd", {"fact": [noun.name]})


def ask_where(scene: Scene, rng: Random) -> Turn | None:
    found = alone(scene, rng)
    place = place_of(found.box, scene.size) if found else None
    if found is None or place is None:
        return None
    noun = nouns()[found.kind]
    answer = f"{verb(noun, 'The')} {place}."
    return Turn(phrase(rng, "where", what=call(rng, noun)), answer, "things.where", {"fact": [place]})


def _pair(scene: Scene, rng: Random) -> tuple[SceneObject, SceneObject, str] | None:
    for _ in range(4):
        one, other = alone(scene, rng), alone(scene, rng)
        if one is None or other is None or one is other:
            continue
        side = side_of(one.box, other.box)
        if side:
            return one, other, side
    return None


def ask_side(scene: Scene, rng: Random) -> Turn | None:
    pair = _pair(scene, rng)
    if pair is None:
        return None
    one, other, side = nouns()[pair[0].kind], nouns()[pair[1].kind], pair[2]
    kind = "side" if "left" in side or "right" in side else "height"
    question = phrase(rng, kind, one=call(rng, one), other=call(rng, other))
    fact = [word for word in ("left", "right", "above", "below") if word in side]
    return Turn(question, f"{verb(one, 'The')} {side} the {other.name}.", "things.side", {"fact": fact})


def ask_is_side(scene: Scene, rng: Random) -> Turn | None:
    pair = _pair(scene, rng)
    if pair is None:
        return None
    one, other, side = nouns()[pair[0].kind], nouns()[pair[1].kind], pair[2]
    yes = rng.random() < 0.5
    said = rng.choice(SAID[side if yes else OPPOSITE[side]])
    question = phrase(rng, "is_side", one=call(rng, one), other=call(rng, other), side=said)
    answer = f"{'Yes' if yes else 'No'}, {verb(one, 'the')} {side} the {other.name}."
    return Turn(question, answer, "things.is_side", {"yes": yes})


def ask_size(scene: Scene, rng: Random) -> Turn | None:
    if len(scene.objects) < 2:
        return None
    extreme = rng.choice(("largest", "smallest"))
    item = find_extreme(scene, extreme)
    if item is None or item.kind == UNKNOWN_THING:
        return None
    noun = nouns()[item.kind]
    answer = f"The {extreme} object is {article_of(noun)}."
    return Turn(phrase(rng, extreme), answer, f"things.{extreme}", {"fact": called(noun)})


def ask_caption(scene: Scene, rng: Random) -> Turn | None:
    found = groups(scene.objects)
    if len(found) > 6:
        return None
    if len(found) == 1 and found[0][0] == UNKNOWN_THING:
        return Turn(phrase(rng, "caption"), f"{DO_NOT_KNOW}.", "things.unknown", {"fact": [DO_NOT_KNOW]})
    parts = []
    for name, items in found:
        place = place_of(items[0].box, scene.size) if len(items) == 1 and len(scene.objects) > 1 else None
        parts.append(f"{name_group(name, items)} {place}" if place else name_group(name, items))
    names = [
        [SOMETHING.removeprefix("something ")] if name == UNKNOWN_THING else [nouns()[name].name, nouns()[name].plural]
        for name, _ in found
    ]
    return Turn(phrase(rng, "caption"), f"The picture shows {join(parts)}.", "things.caption", {"all": names})


TASKS: dict[str, tuple[Task, float]] = {
    "name": (ask_name, 6.0),
    "in_box": (ask_in_box, 2.5),
    "kind": (ask_kind, 0.7),
    "is_kind": (ask_is_kind, 0.5),
    "purpose": (ask_purpose, 0.8),
    "colour": (ask_colour, 0.8),
    "exists": (ask_exists, 1.6),
    "count": (ask_count, 5.0),
    "which": (ask_which, 1.0),
    "odd": (ask_odd, 1.5),
    "where": (ask_where, 1.0),
    "side": (ask_side, 1.2),
    "is_side": (ask_is_side, 0.7),
    "size": (ask_size, 0.8),
    "caption": (ask_caption, 1.5),
    "grounded_caption": (ask_grounded_caption, 1.2),
    "find": (ask_find, 6.0),
}
