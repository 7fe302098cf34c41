"""A conversation <-> one .zip of JSON and pictures; a conversation -> Markdown."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsvl2_app.errors import AppError, ImageError, PromptError
from dsvl2_app.image.load import Limits
from dsvl2_app.text.boxes import Box, parse_boxes
from dsvl2_app.ui.storage import hold
from dsvl2_app.ui.tabs.chat.conversation import Attachment, Conversation
from dsvl2_app.ui.tabs.chat.kept import add_turn, describe_turn
from dsvl2_app.ui.uploads import measure, save_upload

FORMAT = "dsvl2-conversation-1"
INDEX = "conversation.json"
MOST_TURNS, MOST_PICTURES = 500, 100
LARGEST_INDEX, LARGEST_PICTURE = 10_000_000, 100_000_000  # bytes, as unpacked


def write_archive(conversation: Conversation, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        turns: list[dict[str, Any]] = []
        files: dict[Path, str] = {}
        for turn in conversation.turns:
            for file in (picture.image.path for picture in turn.pictures):
                if file not in files:  # a document is there once, whichever pages of it are shown
                    files[file] = f"pictures/{len(files) + 1}{file.suffix.lower()}"
                    archive.write(file, files[file])
            names = [files[each.image.path] for each in turn.pictures]
            pages = [each.image.frame for each in turn.pictures]
            gone = [each.dropped for each in turn.pictures]
            turns.append({**describe_turn(turn), "pictures": names, "pages": pages, "gone": gone})
        archive.writestr(INDEX, json.dumps({"format": FORMAT, "turns": turns}, indent=2, ensure_ascii=False))
    return path


def read_archive(path: str, limits: Limits) -> Conversation:
    """Any bytes may come: nothing is unpacked but what the index names, into files that we name."""
    try:
        with zipfile.ZipFile(path) as archive:
            index = json.loads(_read(archive, INDEX, LARGEST_INDEX))
            if index["format"] != FORMAT or len(index["turns"]) > MOST_TURNS:
                raise ValueError
            if sum(len(entry["pictures"]) for entry in index["turns"]) > MOST_PICTURES:
                raise ValueError
            conversation = Conversation()
            hold(conversation)
            for entry in index["turns"]:
                add_turn(conversation, entry, _read_pictures(archive, entry, limits))
            return conversation
    except AppError:
        raise
    except Exception:  # whatever hostile bytes make of zip and JSON
        raise PromptError("This file is no conversation of this page; choose a .zip that it exported.") from None


def _read_pictures(archive: zipfile.ZipFile, entry: dict[str, Any], limits: Limits) -> tuple[Attachment, ...]:
    pictures, names = [], entry["pictures"]
    pages, gone = entry.get("pages") or [0] * len(names), entry.get("gone") or [False] * len(names)
    for name, page, left_out in zip(names, pages, gone, strict=True):
        data = _read(archive, name, LARGEST_PICTURE)
        picture = Attachment.of(measure(save_upload(data, Path(name).name), limits, int(page)))
        pictures.append(replace(picture, dropped=left_out is True))
    return tuple(pictures)


def _read(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    with archive.open(name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ImageError(
            "{name} in the .zip is larger than {most} MB; import a smaller one.", name=name, most=most // 1_000_000
        )
    return data


def write_markdown(conversation: Conversation) -> str:
    """To be pasted where the pictures are not: they are named, boxes are a table."""
    blocks, number = [], 0
    for turn in conversation.turns:
        names = []
        for picture in turn.pictures:
            number += 1
            names.append(f"*Picture {number}, {picture.image.size[0]} × {picture.image.size[1]} px*")
        quoted = "\n".join(f"> {line}" for line in turn.question.split("\n"))
        blocks += ["**Question**", *names, quoted, "**Answer**", turn.answer]
        boxes = parse_boxes(turn.answer).boxes
        if boxes:
            blocks.append(_tabulate(boxes, turn.places))
    return "\n\n".join(blocks) + "\n"


def _tabulate(boxes: Sequence[Box], places: Sequence[int]) -> str:
    """As a table of Markdown, with the number of each one's picture where there is one."""
    heads = ["label", "x1", "y1", "x2", "y2", *(["picture"] if places else [])]
    rows = [[box.label.replace("|", "\\|"), *map(str, box.corners)] for box in boxes]
    rows = [[*row, str(place + 1)] for row, place in zip(rows, places, strict=True)] if places else rows
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *rows])
