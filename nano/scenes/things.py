"""One to twelve everyday things on drawn, textured and photographic grounds: the family that teaches names.

Needs a pack of sprites (`things.pack`): `render` draws from that alone, so what a picture can show is decided by which
pack it is given.
"""

from __future__ import annotations

import math
from random import Random

import cv2
import numpy as np

from nano.scenes.canvas import Canvas, overlap
from nano.scenes.grounds import paint_ground
from nano.scenes.marks import mark
from nano.scenes.placing import place
from nano.scenes.scene import UNKNOWN_THING, Box, Scene, SceneObject
from nano.scenes.settings import SETTINGS, lay_out
from nano.scenes.sizes import Level, choose_size, unit
from nano.scenes.sprites import Posed, pose
from nano.things.pack import INKED, MODEL, PHOTOGRAPH, Pack, Sprite
from nano.things.vocabulary import nouns

MOST_OBJECTS = 12
PHOTOGRAPHIC = 0.7  # share of the hardest pictures' grounds that are pieces of photographs, where the pack has any
PHOTOGRAPHED = 0.3  # share of a thing's sprites that are photographs or models, where there are any
DRAWN_IN_INK = 0.2  # and that are drawn in one colour
STRANGE = 0.07  # share of things that are unknown
COVERED = 0.35  # share of a thing that others may hide
OUTSIDE = 0.3  # and that may lie beyond the edge of the picture

Plan = list[tuple[str, Sprite | None]]  # nouns, with the sprite where it is decided


def render(
    rng: Random,
    level: Level,
    pack: Pack,
    *,
    setting: str = "",
    wanted: str = "",
    marked: bool = False,
    strange: float = STRANGE,
    photographic: float = PHOTOGRAPHIC,
    styled: float = 0.0,
) -> Scene:
    """A picture of things in a setting: one of SETTINGS, "single", "scattered", "rows".

    `wanted` is a noun that must occur; `marked` leaves a red rectangle around one known thing (facts["marked"]);
    `strange` is the share of unknown things, `photographic` that of photographs as grounds, `styled` that of things in
    another hand than their sprite's. facts["visible"] is how much of each thing shows.
    """
    while True:
        scene = _render(rng, level, pack, setting, wanted, marked, strange, photographic, styled)
        if scene is not None:
            return scene


