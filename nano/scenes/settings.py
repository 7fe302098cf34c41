"""Where things may stand apart from open ground: on a page, on a card, on the screen of a phone."""

from __future__ import annotations

from random import Random

from nano.scenes import words
from nano.scenes.canvas import Canvas
from nano.scenes.grounds import jitter
from nano.scenes.scene import Box
from nano.scenes.styles import ANY_STYLE, choose_face, fit_font

SETTINGS = ("page", "card", "phone")
DARK, PALE = (38, 38, 44), (250, 250, 248)
LEAST = 60  # px of the room that is left for things


def lay_out(canvas: Canvas, rng: Random, setting: str, pixel: float) -> Box:
    """Draw it and return the room inside; the whole picture where that would be too small."""
    width, height = canvas.width, canvas.height
    if setting == "phone":
        box = _upright(width, height)
        frame = max(round((box[2] - box[0]) / 24), 2)
        canvas.rectangle(box, DARK, radius=4 * frame)
        screen = box[0] + frame, box[1] + 3 * frame, box[2] - frame, box[3] - 3 * frame
        canvas.rectangle(screen, jitter(PALE, rng, 12), radius=frame)
    else:
        edge = round(min(width, height) * (0.02 if setting == "page" else 0.06))
        screen = edge, edge, width - edge, height - edge
        canvas.rectangle(screen, jitter(PALE, rng, 6), radius=0 if setting == "page" else 3 * edge)
    room = _write(canvas, rng, screen, pixel, lines=2 if setting == "page" else 1)
    return room if min(room[2] - room[0], room[3] - room[1]) >= LEAST * pixel else (0, 0, width, height)


def _upright(width: int, height: int) -> Box:
    """The largest box of about the shape of a phone, or lying where the picture is wide."""
    wide, tall = (min(width, height * 0.62), height) if height >= width else (width, min(height, width * 0.62))
    left, top = round((width - wide) / 2), round((height - tall) / 2)
    return left + 2, top + 2, round(left + wide) - 2, round(top + tall) - 2


def _write(canvas: Canvas, rng: Random, screen: Box, pixel: float, lines: int) -> Box:
    """A few words at the top or at the bottom, which belong to nothing; returns what is left between."""
    left, top, right, bottom = screen
    pad = max(round(4 * pixel), 2)
    face = choose_face(rng, *ANY_STYLE)
    at_top = rng.random() < 0.6
    for _ in range(lines):
        text = " ".join(words.invent_word(rng) for _ in range(rng.randint(1, 3)))
        font = fit_font(face, rng.uniform(11, 18) * pixel, text, right - left - 4 * pad, 9 * pixel)
        tall = round(font.size * 1.4)
        if font.width(text) > right - left - 4 * pad or bottom - top - tall < LEAST * pixel:
            continue
        baseline = top + font.size if at_top else bottom - round(font.size * 0.4)
        canvas.text(left + 2 * pad, baseline, text, font, DARK, own=False)
        top, bottom = (top + tall, bottom) if at_top else (top, bottom - tall)
    return left + pad, top + pad, right - pad, bottom - pad
