"""Coloured shapes on a ground: the family that teaches what, which colour, how many, where."""

from __future__ import annotations

import math
from random import Random

import cv2
import numpy as np

from nano.scenes.canvas import Canvas, overlap
from nano.scenes.fonts import find_faces, load_font
from nano.scenes.scene import COLOURS, SHAPES, Box, Colour, Scene, SceneObject
from nano.scenes.sizes import Level, choose_size, unit

MOST_OBJECTS = 12
MARK: Colour = (255, 0, 0)


Plan = list[tuple[str, str, bool]]  # shape, colour and whether it is filled, of each object


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
    shadows = rng.random() < 0.2 * level.hardness
    overlaps = not marked and repaint is None and rng.random() < 0.25 * level.hardness
    room = math.sqrt(width * height / max(len(plan), 2))
    smallest = (24 if level.hardness > 0.3 else 36) * pixel
    for shape, colour, filled in plan:
        colour = (repaint or {}).get(len(canvas.objects), colour)
        for _ in range(12):
            side = max(smallest, room * rng.uniform(0.35, 0.85))
            side = min(side, 0.92 * min(width, height))
            if _place(canvas, rng, shape, colour, filled, side, shadows, overlaps):
                break
    while not canvas.objects:  # turned, a shape can be too tall for a low strip
        side *= 0.9
        _place(canvas, rng, shape, colour, filled, side, shadows, overlaps)
    if marked:
        number = rng.randrange(len(canvas.objects))
        _mark(canvas, number, pixel)
    elif level.hardness > 0 and rng.random() < 0.12:
        _write_on(canvas, rng, pixel)
    canvas.wear(rng, level.hardness)
    facts = {"background": ground_name} | ({"marked": number} if marked else {})
    return canvas.finish("shapes", "shapes", **facts)


# ---- what is in the picture --------------------------------------------------------------------------------