def _render(
    rng: Random,
    level: Level,
    pack: Pack,
    setting: str,
    wanted: str,
    marked: bool,
    strange: float,
    photographic: float,
    styled: float,
) -> Scene | None:
    width, height = choose_size(rng, level)
    pixel = unit(width, height, level)
    canvas = Canvas(width, height)
    _paint(canvas, rng, level, pack, photographic)
    setting = setting or rng.choices(("scattered", "single", "rows", *SETTINGS), (50, 24, 12, 5, 5, 4))[0]
    room = lay_out(canvas, rng, setting, pixel) if setting in SETTINGS else (0, 0, width, height)
    plan = _plan(rng, level, pack, setting, strange)
    if wanted:
        for number in range(rng.randint(1, max(1, min(3, len(plan) // 2)))):
            plan[number] = (wanted, None)
    overlaps = not marked and setting == "scattered" and rng.random() < 0.3 * level.hardness
    beyond = not marked and setting in ("single", "scattered") and rng.random() < 0.15 * level.hardness
    shadows = rng.random() < 0.25 * level.hardness
    totals: list[int] = []
    for (noun, sprite), (spot, side, tries) in zip(plan, _spots(rng, plan, room, setting, pixel), strict=True):
        sprite = sprite or _choose(rng, pack, noun)
        for attempt in range(tries):
            if attempt % 4 == 0:
                side *= rng.uniform(0.8, 1.0)
                posed = pose(sprite, rng, side, level.hardness, styled)
            corner = _corner(rng, spot, posed.size, OUTSIDE if beyond else 0.0)
            if corner is None or _crowded(canvas, corner, posed.size, overlaps):
                continue
            if place(canvas, posed, corner, COVERED if overlaps else 0.0, totals, shadow=shadows):
                canvas.objects.append(_describe(noun, posed, corner))
                break
    return _finish(canvas, rng, level, setting, totals, pixel, marked)


def _describe(noun: str, posed: Posed, corner: tuple[int, int]) -> SceneObject:
    """What is true of a thing whose top left corner is there; one that is not in the vocabulary has no name."""
    (left, top), (width, height) = corner, posed.size
    box = (left, top, left + width, top + height)
    return (
        SceneObject(noun, box, posed.colour, name=noun)
        if nouns()[noun].known
        else SceneObject(UNKNOWN_THING, box, posed.colour)
    )


def _finish(
    canvas: Canvas, rng: Random, level: Level, setting: str, totals: list[int], pixel: float, marked: bool
) -> Scene | None:
    """Boxes are made tight around what shows; None where nothing does, or nothing can be marked."""
    if not canvas.objects:
        return None
    shown = np.bincount(canvas.owner.ravel(), minlength=len(totals) + 1)[1:]
    for number, item in enumerate(canvas.objects):
        box = bound(canvas, number, item.box)
        canvas.objects[number] = SceneObject(item.kind, box, item.colour, name=item.name)
    facts = {"visible": tuple(int(seen) / total for seen, total in zip(shown, totals, strict=True)), "setting": setting}
    if marked:
        known = [number for number, item in enumerate(canvas.objects) if item.kind != UNKNOWN_THING]
        if not known:
            return None
        facts["marked"] = rng.choice(known)
        mark(canvas, facts["marked"], pixel)
    if rng.random() < 0.12 * level.hardness:
        canvas.pixels = cv2.GaussianBlur(canvas.pixels, (0, 0), rng.uniform(0.4, 1.1) * pixel)
    canvas.wear(rng, level.hardness)
    return canvas.finish("things", "things", **facts)


def bound(canvas: Canvas, number: int, around: Box) -> Box:
    """The tight box of what shows of an object, which lies somewhere in `around`."""
    left, top = max(around[0], 0), max(around[1], 0)
    own = canvas.owner[top : around[3], left : around[2]] == number + 1
    rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
    return left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1


def _paint(canvas: Canvas, rng: Random, level: Level, pack: Pack, photographic: float) -> None:
    """Easy pictures have fewer photographs as grounds, unless all are to have one."""
    if not pack.grounds or rng.random() > (photographic if photographic == 1 else photographic * level.hardness):
        paint_ground(canvas, rng, level)
        return
    photograph = rng.choice(pack.grounds).pixels
    side = photograph.shape[0]
    scale = max(canvas.width, canvas.height) / side
    wide, tall = min(round(canvas.width / scale), side), min(round(canvas.height / scale), side)
    left, top = rng.randint(0, side - wide), rng.randint(0, side - tall)
    piece = photograph[top : top + tall, left : left + wide]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    canvas.pixels[:] = cv2.resize(piece, (canvas.width, canvas.height), interpolation=cv2.INTER_LINEAR)


# ---- what is in the picture --------------------------------------------------------------------------------


def _plan(rng: Random, level: Level, pack: Pack, setting: str, strange: float) -> Plan:
    """Nouns, so that every count from one to nine occurs, beside others of the same kind."""

    def pick() -> str:
        return rng.choice(pack.strange if pack.strange and (not pack.known or rng.random() < strange) else pack.known)

    if setting == "single":
        return [(pick(), None)]
    draw = rng.random()
    if setting != "rows" and (level.hardness < 0.3 or draw < 0.5):
        most = 3 if level.hardness < 0.3 else 6
        return [(pick(), None) for _ in range(rng.randint(2, most))]
    if draw < 0.62:
        kind = rng.choice(list(pack.by_kind)) if pack.by_kind else ""
        members = pack.by_kind.get(kind) or (pick(),)
        plan: Plan = [(rng.choice(members), None) for _ in range(rng.randint(3, 6))]
        return [*plan, *((pick(), None) for _ in range(rng.randint(0, 2)))]
    noun = pick()
    sprite = _choose(rng, pack, noun) if rng.random() < 0.6 else None  # the same one, or in several hands
    near = pack.by_kind.get(nouns()[noun].kind.name, (noun,))
    plan = [(noun, sprite)] * rng.randint(2, 9)
    for _ in range(rng.randint(0, min(4, MOST_OBJECTS - len(plan)))):
        plan.append((rng.choice(near) if rng.random() < 0.5 else pick(), None))
    rng.shuffle(plan)
    return plan


def _choose(rng: Random, pack: Pack, noun: str) -> Sprite:
    """Photographs and models are rare among the sprites and seen more often than that; of ink there is more than is
    seen."""
    sprites = pack.by_noun[noun]
    groups = (
        (PHOTOGRAPHED, [sprite for sprite in sprites if sprite.hand in (PHOTOGRAPH, MODEL)]),
        (DRAWN_IN_INK, [sprite for sprite in sprites if sprite.hand in INKED]),
    )
    draw = rng.random()
    for share, group in groups:
        if group and draw < share:
            return rng.choice(group)
        draw -= share if group else 0
    return rng.choice([sprite for sprite in sprites if sprite.hand not in INKED] or sprites)


# ---- where it goes -----------------------------------------------------------------------------------------


def _spots(rng: Random, plan: Plan, room: Box, setting: str, pixel: float) -> list[tuple[Box, float, int]]:
    """For each thing the part of the picture that it may lie in, its longer side, and how often to try."""
    left, top, right, bottom = room
    wide, tall = right - left, bottom - top
    low = min(wide, tall)
    if setting == "rows":
        columns = min(max(round(math.sqrt(len(plan) * wide / tall)), 1), len(plan))
        rows = math.ceil(len(plan) / columns)
        cells = [(place % columns, place // columns) for place in range(len(plan))]
        side = min(wide / columns, tall / rows) * rng.uniform(0.7, 0.95)
        return [
            ((round(left + x * wide / columns), round(top + y * tall / rows),
              round(left + (x + 1) * wide / columns), round(top + (y + 1) * tall / rows)), side, 4)
            for x, y in cells
        ]  # fmt: skip
    if len(plan) == 1:
        return [(room, max(low * rng.uniform(0.3, 1.0), 24 * pixel), 12)]
    average = math.sqrt(wide * tall / max(len(plan), 2))
    sides = [min(max(26 * pixel, average * rng.uniform(0.45, 1.0)), 0.95 * low) for _ in plan]
    return [(room, side, 8) for side in sides]


def _corner(rng: Random, spot: Box, size: tuple[int, int], outside: float) -> tuple[int, int] | None:
    corner = []
    for start, end, length in zip(spot[:2], spot[2:], size, strict=True):
        beyond = int(outside * length)
        first, last = start - beyond, end - length + beyond
        if first > last:
            return None
        corner.append(rng.randint(first, last))
    return corner[0], corner[1]


def _crowded(canvas: Canvas, corner: tuple[int, int], size: tuple[int, int], overlaps: bool) -> bool:
    if overlaps:
        return False
    area = (*corner, corner[0] + size[0], corner[1] + size[1])
    return any(overlap(item.box, area, margin=2) for item in canvas.objects)
