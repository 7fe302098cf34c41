"""`dsvl2 check`: questions with known answers, so that whoever has the weights knows in a minute whether all is right.

The first picture is that of mlx-vlm's issue 2315, where a wrong pairing of rotary positions left short questions right
and made every picture "0, 0, 0": positions go wrong the more, the farther apart two tokens are.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass

from PIL import Image, ImageDraw, ImageFont

from dsvl2_app.backend import Backend, load
from dsvl2_app.errors import CheckpointError
from dsvl2_app.evaluation.metrics import found_at_half
from dsvl2_app.evaluation.report import Messages
from dsvl2_app.evaluation.scoring import Box, says_any
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.boxes import parse_boxes
from dsvl2_app.text.grounding import ask_for
from dsvl2_app.text.prompt import ANSWER_TOKENS

SIDE = 384  # px of each picture: one tile of the released models
CIRCLE: Box = (92, 92, 292, 292)
CORNER_CIRCLE: Box = (40, 40, 140, 140)
CORNER_SQUARE: Box = (230, 230, 340, 340)
ROUND = ("circle", "ellipse", "oval", "disc", "disk", "dot")
MOST_NEW_TOKENS = 128


@dataclass(frozen=True, slots=True)
class Probe:
    name: str
    messages: Messages
    is_right: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Found:
    name: str
    right: bool
    answer: str
    seconds: float
    tokens: int  # of the answer

    @property
    def line(self) -> str:
        mark = "right" if self.right else "WRONG"
        return f"{mark}  {self.name:<24} {self.seconds:>6.1f} s  {self.answer!r}"


def run(flags: argparse.Namespace) -> None:
    """Ask all of them. Raises CheckpointError after all that can be shown, where an answer is wrong."""
    started = time.perf_counter()
    with closing(load(Settings.choose(flags, os.environ))) as backend:
        loaded = time.perf_counter() - started
        found = []
        for probe in make_probes(with_text=not backend.card.bundled):
            found.append(try_out(backend, probe))
            if not flags.json:
                print(found[-1].line, flush=True)
        spent = time.perf_counter() - started
        wrong = [each for each in found if not each.right]
        if flags.json:
            told = {"model": backend.card.name, "loading": loaded, "seconds": spent}
            print(json.dumps({**told, "wrong": len(wrong), "checks": [asdict(each) for each in found]}))
        else:
            print(
                f"{len(found) - len(wrong)} of {len(found)} are right; loaded in {loaded:.1f} s, {spent:.1f} s in all."
            )
    if wrong:
        raise CheckpointError(
            f"Wrong: {', '.join(each.name for each in wrong)}. Fetch the checkpoint again with `dsvl2 fetch`, or try "
            "--dtype float32 without --quantize."
        )


def try_out(backend: Backend, probe: Probe) -> Found:
    """The greedy answer, and whether it is right."""
    began = time.perf_counter()
    request = Request(probe.messages, Sampling(max_new_tokens=MOST_NEW_TOKENS), allow=ANSWER_TOKENS)
    with backend.submit(request) as stream:
        steps = list(stream)
    answer = "".join(step.text for step in steps)
    right = probe.is_right(answer)
    seconds, tokens = time.perf_counter() - began, steps[-1].timings.new_tokens
    return Found(probe.name, right, answer, seconds, tokens)


def make_probes(with_text: bool = True) -> list[Probe]:
    """With a question without a picture too, which nano cannot answer."""
    circle, corners = draw_circle(), draw_corners()
    text = [Probe("a short question", _ask("What is the capital of France?"), _says("Paris"))]
    return [
        *(text if with_text else []),
        Probe("a red circle", _ask("Describe this image.", circle), _is_red_circle),
        Probe("a colour", _ask("What color is the square?", corners), _says("blue")),
        Probe("a word", _ask("What is written in the image?", draw_word()), _says("HELLO")),
        Probe("a number", _ask("How many circles are there?", draw_three()), _says("3", "three")),
        Probe("a box", ask_for(circle, "the red circle"), _boxes(CIRCLE)),
        Probe("a box in a corner", ask_for(corners, "the blue square"), _boxes(CORNER_SQUARE)),
    ]


def _ask(text: str, picture: ImageRef | None = None) -> Messages:
    if picture is None:
        return [{"role": "user", "content": text}]
    return [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": f"\n{text}"}]}]


def _says(*accepted: str) -> Callable[[str], bool]:
    return lambda answer: says_any(answer, accepted)


def _is_red_circle(answer: str) -> bool:
    return says_any(answer, ("red",)) and re.search("|".join(ROUND), answer, re.IGNORECASE) is not None


def _boxes(truth: Box) -> Callable[[str], bool]:
    """One box, in tags that are whole: a tokenizer of other weights cannot write these."""

    def is_right(answer: str) -> bool:
        parsed = parse_boxes(answer)
        return len(parsed.boxes) == 1 and not parsed.problems and found_at_half(answer, truth, (SIDE, SIDE)) == 1

    return is_right


def _draw() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    return picture, ImageDraw.Draw(picture)


def draw_circle() -> ImageRef:
    picture, pen = _draw()
    pen.ellipse(CIRCLE, fill="red")
    return ImageRef.of(picture)


def draw_corners() -> ImageRef:
    """A red circle at the top left, a blue square at the bottom right."""
    picture, pen = _draw()
    pen.ellipse(CORNER_CIRCLE, fill="red")
    pen.rectangle(CORNER_SQUARE, fill="blue")
    return ImageRef.of(picture)


def draw_word() -> ImageRef:
    picture, pen = _draw()
    pen.text((SIDE / 2, SIDE / 2), "HELLO", fill="black", font=ImageFont.load_default(80), anchor="mm")
    return ImageRef.of(picture)


def draw_three() -> ImageRef:
    picture, pen = _draw()
    for left in (40, 160, 280):
        pen.ellipse((left, 150, left + 70, 220), fill="green")
    return ImageRef.of(picture)