def _plan(rng: Random, level: Level, grounds: list[Colour], avoid: str) -> Plan:
    """Shape, colour and fill of each object, so that every count from one to nine of a kind occurs."""
    colours = [
        name
        for name, value in COLOURS.items()
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


def paint_ground(canvas: Canvas, rng: Random, level: Level) -> tuple[list[Colour], str]:
    """Fill the canvas; returns the colours that objects must differ from and the name of a plain ground."""
    kind = rng.random() * (0.35 + 0.65 * level.hardness)
    if kind < 0.35:
        name = rng.choice(("white", "white", "black", "grey", *COLOURS))
        value = jitter(COLOURS[name], rng, 6)
        canvas.fill_all(value)
        return [value], name
    if kind < 0.5:
        value = _any_colour(rng)
        canvas.fill_all(value)
        return [value], ""
    base = _any_colour(rng)
    if kind < 0.72:
        other = jitter(base, rng, 45)
        corners = np.array([[base, other], [jitter(other, rng, 20), other]], np.uint8)
        if rng.random() < 0.5:
            corners[1] = corners[0] if rng.random() < 0.5 else corners[0, ::-1]
        canvas.pixels[:] = cv2.resize(corners, (canvas.width, canvas.height), interpolation=cv2.INTER_LINEAR)
        return [base, other], ""
    noise = np.random.default_rng(rng.getrandbits(32))
    cells = rng.choice((4, 8, 16, 32))
    across, down = max(canvas.width // cells, 2), max(canvas.height // cells, 2)
    tones = 1 if rng.random() < 0.5 else 3
    grain = noise.integers(-22, 23, (down, across, tones)) + np.array(base)
    texture = grain.clip(0, 255).astype(np.uint8)
    smooth = cv2.INTER_NEAREST if rng.random() < 0.3 else cv2.INTER_LINEAR
    canvas.pixels[:] = cv2.resize(texture, (canvas.width, canvas.height), interpolation=smooth)
    return [base], ""


def jitter(colour: Colour, rng: Random, amount: int) -> Colour:
    red, green, blue = (min(max(part + rng.randint(-amount, amount), 0), 255) for part in colour)
    return red, green, blue


def _any_colour(rng: Random) -> Colour:
    """Mostly pale or dark, as grounds are."""
    low, high = rng.choice(((190, 255), (190, 255), (0, 70), (90, 190)))
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


# ---- one object --------------------------------------------------------------------------------------------


def _place(
    canvas: Canvas, rng: Random, shape: str, colour: str, filled: bool, side: float, shadow: bool, overlaps: bool
) -> bool:
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
    if touched and (not overlaps or not filled):
        return False
    mask = np.zeros((area[3] - area[1], area[2] - area[0]), np.uint8)
    local = _stencil(points - (area[0], area[1]))
    if filled:
        cv2.fillPoly(mask, [local], 255, cv2.LINE_AA, 4)
    else:
        cv2.polylines(mask, [local], True, 255, thickness, cv2.LINE_AA, 4)
    own = mask > 127
    rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
    box = (
        area[0] + int(columns[0]), area[1] + int(rows[0]),
        area[0] + int(columns[-1]) + 1, area[1] + int(rows[-1]) + 1,
    )  # fmt: skip
    owner = canvas.owner[area[1] : area[3], area[0] : area[2]]
    if touched and _hides(canvas, touched, area, own, colour):
        return False
    value = jitter(COLOURS[colour], rng, 12)
    if shadow and filled:
        _cast_shadow(canvas, mask, area, max(round(side / 20), 2))
    if filled:
        canvas.fill(points, value)
        if rng.random() < 0.15:
            red, green, blue = (int(part * 0.7) for part in value)
            canvas.outline(points, (red, green, blue), 1)
    else:
        canvas.outline(points, value, thickness)
    canvas.objects.append(SceneObject(shape, box, colour, "", shape, filled))
    owner[own] = len(canvas.objects)
    return True


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


def _cast_shadow(canvas: Canvas, mask: np.ndarray, area: Box, offset: int) -> None:
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


def _stencil(points: np.ndarray) -> np.ndarray:
    return np.round((points - 0.5) * 16).astype(np.int32)


def trace(shape: str, rng: Random, side: float) -> np.ndarray:
    """Outline points around the origin; the longer side of the unrotated shape is `side`."""
    wide = tall = 1.0
    turn = 0.0
    if shape in ("rectangle", "ellipse"):
        tall = rng.uniform(0.42, 0.66)
        turn = rng.choice((0.0, 0.0, 0.5)) * math.pi + rng.uniform(-0.2, 0.2) * rng.choice((0, 1))
        if shape == "ellipse":
            turn = rng.uniform(0, math.pi)
    elif shape == "square":
        turn = rng.choice((0.0, rng.uniform(-0.22, 0.22)))
    elif shape == "diamond":
        wide = rng.uniform(0.6, 0.78)
        turn = rng.choice((0.0, rng.uniform(-0.12, 0.12)))
    elif shape == "heart":
        turn = rng.choice((0.0, rng.uniform(-0.4, 0.4)))
    elif shape == "cross":
        turn = rng.choice((0.0, rng.uniform(-0.25, 0.25)))
    elif shape in ("triangle", "star", "pentagon", "hexagon"):
        turn = rng.choice((0.0, rng.uniform(0, 2 * math.pi)))
        if shape == "triangle":
            wide = rng.uniform(0.8, 1.0)
    points = OUTLINES[shape] * (wide * side, tall * side)
    if turn:
        cosine, sine = math.cos(turn), math.sin(turn)
        points = points @ np.array(((cosine, sine), (-sine, cosine)))
    return points


def _polygon(corners: int) -> np.ndarray:
    turns = np.arange(corners) * 2 * math.pi / corners - math.pi / 2
    return np.stack((np.cos(turns), np.sin(turns)), 1) / 2


def _star() -> np.ndarray:
    points = _polygon(10)
    points[1::2] *= 0.42
    return points


def _heart() -> np.ndarray:
    turns = np.linspace(0, 2 * math.pi, 44, endpoint=False)
    x = 16 * np.sin(turns) ** 3
    y = -(13 * np.cos(turns) - 5 * np.cos(2 * turns) - 2 * np.cos(3 * turns) - np.cos(4 * turns))
    return np.stack((x / 32, (y - 2.5) / 32), 1)


def _cross() -> np.ndarray:
    arm = 0.17
    corner = np.array(((arm, -arm), (arm, -0.5), (-arm, -0.5)))
    quarter = np.array(((0, -1), (1, 0)))
    quarters = [corner]
    for _ in range(3):
        quarters.append(quarters[-1] @ quarter)
    return np.concatenate(quarters)


OUTLINES: dict[str, np.ndarray] = {
    "circle": _polygon(52),
    "ellipse": _polygon(52),
    "square": np.array(((-0.45, -0.45), (0.45, -0.45), (0.45, 0.45), (-0.45, 0.45))),
    "rectangle": np.array(((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))),
    "diamond": _polygon(4),
    "triangle": _polygon(3),
    "pentagon": _polygon(5),
    "hexagon": _polygon(6),
    "star": _star(),
    "heart": _heart(),
    "cross": _cross(),
}


# ---- marks -------------------------------------------------------------------------------------------------


def _mark(canvas: Canvas, number: int, pixel: float) -> None:
    left, top, right, bottom = canvas.objects[number].box
    gap = round(4 * pixel)
    thickness = max(round(2.5 * pixel), 2)
    box = (
        max(left - gap, 0), max(top - gap, 0),
        min(right + gap, canvas.width), min(bottom + gap, canvas.height),
    )  # fmt: skip
    canvas.frame(box, MARK, thickness)


def _write_on(canvas: Canvas, rng: Random, pixel: float) -> None:
    """Put a letter or a number on some of the larger filled shapes."""
    faces = find_faces()
    face = rng.choice(faces.get("sans") or next(iter(faces.values())))
    used: set[str] = set()
    for number, item in enumerate(canvas.objects):
        left, top, right, bottom = item.box
        small = min(right - left, bottom - top)
        if not item.filled or small < 40 * pixel or item.kind in ("heart", "cross", "star") or rng.random() < 0.3:
            continue
        if (canvas.owner[top:bottom, left:right] == number + 1).mean() < 0.42:
            continue  # partly covered or too slim to write on
        text = rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789")
        if text in used:
            continue
        used.add(text)
        font = load_font(face, round(small * 0.42))
        ink = (255, 255, 255) if sum(COLOURS[item.colour]) < 420 else (15, 15, 20)
        x, y = _middle(canvas.owner[top:bottom, left:right] == number + 1)
        glyph = font.glyph(text)
        rows, columns = glyph.mask.shape
        canvas.text(left + x - columns // 2 - glyph.left, top + y + rows // 2, text, font, ink, own=False)
        canvas.objects[number] = SceneObject(item.kind, item.box, item.colour, text, item.name, item.filled)


def _middle(mask: np.ndarray) -> tuple[int, int]:
    rows, columns = np.nonzero(mask)
    return round(columns.mean()), round(rows.mean())
