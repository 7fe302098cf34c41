"""Pages as people write them, "1-3, 7" -> numbers from 0, and back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dsvl2_app.image.page_kinds import Kind, explain_beyond, explain_list, explain_many
from dsvl2_app.image.reference import ImageRef, find_frames

FIRST = "1"
MOST_CHOSEN = 200  # pages of a document at once
_RANGE = re.compile(r"\s*(\d{1,6})?\s*(-|–|—|~|至|到)?\s*(\d{1,6})?\s*")


def open_pages(file: str, pages: str = FIRST) -> list[ImageRef]:
    """Those pages of a file; a picture has one."""
    path = Path(file)
    return [ImageRef.of(path, frame=frame) for frame in read_ranges(pages, *find_frames(path))]


def read_ranges(text: str, count: int, kind: Kind = "page") -> list[int]:
    """ "1-3, 7" -> [0, 1, 2, 6]; "-3" and "8-" have open ends, and nothing at all means all pages. Raises a PromptError
    for what is no such list or names a page that is not there; `kind` is what that calls them."""
    pages: dict[int, None] = {}
    for part in re.split(r"[,;，；、]", text) if text.strip() else ["-"]:
        match = _RANGE.fullmatch(part[:40])
        if not match or not part.strip():
            raise explain_list(kind, text[:40])
        first, dash, last = match.groups()
        if not dash and (not first or last):
            raise explain_list(kind, text[:40])
        low = int(first or 1)
        high = int(last or count) if dash else low
        if not 1 <= low <= high <= count:
            raise explain_beyond(kind, count, text[:40])
        pages.update(dict.fromkeys(range(low - 1, high)))
    if len(pages) > MOST_CHOSEN:
        raise explain_many(kind, MOST_CHOSEN)
    return list(pages)


def write_ranges(frames: Sequence[int]) -> str:
    """[0, 1, 2, 6] -> "1-3, 7"."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and runs[-1][1] == frame - 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    return ", ".join(f"{first + 1}-{last + 1}" if last > first else f"{first + 1}" for first, last in runs)
