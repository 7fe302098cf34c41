"""Coloured shapes on a ground: the family that teaches what, which colour, how many, where."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import cv2
import numpy as np

from nano.scenes.canvas import Canvas, overlap
from nano.scenes.grounds import jitter, paint_ground
from nano.scenes.marks import MARK, mark, write_on
from nano.scenes.outlines import trace
from nano.scenes.scene import COLOURS, PURE, SHAPES, Box, Colour, Scene, SceneObject
from nano.scenes.sizes import Level, choose_size, unit

MOST_OBJECTS = 12

Plan = list[tuple[str, str, bool]]  # shape, colour and whether it is filled, of each object


@dataclass(frozen=True, slots=True)
class Manner:
    """How shapes are laid down."""

    shadows: bool = False
    overlaps: bool = False
    pure: bool = False  # in PURE colours


def render(
    rng: Random,
    level: Level = Level(),  # noqa: B008 - frozen value
    *,
    marked: bool = False,
    wanted: str = "",
    repaint: dict[int, str] | None = None,
) -> Scene:
    """A picture of one to twelve shapes.

    `marked` leaves a red rectangle around one of them (facts["marked"]); `wanted` is a shape that must occur;
    with `repaint` the same picture comes out again with other colours for the objects of these numbers.
    """
    width, height = choose_size(rng, level)
    pixel = unit(width, height, level)
    canvas = Canvas(width, height)
    grounds, ground_name = paint_ground(canvas, rng, level)
    while marked and min(math.dist(MARK, ground) for ground in grounds) < 140:
        grounds, ground_name = paint_ground(canvas, rng, level)
    plan = _plan(rng, level, grounds, "red" if marked else "")
    if wanted:
        for number in range(rng.randint(1, max(1, min(3, len(plan) // 2)))):
            plan[number] = (wanted, *plan[number][1:])
    worn = 0.0 if level.pure else level.hardness
    shadows = rng.random() < 0.2 * worn
    overlaps = not marked and repaint is None and rng.random() < 0.25 * worn
    manner = Manner(shadows, overlaps, level.pure)
    smallest = (24 if level.hardness > 0.3 else 36) * pixel
    _place_all(canvas, rng, plan, repaint or {}, smallest, manner)
    if marked:
        number = rng.randrange(len(canvas.objects))
        mark(canvas, number, pixel)
    elif worn > 0 and rng.random() < 0.12:
        write_on(canvas, rng, pixel)
    canvas.wear(rng, worn)
    facts = {"background": ground_name} | ({"marked": number} if marked else {})
    return canvas.finish("shapes", "shapes", **facts)


# ---- what is in the picture --------------------------------------------------------------------------------


def _plan(rng: Random, level: Level, grounds: list[Colour], avoid: str) -> Plan:
    """Shape, colour and fill of each object, so that every count from one to nine of a kind occurs."""
    colours = [
        name
        for name, value in (PURE if level.pure else COLOURS).items()
        if name != avoid and min(math.dist(value, ground) for ground in grounds) > 95
    ]

    def pick() -> tuple[str, str, bool]:
        return rng.choice(SHAPES), rng.choice(colours), rng.random() > 0.22 * level.hardness

    draw = rng.random()
    if level.hardness < 0.3:
        return [pick() for _ in range(rng.choice((1, 1, 2, 3)))]
    if draw < 0.18:
        return [pick()]
    if draw < 0.5:
        return [pick() for _ in range(rng.randint(2, 5))]
    # A group of equals among near misses: the same shape in other colours, the same colour in other shapes.
    shape, colour, filled = pick()
    plan = [(shape, colour, filled)] * rng.randint(2, 9)
    for _ in range(rng.randint(0, min(5, MOST_OBJECTS - len(plan)))):
        other = pick()
        kind = rng.random()
        plan.append((shape, *other[1:]) if kind < 0.35 else (other[0], colour, other[2]) if kind < 0.7 else other)
    rng.shuffle(plan)
    return plan


# ---- where it goes -----------------------------------------------------------------------------------------


def _place_all(
    canvas: Canvas, rng: Random, plan: Plan, repaint: dict[int, str], smallest: float, manner: Manner
) -> None:
    """Objects that find no room are left out, but never all of them."""
    room = math.sqrt(canvas.width * canvas.height / max(len(plan), 2))
    for shape, colour, filled in plan:
        colour = repaint.get(len(canvas.objects), colour)
        for _ in range(12):
            side = max(smallest, room * rng.uniform(0.35, 0.85))
            side = min(side, 0.92 * min(canvas.width, canvas.height))
            if _place(canvas, rng, shape, colour, filled, side, manner):
                break
    while not canvas.objects:  # turned, a shape can be too tall for a low strip
        side *= 0.9
        _place(canvas, rng, shape, colour, filled, side, manner)


def _place(canvas: Canvas, rng: Random, shape: str, colour: str, filled: bool, side: float, manner: Manner) -> bool:
    """Try one spot; False when it would hide or touch another object."""
    points = trace(shape, rng, side)
    thickness = max(round(side * rng.uniform(0.06, 0.12)), 3)
    reach = 0 if filled else thickness / 2 + 1
    low, high = points.min(0) - reach, points.max(0) + reach
    wide, tall = high - low
    if wide > canvas.width - 4 or tall > canvas.height - 4:
        return False
    left = rng.randint(2, canvas.width - math.ceil(wide) - 2)
    top = rng.randint(2, canvas.height - math.ceil(tall) - 2)
    points = points - low + (left, top)
    area: Box = (left - 1, top - 1, left + math.ceil(wide) + 1, top + math.ceil(tall) + 1)
    touched = [number for number, item in enumerate(canvas.objects, start=1) if overlap(item.box, area, margin=3)]
    if touched and not (manner.overlaps and filled):
        return False
    mask = _draw_mask(points, area, 0 if filled else thickness)
    own = mask > 127
    if touched and _hides(canvas, touched, area, own, colour):
        return False
    value = PURE[colour] if manner.pure else jitter(COLOURS[colour], rng, 12)
    if manner.shadows and filled:
        cast_shadow(canvas, mask, area, max(round(side / 20), 2))
    if filled:
        canvas.fill(points, value)
        if not manner.pure and rng.random() < 0.15:
            red, green, blue = (int(part * 0.7) for part in value)
            canvas.outline(points, (red, green, blue), 1)
    else:
        canvas.outline(points, value, thickness)
    canvas.objects.append(SceneObject(shape, _bound(own, area), colour, "", shape, filled))
    canvas.owner[area[1] : area[3], area[0] : area[2]][own] = len(canvas.objects)
    return True


def _draw_mask(points: np.ndarray, area: Box, thickness: int) -> np.ndarray:
    """0 to 255 for each pixel of the area; a thickness of 0 fills the outline."""
    mask = np.zeros((area[3] - area[1], area[2] - area[0]), np.uint8)
    local = np.round((points - (area[0], area[1]) - 0.5) * 16).astype(np.int32)
    if thickness:
        cv2.polylines(mask, [local], True, 255, thickness, cv2.LINE_AA, 4)
    else:
        cv2.fillPoly(mask, [local], 255, cv2.LINE_AA, 4)
    return mask


def _bound(own: np.ndarray, area: Box) -> Box:
    """The tight box of an area's own pixels, in the picture."""
    rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
    left, top = area[:2]
    return left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1


