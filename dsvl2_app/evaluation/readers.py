"""The files in which data sets come -> rows, one after the other, without holding all of them.

Parquet as on the Hugging Face hub, TSV with base64 as VLMEvalKit has it, and COCO's JSON with a caption for each entry
of "images", as MDETR wrote RefCOCO, RefCOCO+ and RefCOCOg.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from dsvl2_app.errors import SettingsError
from dsvl2_app.evaluation.questions import Question, RowError, read_question

Row = dict[str, Any]
ROWS_AT_ONCE = 16  # of a parquet file, with their pictures
LARGEST_FIELD = 2**31 - 1  # characters in a cell of a TSV
SHORTEST_PICTURE = 64  # characters of base64; what is shorter is the index of the row that has the picture


@dataclass(frozen=True, slots=True)
class BadRow:
    """One that cannot be asked; rows are counted from 1."""

    number: int
    reason: str

    def __str__(self) -> str:
        return f"row {self.number} is left out: {self.reason}"


@dataclass(frozen=True, slots=True)
class Rows:
    """The first `limit` rows of a file, or of all parquet files of a folder in the order of their names. `images` is
    where pictures lie that a file names, unless they lie beside it."""

    data: Path
    images: Path | None = None
    limit: int | None = None

    def read(self, wanted: Callable[[int], bool] = lambda number: True) -> Iterator[Question | BadRow]:
        """Those whose number, from 1, is wanted. Raises SettingsError where the whole cannot be read."""
        for number, row in enumerate(islice(_read_rows(self.data, self.images), self.limit), 1):
            if wanted(number):
                try:
                    yield read_question(row, number)
                except RowError as error:
                    yield BadRow(number, str(error))

    def count(self) -> int:
        """How many there are; pictures are not read, but of a TSV every line is."""
        found = sum(_count_rows(file, self.images or file.parent) for file in _list_files(self.data))
        return found if self.limit is None else min(found, self.limit)


def _read_rows(data: Path, images: Path | None) -> Iterator[Row]:
    for file in _list_files(data):
        for row in READERS[file.suffix.lower()](file, images or file.parent):
            yield from _part_phrases(row)


def _count_rows(file: Path, images: Path) -> int:
    reader = _count_parquet if file.suffix.lower() == ".parquet" else READERS[file.suffix.lower()]
    return sum(1 for row in reader(file, images) for _ in _part_phrases(row))


def _part_phrases(row: Row) -> Iterator[Row]:
    """A row for each phrase about a box: RefCOCO's parquet has them in a list "answer" beside one "bbox", and another
    task's question."""
    phrases = row.get("answer")
    if row.get("bbox") is None or not isinstance(phrases, list):
        yield row
        return
    for phrase in phrases:
        yield {**row, "question": phrase, "answer": None}


def _list_files(data: Path) -> list[Path]:
    files = sorted(data.glob("*.parquet")) if data.is_dir() else [data]
    if not files:
        raise SettingsError(f"{data} has no parquet file; name a file or another folder.")
    for file in files:
        if file.suffix.lower() not in READERS:
            raise SettingsError(f"{file} ends in none of {', '.join(READERS)}.")
        if not file.is_file():
            raise SettingsError(f"{file} is not there; name a file of the data set.")
    return files


def read_parquet(file: Path, images: Path) -> Iterator[Row]:
    with _open_parquet(file) as opened:
        for batch in opened.iter_batches(ROWS_AT_ONCE):
            yield from batch.to_pylist()


def _count_parquet(file: Path, images: Path) -> Iterator[Row]:
    """Rows that have what says how many questions they are, and nothing else."""
    with _open_parquet(file) as opened:
        if "bbox" not in opened.schema_arrow.names:
            yield from ({} for _ in range(opened.metadata.num_rows))
            return
        for batch in opened.iter_batches(columns=["bbox", "answer"]):
            yield from batch.to_pylist()


@contextmanager
def _open_parquet(file: Path) -> Iterator[Any]:
    try:
        from pyarrow import ArrowInvalid  # pyright: ignore[reportMissingImports]
        from pyarrow.parquet import ParquetFile  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise SettingsError("pyarrow is not installed, which reads parquet; run `pip install pyarrow` first.") from None
    try:
        with ParquetFile(file) as opened:
            yield opened
    except (ArrowInvalid, OSError) as error:
        raise SettingsError(f"{file} is no whole parquet file ({error}).") from None


def read_tsv(file: Path, images: Path) -> Iterator[Row]:
    """A cell "image" that is short names the row, by "index", that has the picture."""
    wanted = {row["image"] for row in _read_table(file) if _names_row(row)}
    pictures = {row.get("index"): row["image"] for row in _read_table(file) if row.get("index") in wanted}
    for row in _read_table(file):
        yield {**row, "image": pictures.get(row["image"], "")} if _names_row(row) else row


def _names_row(row: Row) -> bool:
    return 0 < len(row.get("image") or "") < SHORTEST_PICTURE


def _read_table(file: Path) -> Iterator[Row]:
    csv.field_size_limit(LARGEST_FIELD)
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            yield from csv.DictReader(opened, delimiter="\t", restkey="beyond")
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise SettingsError(f"{file} is no table in UTF-8 with tabs ({error}).") from None


def read_coco(file: Path, images: Path) -> Iterator[Row]:
    """A row for each annotation, with the caption of its own or else of its image."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        entries = {entry["id"]: entry for entry in found["images"]}
        annotations = found["annotations"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise SettingsError(f'{file} is no JSON with "images" and "annotations" ({error!r}).') from None
    for annotation in annotations:
        entry = entries.get(annotation.get("image_id"), {})
        yield {
            "id": annotation.get("id"),
            "caption": annotation.get("caption") or entry.get("caption"),
            "image": images / entry["file_name"] if entry.get("file_name") else None,
            "bbox": annotation.get("bbox") or [],
        }


READERS = {".parquet": read_parquet, ".tsv": read_tsv, ".json": read_coco}
