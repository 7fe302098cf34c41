"""Stills of a clip, MP4 or WebM: evenly spaced moments, decoded in a process of its own (see clips_apart.py).

A clip is a file of at most `MOST_STILLS` pages. Its moments are even in time, found while every frame is read in turn:
seeking goes by an average rate, which many clips do not keep.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from dsvl2_app.errors import ImageError
from dsvl2_app.image.documents import FileBytes, run_apart
from dsvl2_app.image.page_kinds import explain_missing

MOST_STILLS = 24
HEAD = b"\x1aE\xdf\xa3"  # of Matroska, and so of WebM
STILL_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
START = "from dsvl2_app.image.clips_apart import main; main()"


@dataclass(frozen=True, slots=True)
class Clip:
    """What is known of a clip once it was read through."""

    size: tuple[int, int]  # px, as it is shown
    frames: tuple[int, ...]  # number of each still among the clip's frames
    seconds: tuple[float, ...]  # when each is shown
    length: float  # seconds


def is_clip(data: bytes) -> bool:
    """Whether a file's bytes are a clip's."""
    return data.startswith(HEAD) or (data[4:8] == b"ftyp" and data[8:12] not in STILL_BRANDS)


def read_clip(data: bytes, name: str, most_pixels: int) -> Clip:
    """Its stills' places. Raises an ImageError for what is damaged, has too many pixels, or takes too long."""
    found = _read_clip(FileBytes(data), most_pixels)
    if found == "slow":
        _read_clip.cache_clear()  # it may be faster another time
    if isinstance(found, str):
        raise _explain(found, name)
    return found


def render_stills(data: bytes, name: str, stills: Sequence[int], most_pixels: int) -> list[Image.Image]:
    """Those stills, numbered from 0, as RGB pictures."""
    clip = read_clip(data, name, most_pixels)
    if not all(0 <= still < len(clip.frames) for still in stills):
        raise explain_missing("still", name, max(stills) + 1)
    done = run_apart(START, data, {"frames": [clip.frames[still] for still in stills]})
    if isinstance(done, str):
        raise _explain(done, name)
    width, height = clip.size
    length = 3 * width * height
    if len(done) != length * len(stills):
        raise _explain("damaged", name)
    view = memoryview(done)
    return [Image.frombytes("RGB", clip.size, view[length * at : length * (at + 1)]) for at in range(len(stills))]


def describe_moment(seconds: float) -> str:
    """75.25 -> "1:15.2"."""
    return f"{int(seconds // 60)}:{int(seconds * 10) % 600 / 10:04.1f}"


def spread(count: int, wanted: int) -> list[int]:
    """So many of `count` stills, evenly spaced, from 0."""
    wanted = max(1, min(wanted, count))
    return [(2 * at + 1) * count // (2 * wanted) for at in range(wanted)]


def _explain(problem: str, name: str) -> ImageError:
    if problem == "slow":
        return ImageError("{name} takes too long to decode; cut the clip shorter.", name=name)
    if problem == "large":
        return ImageError("{name} has far too many pixels; make it smaller.", name=name)
    return ImageError(
        "{name} is a video that cannot be decoded; save it as MP4, or a still from it as PNG or JPEG.", name=name
    )


@lru_cache(maxsize=256)
def _read_clip(file: FileBytes, most_pixels: int) -> Clip | str:
    done, file.data = run_apart(START, file.data or b"", {"most": MOST_STILLS, "pixels": most_pixels}), None
    if isinstance(done, str):
        return done
    found = json.loads(done)
    width, height = found["size"]
    return Clip((width, height), tuple(found["frames"]), tuple(found["seconds"]), found["length"])
