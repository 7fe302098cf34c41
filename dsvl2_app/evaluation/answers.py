"""answers.jsonl of a run: what it asked and was told, from which the same command goes on after an interruption.

The first line says of which task, model and data it is; each other line is one row of the data. While several processes
work at a run, each writes a file of its own beside it; once all are done, or when the run goes on, these are taken into
answers.jsonl in the order of the rows, so that it has the same bytes however many processes there were.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from dsvl2_app.errors import SettingsError
from dsvl2_app.evaluation.choices import ROTATED

NAME = "answers.jsonl"
PART, PARTS = "answers.part-{index}.jsonl", "answers.part-*.jsonl"


@dataclass(frozen=True, slots=True)
class Line:
    number: int  # of the row, from 1; of a rotation of its options, ROTATED more for each turn
    id: str
    kind: str
    question: str
    truths: list[Any]  # texts, or the four numbers of a box in pixels
    raw: str  # the whole answer
    extracted: str
    score: float
    group: str = ""
    size: tuple[int, int] = (0, 0)  # of the first picture


class Answers:
    """Lines so far, of this run and of the ones before, and the file where there is one."""

    def __init__(self, lines: list[Line], file: BinaryIO | None) -> None:
        self.lines, self._file = lines, file
        self.known = {line.number for line in lines}

    @classmethod
    def open(
        cls, folder: Path | None, about: dict[str, str], limit: int | None = None, part: int | None = None
    ) -> Answers:
        """Those of `folder`, or of none; rows beyond `limit` stay in the file and do not count. A last line that was
        cut off is written anew. With `part`, what is added goes to the file of that process. Raises SettingsError where
        the file is of another run, or cannot be written."""
        if folder is None:
            return cls([], None)
        path = folder / NAME
        lines, file = _open(path, about)
        if part is not None:
            file.close()
            file = _open(folder / PART.format(index=part), about)[1]
        return cls([line for line in lines if limit is None or line.number % ROTATED <= limit], file)

    def add(self, line: Line) -> None:
        self.lines.append(line)
        if self._file:
            self._file.write(_write(line))
            self._file.flush()

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()


def take_in_parts(folder: Path, about: dict[str, str]) -> None:
    """Put what several processes wrote into answers.jsonl, and all of it in the order of the rows, which gaps that are
    filled later disturb. Raises SettingsError as `open`."""
    parts = sorted(folder.glob(PARTS))
    lines: list[Line] = []
    for path in (folder / NAME, *parts):
        more, file = _open(path, about)
        file.close()
        lines += more
    found = {line.number: line for line in lines}
    if not parts and list(found) == sorted(found):
        return
    whole = folder / f"{NAME}.new"
    with whole.open("wb") as file:
        file.write(_write(about))
        file.writelines(_write(found[number]) for number in sorted(found))
    os.replace(whole, folder / NAME)
    for path in parts:
        path.unlink()


def _open(path: Path, about: dict[str, str]) -> tuple[list[Line], BinaryIO]:
    """Its lines, and the file behind the last whole one; a new one begins with `about`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("r+b" if path.exists() else "w+b")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written ({error}); give another --out.") from None
    try:
        return list(_read(file, path, about)), file
    except BaseException:
        file.close()
        raise


def _read(file: BinaryIO, path: Path, about: dict[str, str]) -> Iterable[Line]:
    whole = file.read()
    whole = whole[: whole.rfind(b"\n") + 1]
    file.seek(len(whole))
    file.truncate()
    if not whole:
        file.write(_write(about))
        file.flush()
        return []
    try:
        head, *rest = map(json.loads, whole.splitlines())
        lines = [Line(**each) for each in rest]
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{path} is damaged ({error}); remove it, or give another --out.") from None
    if head != about:
        raise SettingsError(f"{path} is of another run, {json.dumps(head)}; give another --out.")
    return lines


def _write(what: Line | dict[str, str]) -> bytes:
    return (json.dumps(asdict(what) if isinstance(what, Line) else what) + "\n").encode()