def _hides(canvas: Canvas, touched: list[int], area: Box, own: np.ndarray, colour: str) -> bool:
    """Whether painting `own` would cover an edge that another object's box needs, or much of that object."""
    for number in touched:
        item = canvas.objects[number - 1]
        left, top, right, bottom = item.box
        before = canvas.owner[top:bottom, left:right] == number
        after = before.copy()
        rows = slice(max(area[1] - top, 0), max(area[3] - top, 0))
        columns = slice(max(area[0] - left, 0), max(area[2] - left, 0))
        inside = own[max(top - area[1], 0) : max(bottom - area[1], 0), max(left - area[0], 0) : max(right - area[0], 0)]
        after[rows, columns][: inside.shape[0], : inside.shape[1]] &= ~inside
        covered = not np.array_equal(before, after)
        edges = after[0].any() and after[-1].any() and after[:, 0].any() and after[:, -1].any()
        if after.sum() < 0.7 * before.sum() or not edges:
            return True
        if covered and (item.colour == colour or not item.filled):
            return True
    return False


def cast_shadow(canvas: Canvas, mask: np.ndarray, area: Box, offset: int) -> None:
    spread = 2 * offset + 1
    soft = cv2.blur(cv2.copyMakeBorder(mask, spread, spread, spread, spread, cv2.BORDER_CONSTANT), (spread, spread))
    left, top = area[0] - spread + offset, area[1] - spread + offset
    skip_x, skip_y = max(-left, 0), max(-top, 0)
    spot = canvas.pixels[top + skip_y : top + soft.shape[0], left + skip_x : left + soft.shape[1]]
    soft = soft[skip_y : skip_y + spot.shape[0], skip_x : skip_x + spot.shape[1], None]
    darker = (spot * (255 - soft * np.float32(0.45)) / 255).astype(np.uint8)
    # A shadow falls on the ground, not on what stands there.
    free = canvas.owner[top + skip_y : top + skip_y + spot.shape[0], left + skip_x : left + skip_x + spot.shape[1]]
    np.copyto(spot, darker, where=(free == 0)[..., None])
