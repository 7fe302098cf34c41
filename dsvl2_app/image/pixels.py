"""The pixels of a picture, where Pillow alone would be wrong, hold up a server, or keep memory.

Large pictures are decoded a few at a time, and what they took is the system's again soon after they are gone.
"""

from __future__ import annotations

import ctypes
import math
import subprocess
import threading
import weakref
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO

import numpy as np
from PIL import Image, TiffImagePlugin

from dsvl2_app.image.apart import FROM, decode_apart

LARGE = 4_000_000  # px
BAND = 2**19  # px at a time: memory for the bytes of a large picture takes longer to get than to fill
SOON = 0.5  # seconds, in which copies of a picture go as well

_turns = threading.BoundedSemaphore(2)  # of large pictures, each of which takes up to 1.2 GB meanwhile, if not here
_trimming = threading.Lock()  # held from when memory is to be given back until it is


class SlowPictureError(Exception):
    """A picture takes too long to decode."""


class UnreadPictureError(Exception):
    """A picture is whole, but of a kind that no decoder here reads: a raw TIFF with fewer colours than pixels."""


def load_pixels(image: Image.Image, side: int | None = None, halve: bool = False) -> Image.Image:
    """The picture with its pixels, of the same info; with `side` a smaller one that is still that long, where the
    format gives it for less; to `halve` is to have it in RGB, upright, with half of its sides and no info. Raises
    SlowPictureError, UnreadPictureError, MemoryError, and whatever a decoder makes of hostile bytes."""
    raw = image if isinstance(image, TiffImagePlugin.TiffImageFile) and _is_raw_ycbcr(image) else None
    if raw and raw.tag_v2.get(TiffImagePlugin.YCBCRSUBSAMPLING) != (1, 1):
        raise UnreadPictureError
    file = getattr(image, "fp", None)
    large = image.width * image.height > FROM.get(image.format or "", math.inf)
    if isinstance(file, BytesIO) and (halve or large):
        try:
            pixels = decode_apart(file.getvalue(), side, image.tell(), halve)
        except subprocess.TimeoutExpired:
            raise SlowPictureError from None
        pixels.info = {} if halve else image.info
        return pixels
    if raw:
        return _load_ycbcr(raw)
    if side and max(image.size) > side:
        share = side / max(image.size)
        image.draft(None, (math.ceil(image.width * share), math.ceil(image.height * share)))
    image.load()
    return image


def _is_raw_ycbcr(image: TiffImagePlugin.TiffImageFile) -> bool:
    """Whether Pillow takes a file's YCbCr, which is not compressed, for four bytes of RGB a pixel."""
    return (
        image.info.get("compression") == "raw"
        and image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 6
        and all(isinstance(tile.args, tuple) and tile.args[0] == "RGBX" for tile in image.tile)
    )


def _load_ycbcr(image: TiffImagePlugin.TiffImageFile) -> Image.Image:
    image.tile = [tile._replace(args=("RGB", *(tile.args or ())[1:])) for tile in image.tile]
    image.load()
    pixels = Image.frombytes("YCbCr", image.size, image.tobytes()).convert("RGB")
    pixels.info = image.info
    return pixels


@contextmanager
def taking_turns(image: Image.Image) -> Generator[None, None, None]:
    """Around the decoding of a picture: of large ones there are two at once in this process."""
    if image.width * image.height <= LARGE:
        yield
        return
    with _turns:
        yield


def split_bands(image: Image.Image) -> Iterator[Image.Image]:
    """The picture from top to bottom in pieces of at most `BAND` px, but whole rows; a small one as it is."""
    width, height = image.size
    rows = max(1, BAND // width)
    if rows >= height:
        yield image
        return
    for top in range(0, height, rows):
        yield image.crop((0, top, width, min(top + rows, height)))


def to_array(image: Image.Image) -> np.ndarray:
    """RGB picture -> uint8 [height, width, 3], as `np.array`, but without a second copy of a large one on the way."""
    pixels, top = np.empty((image.height, image.width, 3), np.uint8), 0
    for band in split_bands(image):
        pixels[top : top + band.height] = np.asarray(band)
        top += band.height
    return pixels


def give_back(image: Image.Image) -> None:
    """Once the picture is gone, give its memory back to the system if it is large: the C library of Linux keeps some of
    it for each thread that ever decoded one."""
    if image.width * image.height > LARGE:
        weakref.finalize(image, _trim_soon).atexit = False


def _trim_soon() -> None:
    if _trimming.acquire(blocking=False):
        timer = threading.Timer(SOON, _trim)
        timer.daemon = True
        timer.start()


def _trim() -> None:
    _trimming.release()
    with suppress(AttributeError, OSError, TypeError):  # other C libraries have no such function
        ctypes.CDLL(None).malloc_trim(0)
