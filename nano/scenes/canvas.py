"""Drawing with bookkeeping: every stroke also records who owns the pixels and which character stands there."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np

from nano.scenes.fonts import CHARACTER_CODE, Font
from nano.scenes.scene import Box, Colour, Line, Scene, SceneObject

SUBPIXEL = 4  # bits of fixed-point precision in OpenCV's polygon drawing

cv2.setNumThreads(1)  # scenes are spread over processes, not threads


class Canvas:
    """A picture under construction. Objects are painted in order; later ones cover earlier ones."""

    def __init__(self, width: int, height: int, background: Colour | None = None) -> None:
        self.width, self.height = width, height
        self.pixels: np.ndarray = np.empty((height, width, 3), np.uint8)
        if background:
            self.fill_all(background)
        self.owner = np.zeros((height, width), np.int16)
        self.characters = np.zeros((height, width), np.uint8)
        self.order = np.zeros((height, width), np.uint8)
        self.capitals = np.zeros((height, width), np.uint8)
        self.objects: list[SceneObject] = []
        self.lines: list[Line] = []

    def finish(self, family: str, variety: str, **facts: object) -> Scene:
        return Scene(
            self.pixels,
            family,
            variety,
            tuple(self.objects),
            tuple(self.lines),
            facts,
            self.owner,
            self.characters,
            self.order,
            self.capitals,
        )

    # ---- shapes ------------------------------------------------------------------------------------------

    def fill_all(self, colour: Colour) -> None:
        cv2.rectangle(self.pixels, (0, 0), (self.width, self.height), colour, cv2.FILLED)

    def fill(self, points: np.ndarray, colour: Colour) -> None:
        cv2.fillPoly(self.pixels, [_fixed(points)], colour, cv2.LINE_AA, SUBPIXEL)

    def outline(self, points: np.ndarray, colour: Colour, thickness: int, *, closed: bool = True) -> None:
        cv2.polylines(self.pixels, [_fixed(points)], closed, colour, thickness, cv2.LINE_AA, SUBPIXEL)

    def rectangle(self, box: Box, colour: Colour, *, radius: int = 0) -> None:
        left, top, right, bottom = box
        if radius <= 0:
            self.pixels[max(top, 0) : bottom, max(left, 0) : right] = colour
        else:
            self.fill(round_rectangle(box, radius), colour)

    def frame(self, box: Box, colour: Colour, thickness: int = 1, *, radius: int = 0) -> None:
        """A border inside `box`."""
        left, top, right, bottom = box
        if radius > 0:
            inset = thickness / 2
            self.outline(round_rectangle(box, radius, inset), colour, thickness)
            return
        for edge in (
            (left, top, right, top + thickness),
            (left, bottom - thickness, right, bottom),
            (left, top, left + thickness, bottom),
            (right - thickness, top, right, bottom),
        ):
            self.rectangle(edge, colour)

    def claim(self, item: SceneObject) -> int:
        """Make a rectangular thing the owner of its box; returns its index."""
        left, top, right, bottom = item.box
        self.objects.append(item)
        self.owner[top:bottom, left:right] = len(self.objects)
        return len(self.objects) - 1

    # ---- text --------------------------------------------------------------------------------------------

    def text(
        self,
        x: int,
        baseline: int,
        text: str,
        font: Font,
        colour: Colour,
        *,
        role: str = "body",
        colour_name: str = "",
        own: bool = True,
    ) -> Box:
        """Write one line, starting at `x`; each word becomes an object and the line is recorded.

        With `own` false the text belongs to the thing it stands on (a button's label): its characters are
        recorded, its words are not. Returns the box of the ink.
        """
        boxes: list[Box] = []
        line = len(self.lines) if own else -1
        for word in text.split(" "):
            if word:
                box = self._word(x, baseline, word, font, colour)
                boxes.append(box)
                if own:
                    self.claim(SceneObject("word", box, colour_name, word, word, True, font.cap_height, line))
            x += font.width(word) + font.space
        whole = unite(boxes) if boxes else (x, baseline, x, baseline)
        if own:
            self.lines.append(Line(text, whole, role, font.cap_height))
        return whole

    def _word(self, x: int, baseline: int, word: str, font: Font, colour: Colour) -> Box:
        glyphs = [font.glyph(character) for character in word]
        places = []
        pen = x
        for glyph in glyphs:
            places.append(pen + glyph.left)
            pen += glyph.advance
        inked = [
            (place, glyph, number)
            for number, (place, glyph) in enumerate(zip(places, glyphs, strict=True))
            if glyph.mask.size
        ]
        left = min(place for place, _, _ in inked)
        right = max(place + glyph.mask.shape[1] for place, glyph, _ in inked)
        top = min(glyph.top for _, glyph, _ in inked)
        bottom = max(glyph.top + glyph.mask.shape[0] for _, glyph, _ in inked)
        coverage = np.zeros((bottom - top, right - left), np.uint8)
        for place, glyph, _ in inked:
            rows, columns = glyph.mask.shape
            spot = coverage[glyph.top - top : glyph.top - top + rows, place - left : place - left + columns]
            np.maximum(spot, glyph.mask, out=spot)
        box = (left, baseline + top, right, baseline + bottom)
        self._blend(box, coverage, colour)
        # Characters are recorded over the band of the capitals and the pen's advance, whatever their ink.
        band = slice(max(baseline - font.cap_height, 0), baseline)
        pen = x
        for number, glyph in enumerate(glyphs):
            columns = slice(max(pen, 0), pen + glyph.advance)
            self.characters[band, columns] = CHARACTER_CODE.get(word[number], 0)
            self.order[band, columns] = number
            pen += glyph.advance
        self.capitals[band, max(x, 0) : pen] = min(font.cap_height, 255)
        return self._clip(box)

    def _blend(self, box: Box, coverage: np.ndarray, colour: Colour) -> None:
        left, top, right, bottom = self._clip(box)
        if left >= right or top >= bottom:
            return
        part = coverage[top - box[1] : bottom - box[1], left - box[0] : right - box[0], None]
        spot = self.pixels[top:bottom, left:right]
        spot[:] = (spot * (255 - part.astype(np.uint16)) + np.array(colour, np.uint16) * part) // 255

    def _clip(self, box: Box) -> Box:
        left, top, right, bottom = box
        return max(left, 0), max(top, 0), min(right, self.width), min(bottom, self.height)

    # ---- wear --------------------------------------------------------------------------------------------

    def add_noise(self, rng: Random, strength: float) -> None:
        noise = _noise_bank()
        bank_height, bank_width = noise.shape[:2]
        flat = self.pixels.reshape(self.height, self.width * 3)
        for top in range(0, self.height, bank_height):
            for left in range(0, self.width * 3, bank_width):
                spot = flat[top : top + bank_height, left : left + bank_width]
                y, x = rng.randrange(bank_height), rng.randrange(bank_width)
                grain = np.roll(noise, (y, x), (0, 1))[: spot.shape[0], : spot.shape[1]]
                spot[:] = cv2.addWeighted(spot, 1.0, grain, strength, -127.0 * strength)

    def compress(self, quality: int) -> None:
        """Leave JPEG artefacts in the picture."""
        stored = cv2.imencode(".jpg", self.pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        self.pixels = np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR))

    def wear(self, rng: Random, amount: float) -> None:
        """Noise, blur and JPEG artefacts, each with a chance that grows with `amount` (0..1)."""
        if rng.random() < 0.2 * amount:
            self.add_noise(rng, rng.uniform(0.05, 0.25))
        if rng.random() < 0.15 * amount:
            self.compress(rng.randint(35, 85))


_bank: list[np.ndarray] = []


def _noise_bank() -> np.ndarray:
    if not _bank:
        _bank.append(np.random.default_rng(0).normal(127, 40, (512, 2048)).clip(0, 255).astype(np.uint8))
    return _bank[0]


def _fixed(points: np.ndarray) -> np.ndarray:
    # OpenCV counts from pixel centres, boxes here count from pixel edges.
    return np.round((points - 0.5) * (1 << SUBPIXEL)).astype(np.int32)


def round_rectangle(box: Box, radius: int, inset: float = 0.0) -> np.ndarray:
    left, top, right, bottom = box
    left, top, right, bottom = left + inset, top + inset, right - inset, bottom - inset
    radius = min(radius, int(right - left) // 2, int(bottom - top) // 2)
    corners = ((right - radius, bottom - radius), (left + radius, bottom - radius),
               (left + radius, top + radius), (right - radius, top + radius))  # fmt: skip
    arcs = [
        np.stack((x + radius * np.cos(turn), y + radius * np.sin(turn)), 1)
        for (x, y), turn in zip(corners, _QUARTERS, strict=True)
    ]
    return np.concatenate(arcs)


_QUARTERS = [np.linspace(quarter, quarter + 1, 6) * np.pi / 2 for quarter in range(4)]


def unite(boxes: list[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def overlap(one: Box, other: Box, margin: int = 0) -> bool:
    return (
        one[0] - margin < other[2]
        and other[0] - margin < one[2]
        and one[1] - margin < other[3]
        and other[1] - margin < one[3]
    )
