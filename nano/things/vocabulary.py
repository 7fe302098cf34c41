"""nouns.txt -> what things are called, which kind they are of, and what they are for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("nouns.txt")
UNKNOWN = "unknown"  # the kind of what nano must not name
ODD = "odd thing"  # one of that kind: all drawings whose names tell of nothing that stands in nouns.txt
KEPT = "89abcdef"  # first digits of a SHA-256 by which something is kept for evaluation alone


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    plural: str


@dataclass(frozen=True, slots=True)
class Noun:
    """`others` are further names that people may use, `drawings` the names that packages of drawings have for it."""

    name: str
    plural: str
    others: tuple[str, ...]
    drawings: tuple[str, ...]
    purpose: str
    kind: Kind

    @property
    def known(self) -> bool:
        return self.kind.name != UNKNOWN

    @property
    def mass(self) -> bool:
        """Whether it is told without an article: "wheat", "scissors"."""
        return self.name == self.plural and self.name not in COUNTED


# Plurals that look like the singular, of things that are counted all the same.
COUNTED = frozenset(
    ("sheep", "deer", "moose", "bison", "fish", "tropical fish", "blowfish", "squid", "shrimp", "jellyfish", "dice")
)


def is_kept(name: str) -> bool:
    """Whether the SHA-256 of a name begins with 8 to f: half of all names, whatever else there is."""
    return hashlib.sha256(name.encode()).hexdigest()[0] in KEPT


@cache
def nouns() -> dict[str, Noun]:
    """All nouns by name, in the order of the file."""
    found: dict[str, Noun] = {}
    kind = Kind("", "")
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            name, plural = (part.strip() for part in line.strip("[]").split("|"))
            kind = Kind(name, plural)
        elif line and not line.startswith("#"):
            name, plural, others, drawings, purpose = (part.strip() for part in line.split("|"))
            found[name] = Noun(
                name,
                plural or f"{name}s",
                tuple(other.strip() for other in others.split(",") if other.strip()),
                tuple(drawings.split()) or (name.replace(" ", "-"),),
                purpose,
                kind,
            )
    return found


@cache
def known() -> tuple[str, ...]:
    return tuple(name for name, noun in nouns().items() if noun.known)


@cache
def kinds() -> dict[str, Kind]:
    """The kinds of known things by name."""
    return {noun.kind.name: noun.kind for noun in nouns().values() if noun.known}


@cache
def by_drawing() -> dict[str, Noun]:
    """Nouns by the name of a drawing, without hyphens, which packages set differently."""
    return {drawing.replace("-", ""): noun for noun in nouns().values() for drawing in noun.drawings}


def find_drawn(name: str) -> Noun | None:
    """The noun of a drawing's name."""
    return by_drawing().get(name.replace("-", ""))


# Words of drawings that are no odd things: shades of skin, flags, and what may pass for a known thing or for a shape.
_NOT_ODD = frozenset(
    ("skin", "tone", "flag", "thirty", "oclock", "circle", "square", "diamond", "triangle", "heart", "hearts", "page",
     "keycap", "digit", "biking", "bicyclist", "cone", "muffin", "station", "railway", "home", "house", "letter", "cat",
     "dog", "dollar", "black", "white", "large", "medium", "small")
)  # fmt: skip


def find_odd(name: str) -> Noun | None:
    """The noun of what no other is; None where a name tells of a thing, known or not, or of what may pass for one, and
    for half of the names, or there would be too many."""
    words = frozenset("".join(character if character.isalpha() else " " for character in name.lower()).split())
    if find_in(name) or words & (_told() | _NOT_ODD):
        return None
    return None if hashlib.sha256(name.encode()).hexdigest()[-1] in KEPT else nouns()[ODD]


@cache
def _told() -> frozenset[str]:
    """Every word of the names and drawings of things that nano is not to know."""
    drawings = [drawing for noun in nouns().values() if not noun.known for drawing in (noun.name, *noun.drawings)]
    return frozenset(word for drawing in drawings for word in drawing.replace("-", " ").split())


@cache
def by_words() -> dict[str, Noun]:
    """Known nouns by everything that they are called in lower case, plurals included."""
    called = {name: noun for noun in nouns().values() if noun.known for name in noun.others}
    for name in known():
        called |= {nouns()[name].plural: nouns()[name], name: nouns()[name]}
    return called


def find_in(title: str, *, at_end: bool = False) -> Noun | None:
    """The thing that a title such as "A red apple" names: the longest name in it, or at its end; of two the last."""
    words = "".join(character if character.isalnum() else " " for character in title.lower()).split()
    for length in (3, 2, 1):
        last = len(words) - length
        for start in range(last, last - 1 if at_end else -1, -1):
            if start < 0:
                break
            noun = by_words().get(" ".join(words[start : start + length]))
            if noun:
                return noun
    return None


def with_article(noun: Noun) -> str:
    """ "an apple", but "scissors" and "wheat"."""
    if noun.mass:
        return noun.name
    begins = (noun.name[0] in "aeiou" and noun.name != "unicorn") or noun.name == "hourglass"
    return f"an {noun.name}" if begins else f"a {noun.name}"
