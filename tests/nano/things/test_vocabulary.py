"""What nouns.txt must keep: names that are told apart, plural, kind, purpose."""

from __future__ import annotations

from collections import Counter

from nano.scenes.scene import KINDS, UNKNOWN_THING
from nano.things.vocabulary import (
    by_drawing,
    by_words,
    find_in,
    find_odd,
    is_kept,
    kinds,
    known,
    nouns,
    with_article,
)


def test_every_thing_has_plural_kind_and_purpose():
    assert len(known()) > 480 and len(kinds()) >= 15
    for name in known():
        noun = nouns()[name]
        assert name == name.lower() and noun.plural and noun.kind.plural
        assert noun.purpose.startswith(("It ", "They ")) and noun.purpose.endswith(".") and len(noun.purpose) < 70, name
    assert min(Counter(nouns()[name].kind.name for name in known()).values()) >= 8


def test_no_name_and_no_drawing_is_anothers():
    called = Counter(word for noun in nouns().values() for word in {noun.name, *noun.others})
    assert [word for word, count in called.items() if count > 1] == []
    drawn = Counter(drawing.replace("-", "") for noun in nouns().values() for drawing in {*noun.drawings})
    spelled_twice = {name for name, count in drawn.items() if count > 1}
    assert all(len({noun.name for noun in nouns().values() if name in [d.replace("-", "") for d in noun.drawings]}) == 1
               for name in spelled_twice)  # fmt: skip
    assert by_drawing()["dogface"].name == "dog"


def test_patches_can_show_every_thing():
    assert len(KINDS) == len(set(KINDS))
    assert {UNKNOWN_THING, *known()} <= set(KINDS)


def test_half_of_the_unknown_things_are_kept_by_their_names():
    unknown = [name for name, noun in nouns().items() if not noun.known]
    assert len(unknown) > 60 and 0.3 < sum(map(is_kept, unknown)) / len(unknown) < 0.7
    assert is_kept("x") != is_kept("y")  # 2d..., a1...
    assert not set(unknown) & {noun.name for noun in by_words().values()}


def test_titles_name_things():
    cases = {
        "A “Fuji” apple.": "apple",
        "A pair of blue jeans with patches.": "jeans",
        "A baby sheep (a lamb)": "sheep",
        "Some cherries": "cherry",
        "A teddy bear": "teddy bear",
        "A red apple": "apple",
        "A quarter of pizza": "pizza",
    }
    assert {title: (find_in(title) or nouns()["dog"]).name for title in cases} == cases
    assert find_in("A rambutan.") is None


def test_articles():
    said = {name: with_article(nouns()[name]) for name in ("apple", "unicorn", "scissors", "sheep", "wheat")}
    assert list(said.values()) == ["an apple", "a unicorn", "scissors", "a sheep", "wheat"]


def test_odd_things_are_none_that_anybody_could_name():
    names = [
        f"{word}-{number}"
        for word in ("dog", "unicorns", "kaaba", "funeral-urn", "brown-circle")
        for number in "abcdefgh"
    ]
    assert not any(map(find_odd, names))
    found = [find_odd(f"grinning-{letter}") for letter in "abcdefghijklmnopqrstuvwxyz"]
    assert None in found and {noun.name for noun in found if noun} == {"odd thing"}
    assert not is_kept("odd thing")  # nor is any a noun of the evaluation
