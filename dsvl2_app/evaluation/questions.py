"""A benchmark's row -> a question with its truth, or what is wrong with the row.

Data sets name the same things differently; the names that are known stand in `COLUMNS`, in order of preference.
"""

from __future__ import annotations

import ast
import base64
import binascii
import math
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsvl2_app.errors import AppError
from dsvl2_app.evaluation.choices import split_options
from dsvl2_app.evaluation.scoring import Box
from dsvl2_app.image.reference import ImageRef

COLUMNS = {
    "id": ("questionId", "question_id", "index", "pid", "id"),
    "prompt": ("question", "query", "caption"),
    "hint": ("hint",),
    "truths": ("answers", "answer_option", "answer", "label"),
    "options": ("options", "choices"),
    "kind": ("task", "question_type", "category", "type"),
    "pictures": ("images", "decoded_image", "image"),
    "group": ("image_path",),
}
NUMBERED = tuple(f"image_{number}" for number in range(1, 8))  # MMMU's pictures
LETTERS = string.ascii_uppercase


class RowError(AppError):
    """A row of a data set that cannot be asked or scored; the sentence says what it lacks."""


@dataclass(frozen=True, slots=True)
class Question:
    number: int  # of its row, from 1
    id: str
    pictures: tuple[ImageRef, ...]
    prompt: str  # as the data set has it, without a task's wording
    truths: tuple[str, ...]  # none where `box` is the truth
    options: Mapping[str, str] = field(default_factory=dict[str, str])  # texts by letter
    kind: str = ""  # the part of the benchmark, where it has parts
    box: Box | None = None  # left, top, right, bottom in pixels of the picture
    hint: str = ""  # MMBench's, said before the question
    group: str = ""  # rows of the same are scored together: MME's two questions about a picture
    split: str = ""
    # MathVista's: what a number counts, "integer", "float", "list" or "text", and decimal places.
    unit: str = ""
    answer_type: str = ""
    precision: int = 0


def read_question(row: Mapping[str, Any], number: int) -> Question:
    """The question of a row, whose number is its id where it has none.

    Every picture is decoded once, so that a damaged one is known before anything is asked. Raises RowError.
    """
    if isinstance(row.get("metadata"), Mapping):
        row = {**row["metadata"], **row}
    prompt = _find(row, "prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise RowError("it has no question")
    pictures = tuple(_read_picture(value) for value in _list_pictures(row))
    if not pictures:
        raise RowError("it has no picture")
    box = _read_box(row["bbox"], pictures[0]) if row.get("bbox") is not None else None
    options = _read_options(row)
    truths: tuple[str, ...] = () if box else tuple(_read_texts(_find(row, "truths")))
    if not box and not any(truth.strip() for truth in truths):
        raise RowError("it has no answer")
    if not options and len(truths) == 1 and truths[0] in LETTERS:
        prompt, options = split_options(prompt)
    elif _find(row, "options") is not None:
        truths = tuple(_letter_of(truth, options, row.get("question_type") == "multi_choice") for truth in truths)
    name = str(_find(row, "id") if _find(row, "id") is not None else number)
    return Question(
        number, name, pictures, prompt, truths, options, _read_text(row, "kind"), box,
        hint=_read_text(row, "hint"), group=_read_text(row, "group") or name, split=str(row.get("split") or ""),
        unit=str(row.get("unit") or ""), answer_type=str(row.get("answer_type") or ""),
        precision=_read_precision(row.get("precision")),
    )  # fmt: skip


def _read_text(row: Mapping[str, Any], what: str) -> str:
    return str(_find(row, what) or "")


def _read_precision(value: Any) -> int:
    try:
        return int(float(value or 0))
    except (TypeError, ValueError):
        raise RowError("its precision {value!r} is no number", value=value) from None


def _find(row: Mapping[str, Any], what: str) -> Any:
    """The first of its columns that is there and not empty."""
    return next((row[name] for name in COLUMNS[what] if row.get(name) not in (None, "", [])), None)


def _read_texts(value: Any) -> list[str]:
    """Texts of a list, of one written as Python writes it, or of one text or number."""
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            written = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            written = None
        if isinstance(written, list) and all(isinstance(each, str) for each in written):
            return written
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]


def _read_options(row: Mapping[str, Any]) -> dict[str, str]:
    """Of a list, or of columns A, B, C and so on up to the first that is empty."""
    texts = _read_texts(_find(row, "options"))
    if not texts:
        for letter in LETTERS:
            if row.get(letter) in (None, ""):
                break
            texts.append(str(row[letter]))
    if len(texts) > len(LETTERS):
        raise RowError("it has {number} options, more than letters", number=len(texts))
    return dict(zip(LETTERS, texts, strict=False))


def _letter_of(truth: str, options: Mapping[str, str], by_text: bool) -> str:
    """MathVista names the text of an option; AI2D counts options from 0."""
    if by_text:
        return next((letter for letter, text in options.items() if text == truth), truth)
    return LETTERS[int(truth)] if truth.isascii() and truth.isdigit() and int(truth) < len(options) else truth


def _list_pictures(row: Mapping[str, Any]) -> list[Any]:
    found = _find(row, "pictures")
    if found is None:
        return [row[name] for name in NUMBERED if row.get(name)]
    return _read_texts(found) if isinstance(found, str) else found if isinstance(found, list) else [found]


def _read_picture(value: Any) -> ImageRef:
    """Of a file's bytes, plain or in the hub's {"bytes": ...}, base64, or a path."""
    if isinstance(value, Mapping):
        value = value.get("bytes")
    if isinstance(value, str):
        try:
            value = base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError):
            raise RowError("its picture is not base64") from None
    if not isinstance(value, bytes | Path) or value == b"":
        raise RowError("its picture is empty")
    try:
        picture = ImageRef.of(value)
        picture.open()
    except AppError as error:
        raise RowError("its picture cannot be read: {reason}", reason=str(error)) from None
    return picture


def _read_box(value: Any, picture: ImageRef) -> Box:
    """COCO's left, top, width, height in pixels."""
    numbers = value if isinstance(value, list) and len(value) == 4 else []
    if not numbers or not all(isinstance(each, int | float) and math.isfinite(each) for each in numbers):
        raise RowError("its box {box!r} is not four numbers", box=value)
    left, top, width, height = numbers
    if width <= 0 or height <= 0:
        raise RowError("its box {box!r} is empty", box=value)
    if left + width <= 0 or top + height <= 0 or left >= picture.size[0] or top >= picture.size[1]:
        raise RowError("its box {box!r} is outside of the picture", box=value)
    return left, top, left + width, top + height
