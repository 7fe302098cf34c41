"""Pages of PDF documents -> pictures, in a process of their own (see documents_apart.py).

What a document does to its parser, and the memory and time that this takes, stays in that process and ends with it. How
many pages there are and their sizes is known without a pixel; a page becomes a picture when somebody wants it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from PIL import Image

from dsvl2_app.errors import ImageError
from dsvl2_app.image.page_kinds import explain_missing

MAGIC = b"%PDF-"
MOST_PAGES = 1000
MOST_LETTERS = 100_000  # of a page's own text; a page of a newspaper has a third of that
# Of a page as a picture: what fills the largest grids of tiles, and is a quarter sharper still.
PIXELS, LONGEST = 2_000_000, 3456  # px in all, and along its longer side
START = "from dsvl2_app.image.documents_apart import main; main()"
PATIENCE = 60.0  # seconds, on a machine that has no processor left for it

_turns = threading.BoundedSemaphore(2)  # of processes at once
Size = tuple[float, float]  # width and height of a page in its units: points of 1/72 inch, unless it has a /UserUnit


def is_document(data: bytes) -> bool:
    """Whether a file's bytes are a PDF's."""
    return data[:1024].lstrip(b"\xef\xbb\xbf\0 \t\r\n").startswith(MAGIC)


def read_pages(data: bytes, name: str) -> tuple[Size, ...]:
    """Width and height of each page in points, as it is shown. Raises an ImageError for what is damaged, locked, or has
    too many pages; `name` is what that calls the file."""
    found = _read_pages(FileBytes(data))
    if found == "slow":
        _read_pages.cache_clear()  # it may be faster another time
    if isinstance(found, str):
        raise _explain(found, name)
    return found


def page_size(data: bytes, name: str, page: int) -> tuple[int, int]:
    """Width and height in px of the picture that a page becomes; pages count from 0."""
    pages = read_pages(data, name)
    if not 0 <= page < len(pages):
        raise explain_missing("page", name, page + 1)
    scale = page_scale(pages[page])
    width, height = pages[page]
    return max(1, math.ceil(width * scale)), max(1, math.ceil(height * scale))


def page_scale(size: Size) -> float:
    """Px in a point."""
    width, height = (max(1.0, side) for side in size)
    return min(math.sqrt(PIXELS / (width * height)), LONGEST / max(width, height))


def render_page(data: bytes, name: str, page: int, side: int | None = None) -> Image.Image:
    """The page as a picture in RGB, of `page_size`; with `side` smaller, but still that long."""
    size = page_size(data, name, page)
    scale = page_scale(read_pages(data, name)[page])
    if side and max(size) > side:
        scale, size = scale * side / max(size), None
    (image,) = _render(data, name, [(page, scale)])
    return image if size in (None, image.size) else image.resize(size)


def render_small(data: bytes, name: str, pages: Sequence[int], side: int) -> list[Image.Image]:
    """Several pages, each `side` px long, by one process."""
    sizes = read_pages(data, name)
    return _render(data, name, [(page, side / max(1.0, *sizes[page])) for page in pages])


def read_texts(data: bytes, name: str, pages: Sequence[int]) -> list[str]:
    """The text that these pages hold themselves, MOST_LETTERS of each at most, line by line; "" of a page that was
    scanned. What a form was filled in with is no part of it."""
    read_pages(data, name)
    return json.loads(_ask(data, name, {"texts": list(pages), "letters": MOST_LETTERS}))


def find_text(data: bytes, name: str, pages: Sequence[int]) -> int | None:
    """The first of these pages that holds text itself; None where they all were scanned."""
    read_pages(data, name)
    return json.loads(_ask(data, name, {"with_text": list(pages)}))


def _render(data: bytes, name: str, pages: list[tuple[int, float]]) -> list[Image.Image]:
    """Pages and their scales -> pictures."""
    done = _ask(data, name, {"pages": pages})
    images: list[Image.Image] = []
    place = 0
    while place < len(done):
        end = done.index(b"\n", place)
        width, height = json.loads(done[place:end])
        place = end + 1 + 3 * width * height
        images.append(Image.frombytes("RGB", (width, height), memoryview(done)[end + 1 : place]))
    return images


def _ask(data: bytes, name: str, wanted: dict[str, Any]) -> bytes:
    """What the process apart answers (see `documents_apart`). Raises an ImageError for what it says is wrong."""
    done = run_apart(START, data, wanted)
    if isinstance(done, str):
        raise _explain(done, name)
    return done


def _explain(problem: str, name: str) -> ImageError:
    if problem == "locked":
        return ImageError("{name} is locked with a password; save it without one.", name=name)
    if problem == "slow":
        return ImageError("{name} takes too long to render; save the page as PNG or JPEG.", name=name)
    if problem == "missing":
        return ImageError(
            "{name} is a PDF document, which needs one more package: run `pip install pypdfium2`, or save the page as "
            "PNG or JPEG.",
            name=name,
        )
    if problem.isdecimal():
        return ImageError(
            "{name} has {pages:,} pages and the limit is {most:,}; split it.",
            name=name,
            pages=int(problem),
            most=MOST_PAGES,
        )
    return ImageError("{name} is damaged or incomplete; save or send it again.", name=name)


class FileBytes:
    """A file's bytes as a key of a cache that does not keep them."""

    def __init__(self, data: bytes) -> None:
        self.data: bytes | None = data
        self.digest = hashlib.blake2b(data, digest_size=16).digest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileBytes) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@lru_cache(maxsize=256)
def _read_pages(file: FileBytes) -> tuple[Size, ...] | str:
    """Also what is wrong with it, in one of the words of `documents_apart`."""
    done, file.data = run_apart(START, file.data or b"", {"most": MOST_PAGES}), None
    return done if isinstance(done, str) else tuple((width, height) for width, height in json.loads(done)["pages"])


def run_apart(start: str, data: bytes, wanted: dict[str, Any]) -> bytes | str:
    """What a process that runs `start` answers, or a word for what is wrong."""
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", start, json.dumps(wanted)]
    try:
        with _turns:
            done = subprocess.run(  # noqa: S603  # a constant command; the file goes to its input
                command, input=data, capture_output=True, env={**os.environ, **path}, timeout=PATIENCE, check=False
            )
    except subprocess.TimeoutExpired:
        return "slow"
    if done.returncode == -getattr(signal, "SIGXCPU", 0):
        return "slow"
    if done.returncode:
        return done.stderr.decode("ascii", "replace").strip() if done.returncode == 3 else "damaged"
    return done.stdout
