"""Seeds -> the pictures in assets/examples and what to ask about them.

`python -m nano.examples` writes the folder anew: pictures, and examples.json, a list of
{"tab", "text", "pictures", "truth"} in which `truth` is what evaluation would compare the answer with; and papers.tif,
some of the pictures once more as pages of one document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
from PIL import Image

from dsvl2_app.bundled import EXAMPLES
from nano import tasks
from nano.samples import EVALUATION_SEEDS
from nano.scenes import Level, Scene, charts, documents, screens, shapes
from nano.scenes.sizes import TILE
from nano.tasks.pictures import compose
from nano.tasks.turn import Turn

FIRST_SEED = EVALUATION_SEEDS + 99_900_000  # apart from the seeds that evaluation counts
LARGEST_FILE = 150_000
PAPERS, PAGES = "papers.tif", ("form.png", "table.png", "receipt.png")

Renderer = Callable[[Random], tuple[list[Scene], list[Turn]]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One example: where it is offered, which scene, and which kind of question."""

    name: str
    tab: str
    kind: str
    render: Renderer
    fits: Callable[[list[Scene]], bool] = lambda several: True
    skip: int = 0  # scenes that fit and are passed over: examples show what nano can do, evaluation what it cannot


def _one(render: Callable[[Random], Scene]) -> Renderer:
    def render_and_ask(rng: Random) -> tuple[list[Scene], list[Turn]]:
        scene = render(rng)
        return [scene], tasks.ask_some(scene, rng, 20)

    return render_and_ask


_shapes = _one(lambda rng: shapes.render(rng, Level(0.75)))
_screen = _one(lambda rng: screens.render(rng, Level(0.4)))


def _document(variety: str) -> Renderer:
    return _one(lambda rng: documents.VARIETIES[variety](rng, Level(0.6)))


def _chart(variety: str) -> Renderer:
    return _one(lambda rng: charts.render(rng, Level(0.4), variety))


def _several(variety: str) -> Renderer:
    return lambda rng: compose(rng, Level(0.5), 20, variety)


def _size(least: float, most: float, objects: int = 4) -> Callable[[list[Scene]], bool]:
    """Neither thumbnails nor strips, so that the examples look well side by side."""

    def fits(several: list[Scene]) -> bool:
        return all(
            least <= (scene.size[0] * scene.size[1]) ** 0.5 / TILE <= most
            and 0.6 < scene.size[0] / scene.size[1] < 2.2
            and len(scene.objects) >= objects
            for scene in several
        )

    return fits


WANTED: tuple[Wanted, ...] = (
    Wanted("shapes", "chat", "shapes.caption", _shapes, _size(1.4, 3.0)),
    Wanted("count", "chat", "shapes.count", _shapes, _size(1.4, 3.0)),
    Wanted("receipt", "chat", "documents.total", _document("receipt"), _size(1.4, 3.0)),
    Wanted("table", "chat", "documents.cell", _document("table"), _size(1.4, 3.0), skip=4),
    Wanted("form", "chat", "documents.field", _document("form"), _size(1.4, 3.0)),
    Wanted("bars", "chat", "charts.highest", _chart("bar"), _size(1.4, 3.0)),
    Wanted("pie", "chat", "charts.value", _chart("pie"), _size(1.4, 3.0), skip=1),
    Wanted("which", "chat", "pictures.which", _several("mixed"),
           lambda several: len(several) == 3),
    Wanted("difference", "chat", "pictures.difference", _several("difference"),
           _size(0.8, 2.2, 2), skip=1),
    Wanted("one", "grounding", "shapes.locate", _shapes, _size(1.4, 3.0)),
    Wanted("several", "grounding", "shapes.locate_several", _shapes, _size(1.4, 3.0)),
    Wanted("words", "grounding", "documents.locate_word", _document("words"), _size(1.4, 3.0)),
    Wanted("screen", "grounding", "screens.locate", _screen, _size(1.4, 3.0)),
    Wanted("context", "chat", "pictures.in_context", _several("in_context"),
           _size(0.8, 2.2, 2), skip=1),
    Wanted("page", "tiles", "documents.title", _document("page"), _size(2.0, 3.4)),
    Wanted("window", "tiles", "screens.title", _screen, _size(2.0, 3.4)),
)  # fmt: skip


def find(wanted: Wanted, first_seed: int) -> tuple[list[Scene], Turn]:
    """The first seed whose scene fits and can be asked this, but for those to skip."""
    skip = wanted.skip
    for seed in range(first_seed, first_seed + 10_000):
        rng = Random(seed)
        several, turns = wanted.render(rng)
        if not wanted.fits(several):
            continue
        for turn in turns:
            neat = turn.question[0].isupper() and turn.question[-1] in "?.>" and not turn.question.isupper()
            if turn.kind == wanted.kind and neat:
                if not skip:
                    return several, turn
                skip -= 1
                break
    raise AssertionError(f"no seed gives the example {wanted.name}")


def encode(image: np.ndarray) -> tuple[str, bytes]:
    """Suffix and content: PNG where it is small, JPEG where noise makes it large."""
    swapped = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    content = cv2.imencode(".png", swapped, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    if len(content) <= LARGEST_FILE // 2:
        return ".png", content
    return ".jpg", cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


def write(folder: Path = EXAMPLES) -> list[dict[str, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    listed: list[dict[str, Any]] = []
    for place, wanted in enumerate(WANTED):
        several, turn = find(wanted, FIRST_SEED + place * 10_000)
        names = []
        for number, scene in enumerate(several, start=1):
            suffix, content = encode(scene.image)
            name = f"{wanted.name}{f'-{number}' if len(several) > 1 else ''}{suffix}"
            (folder / name).write_bytes(content)
            names.append(name)
        text = turn.question.removeprefix("<|grounding|>")
        label = re.search(r"<\|ref\|>(.*?)<\|/ref\|>", turn.answer)
        if wanted.tab == "grounding" and label:
            text = label[1]  # the tab asks for what to look for, not for a sentence
        listed.append({"tab": wanted.tab, "text": text, "pictures": names, "truth": turn.truth})
    text = json.dumps(listed, indent=2, ensure_ascii=False)
    (folder / "examples.json").write_text(text + "\n", encoding="utf-8")
    write_papers(folder)
    return listed


def write_papers(folder: Path) -> None:
    """A document of several pages, to the pixel those pictures of the folder."""
    first, *others = (Image.open(folder / name).convert("RGB") for name in PAGES)
    first.save(folder / PAPERS, save_all=True, append_images=others, compression="tiff_adobe_deflate")


if __name__ == "__main__":
    for example in write():
        print(f"{example['tab']:<10} {', '.join(example['pictures']):<46} {example['text']}")
