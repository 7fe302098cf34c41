"""Small copies of a run's pictures, kept beside its answers for the report."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from dsvl2_app.evaluation.choices import ROTATED
from dsvl2_app.evaluation.questions import Question

FOLDER = "pictures"
SIDE = 384  # px at most
QUALITY = 70


def keep(folder: Path, question: Question) -> None:
    """Write the question's pictures as small JPEGs; those that are there stay."""
    for place, picture in enumerate(question.pictures, 1):  # of every rotation of the question the same
        path = name_picture(folder, question.number, place)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            small = picture.open().copy()
            small.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2)
            small.save(path, "JPEG", quality=QUALITY)


def name_picture(folder: Path, number: int, place: int) -> Path:
    number %= ROTATED
    return folder / FOLDER / (f"{number}.jpg" if place == 1 else f"{number}-{place}.jpg")


def list_pictures(folder: Path, number: int) -> list[Path]:
    """Those of a row, in the order in which they were shown."""
    found: list[Path] = []
    while (path := name_picture(folder, number, len(found) + 1)).is_file():
        found.append(path)
    return found
