"""A pack: one zip file with cut-out pictures of things, photographs for grounds, and an index of what they show.

There are two, and no drawing is in both. The training pack holds what nano may learn from. The evaluation pack holds
what `split_of` keeps: the whole hand of OpenMoji, half of the stamps, half of the unknown things. What trains
reads with `read_training`, which refuses the other pack and every single entry that belongs into it.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from dsvl2_app.errors import SettingsError
from nano.things.vocabulary import is_kept, nouns

SIDE = 160  # px of a cut-out's longer side
KEPT_HAND = "openmoji"
PHOTOGRAPH = "photograph"  # the hand of what is no drawing
MODEL = "model"  # the hand of what was modelled in three dimensions, with light and shade
# Hands that draw in one colour alone: lines, or areas with holes.
INKED = (
    "noto-line", "fluent-line", "emojione-line", "games", "material", "phosphor", "tabler", "lucide", "huge", "awesome",
)  # fmt: skip
INKED_SIDE = 112  # px of theirs, which lose less
STAMPS = (PHOTOGRAPH, "stamp")  # photographs, and drawings in the same package
TRAINING, EVALUATION = "training", "evaluation"
FILES = {split: f"things-{split}.zip" for split in (TRAINING, EVALUATION)}
INDEX = "index.json"


def split_of(noun: str, hand: str, name: str) -> str:
    """Into which pack a cut-out of this thing in this hand goes; `name` is the file name that its package gives it."""
    kept = hand == KEPT_HAND
    kept |= hand in STAMPS and is_kept(name)
    kept |= not nouns()[noun].known and is_kept(noun)
    return EVALUATION if kept else TRAINING


@dataclass(frozen=True, slots=True)
class Sprite:
    """A thing cut out: `pixels` RGBA uint8 [height, width, 4], tight around what shows."""

    noun: str  # one of vocabulary.nouns()
    hand: str  # whose drawing: the name of a source
    name: str  # file name in its package
    colour: str  # one of scene.COLOURS, or "" where it has several
    pixels: np.ndarray

    @property
    def split(self) -> str:
        return split_of(self.noun, self.hand, self.name)


@dataclass(frozen=True, slots=True)
class Ground:
    """A piece of a photograph that things stand on, RGB uint8 [height, width, 3]."""

    name: str
    pixels: np.ndarray

    @property
    def split(self) -> str:
        return EVALUATION if is_kept(self.name) else TRAINING


@dataclass(frozen=True)
class Pack:
    split: str
    sprites: tuple[Sprite, ...]
    grounds: tuple[Ground, ...] = ()

    @cached_property
    def by_noun(self) -> dict[str, tuple[Sprite, ...]]:
        found: dict[str, list[Sprite]] = {}
        for sprite in self.sprites:
            found.setdefault(sprite.noun, []).append(sprite)
        return {noun: tuple(sprites) for noun, sprites in found.items()}

    @cached_property
    def known(self) -> tuple[str, ...]:
        return tuple(noun for noun in self.by_noun if nouns()[noun].known)

    @cached_property
    def strange(self) -> tuple[str, ...]:
        """The unknown noun of each sprite that has one."""
        return tuple(sprite.noun for sprite in self.sprites if not nouns()[sprite.noun].known)

    @cached_property
    def by_kind(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for noun in self.known:
            found.setdefault(nouns()[noun].kind.name, []).append(noun)
        return {kind: tuple(members) for kind, members in found.items()}

    def only(self, *hands: str) -> Pack:
        """The same with sprites in these hands alone."""
        return Pack(self.split, tuple(sprite for sprite in self.sprites if sprite.hand in hands), self.grounds)

    def without(self, *hands: str) -> Pack:
        """The same with sprites in all other hands."""
        return Pack(self.split, tuple(sprite for sprite in self.sprites if sprite.hand not in hands), self.grounds)


def write(path: Path, sprites: Iterable[Sprite], grounds: Iterable[Ground], split: str) -> int:
    """Write those of the split; returns how many bytes the pack has."""
    chosen = [sprite for sprite in sprites if sprite.split == split]
    places = [ground for ground in grounds if ground.split == split]
    entries = [{name: value for name, value in asdict(sprite).items() if name != "pixels"} for sprite in chosen]
    index = {"split": split, "sprites": entries, "grounds": [ground.name for ground in places]}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(INDEX, json.dumps(index), zipfile.ZIP_DEFLATED)
        for number, sprite in enumerate(chosen):
            archive.writestr(f"sprites/{number:05}.webp", _encode(sprite.pixels, 82))
        for number, ground in enumerate(places):
            archive.writestr(f"grounds/{number:05}.webp", _encode(ground.pixels, 60))
    return path.stat().st_size


def _encode(pixels: np.ndarray, quality: int) -> bytes:
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, "WEBP", quality=quality, method=2)
    return stored.getvalue()


def _decode(content: bytes, mode: str) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as opened:
        return np.array(opened.convert(mode))


def _read(path: Path, split: str) -> Pack:
    """Raises SettingsError for a missing file, one that is no pack, and one that holds anything of another split."""
    try:
        with zipfile.ZipFile(path) as archive:
            index = json.loads(archive.read(INDEX))
            sprites = tuple(
                Sprite(**entry, pixels=_decode(archive.read(f"sprites/{number:05}.webp"), "RGBA"))
                for number, entry in enumerate(index["sprites"])
            )
            grounds = tuple(
                Ground(name, _decode(archive.read(f"grounds/{number:05}.webp"), "RGB"))
                for number, name in enumerate(index["grounds"])
            )
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise SettingsError(
            f"{path} is no pack of sprites ({error}); `python -m dsvl2_app sprites --out DIR` makes them."
        ) from None
    strange = [item.name for item in (*sprites, *grounds) if item.split != split]
    if index["split"] != split or strange:
        raise SettingsError(f"{path} holds pictures that are not for {split}; give {FILES[split]}.")
    return Pack(split, sprites, grounds)


def read_training(path: Path) -> Pack:
    return _read(path, TRAINING)


def read_evaluation(path: Path) -> Pack:
    return _read(path, EVALUATION)
