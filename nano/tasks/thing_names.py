"""What things are called in questions and answers, and which of them a name fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from nano.scenes.scene import UNKNOWN_THING, Scene, SceneObject
from nano.tasks.turn import article
from nano.things.vocabulary import Kind, Noun, known, nouns, with_article

DO_NOT_KNOW = "I don't know what this is"
SOMETHING = "something that I don't know"
OTHER_NAME = 0.18  # how often a question uses another name than answers do


def call(rng: Random, noun: Noun) -> str:
    """One of them, in a questioner's words."""
    return rng.choice(noun.others) if noun.others and rng.random() < OTHER_NAME else noun.name


def call_many(rng: Random, noun: Noun) -> str:
    """Several of them. The table tells no plural of other names, so only single words that take an s are used."""
    regular = [other for other in noun.others if " " not in other and other[-1] not in "sxyhzf"]
    return f"{rng.choice(regular)}s" if regular and rng.random() < OTHER_NAME else noun.plural


def article_of(noun: Noun, said: str = "") -> str:
    """With its article; `said` is another name that was chosen for it."""
    if not said or said == noun.name:
        return with_article(noun)
    plural = noun.mass or said.endswith("s")
    return said if plural else article(said)


def kind_article(kind: Kind) -> str:
    return article(kind.name)


def verb(noun: Noun, the: str) -> str:
    """ "The dog is", "the scissors are"."""
    many = noun.mass and noun.name.endswith("s")
    return f"{the} {noun.name} {'are' if many else 'is'}"


def count_noun(count: int, one: str, many: str) -> str:
    if count == 1:
        return f"There is 1 {one}."
    return f"There are {count or 'no'} {many}."


def named(scene: Scene, noun: str) -> list[SceneObject]:
    return [item for item in scene.objects if item.kind == noun]


def of_kind(scene: Scene, kind: Kind) -> list[SceneObject]:
    return [item for item in scene.objects if item.kind != UNKNOWN_THING and nouns()[item.kind].kind is kind]


def alone(scene: Scene, rng: Random, *, coloured: bool = False) -> SceneObject | None:
    """A known thing that occurs once; with `coloured` one that has a colour."""
    counts = [item.kind for item in scene.objects]
    single = [
        item
        for item in scene.objects
        if item.kind != UNKNOWN_THING and counts.count(item.kind) == 1 and (item.colour or not coloured)
    ]
    return rng.choice(single) if single else None


def absent(scene: Scene, rng: Random) -> Noun:
    """A known thing that does not occur, half of the time of the kind of one that does."""
    there = {item.kind for item in scene.objects}
    kinds = [nouns()[name].kind for name in there if name != UNKNOWN_THING]
    kind = rng.choice(sorted(kinds, key=lambda kind: kind.name)) if kinds and rng.random() < 0.5 else None
    missing = [name for name in known() if name not in there]
    near = [name for name in missing if nouns()[name].kind is kind]
    return nouns()[rng.choice(near or missing)]


def groups(items: Iterable[SceneObject]) -> list[tuple[str, list[SceneObject]]]:
    """Things of one noun together, from left to right."""
    found: dict[str, list[SceneObject]] = {}
    for item in sorted(items, key=lambda item: item.box):
        found.setdefault(item.kind, []).append(item)
    return list(found.items())


def name_group(name: str, items: Sequence[SceneObject]) -> str:
    if name == UNKNOWN_THING:
        return SOMETHING if len(items) == 1 else f"{len(items)} things that I don't know"
    noun = nouns()[name]
    return with_article(noun) if len(items) == 1 or noun.mass else f"{len(items)} {noun.plural}"
