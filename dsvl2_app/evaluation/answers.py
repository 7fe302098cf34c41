"""answers.jsonl of a run: what it asked and was told, from which the same command goes on after an interruption.

The first line says of which task, model and data it is; each other line is one row of the data.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from dsvl2_app.errors import SettingsError

NAME = "answers.jsonl"


@dataclass(frozen=True, slots=True)
class Line:
    number: int  # of the row, from 1
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
    def open(cls, folder: Path | None, about: dict[str, str], limit: int | None = None) -> Answers:
        """Those of `folder`, or of none; rows beyond `limit` stay in the file and do not count. A last line that was
        cut off is written anew. Raises SettingsError where the file is of another run, or cannot be written."""
        if folder is None:
            return cls([], None)
        path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = path.open("r+b" if path.exists() else "w+b")
        except OSError as error:
            raise SettingsError(f"{path} cannot be written ({error}); give another --out.") from None
        try:
            lines = cls._read(file, path, about)
        except BaseException:
            file.close()
            raise
        return cls([line for line in lines if limit is None or line.number <= limit], file)

    @staticmethod
    def _read(file: BinaryIO, path: Path, about: dict[str, str]) -> list[Line]:
        whole = file.read()
        whole = whole[: whole.rfind(b"\n") + 1]
        file.seek(len(whole))
        file.truncate()
        if not whole:
            file.write((json.dumps(about) + "\n").encode())
            return []
        try:
            head, *rest = map(json.loads, whole.splitlines())
            lines = [Line(**each) for each in rest]
        except (ValueError, TypeError) as error:
            raise SettingsError(f"{path} is damaged ({error}); remove it, or give another --out.") from None
        if head != about:
            raise SettingsError(f"{path} is of another run, {json.dumps(head)}; give another --out.")
        return lines

    def add(self, line: Line) -> None:
        self.lines.append(line)
        if self._file:
            self._file.write((json.dumps(asdict(line)) + "\n").encode())
            self._file.flush()

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()
