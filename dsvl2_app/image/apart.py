"""Pictures that are decoded in a process of their own: large ones of the formats in `FROM`, and those to be halved.

Pillow holds Python's lock while it decodes the first, for up to seconds in which no other thread of a server runs; the
others have more pixels than a server keeps of one. What such a file does to its decoder, and the memory that this
takes, stays in that process and ends with it.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from contextlib import suppress
from io import BytesIO
from typing import BinaryIO

from PIL import AvifImagePlugin, Image, Jpeg2KImagePlugin

from dsvl2_app.errors import ResourceError

# Formats, and px from which it takes longer to decode one than to start a process for it.
FROM = {"JPEG2000": 2**18, "AVIF": 2**21}
START = "from dsvl2_app.image.apart import main; main()"
NO_MEMORY, KILLED = 3, -9  # exit status; Linux kills what has too much
MOST_SECONDS = 20  # of a processor
MOST_BYTES = 4 * 2**30  # of address space
MOST_THREADS = 8  # of a decoder, each of which takes address space
PATIENCE = 120.0  # seconds, on a machine that has no processor left for it
HALVED = 16_000_000  # px; of larger JPEG 2000 half the resolution is decoded, which is still finer than any tile grid
RESIZABLE = ("L", "LA", "RGB", "RGBA")


def decode_apart(data: bytes, side: int | None = None, frame: int = 0, halve: bool = False) -> Image.Image:
    """The pixels of a file; with `side` of a smaller one, which is still that long, where the format gives it; or, to
    `halve`, the upright picture in RGB with half of its sides. Raises subprocess.TimeoutExpired, MemoryError, and
    CalledProcessError where the file is damaged."""
    command = [sys.executable, "-c", START, str(side or 0), str(frame), str(int(halve))]
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(  # noqa: S603  # a constant command; the file goes to its input
        command, input=data, capture_output=True, env={**os.environ, **path}, timeout=PATIENCE, check=False
    )
    if done.returncode < 0 and -done.returncode == getattr(signal, "SIGXCPU", 0):
        raise subprocess.TimeoutExpired(command, MOST_SECONDS)
    if done.returncode in (NO_MEMORY, KILLED):
        raise MemoryError
    done.check_returncode()
    head = done.stdout.index(b"\n")
    mode, width, height = done.stdout[:head].decode().split()
    return Image.frombytes(mode, (int(width), int(height)), memoryview(done.stdout)[head + 1 :])


def decode(data: bytes, side: int = 0, frame: int = 0, halve: int = 0) -> Image.Image:
    """The pixels of a file, at least `side` px long where that is given."""
    if halve:
        return _halve(data, frame)
    image = Image.open(BytesIO(data), formats=[*FROM])
    if isinstance(image, Jpeg2KImagePlugin.Jpeg2KImageFile):
        return _decode_jpeg2000(image, data, side)
    image.seek(frame)
    image.load()
    return image


def _halve(data: bytes, frame: int) -> Image.Image:
    """By the mean of each two by two pixels, as a JPEG is halved; of an odd side the last row or column by itself."""
    from dsvl2_app.image.load import Limits, decode, read_header  # which needs this module

    FROM.clear()  # this is the other process
    limits = Limits(len(data), sys.maxsize)
    return decode(read_header(data, "", limits, frame), "", limits).reduce(2)


def _decode_jpeg2000(image: Jpeg2KImagePlugin.Jpeg2KImageFile, data: bytes, side: int) -> Image.Image:
    """Those of a large one are decoded at half its resolution and stretched to its size, by which its tile grid is
    chosen as of any other picture."""
    size = image.size
    halvings = int(math.log2(max(1, max(size) / side))) if side else int(size[0] * size[1] > HALVED)
    if halvings and image.mode in RESIZABLE:
        image.reduce = halvings
        try:
            image.load()
            return image if side else image.resize(size, Image.Resampling.BICUBIC)
        except OSError:  # it has fewer resolutions, or is damaged
            whole = Image.open(BytesIO(data), formats=("JPEG2000",))
            whole.load()
            return whole
    image.load()
    return image.convert("RGBA" if image.has_transparency_data else "RGB") if image.mode in ("P", "PA") else image


def main() -> None:
    """A file from standard input -> a line with mode, width and height, and the pixels, to standard output. The
    arguments are `side`, `frame` and `halve`."""
    with suppress(ImportError, ValueError, OSError):  # Windows, or less is allowed already
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    AvifImagePlugin.DEFAULT_MAX_THREADS = min(MOST_THREADS, os.cpu_count() or 1)
    Image.MAX_IMAGE_PIXELS = None  # whoever starts this has measured it
    out: BinaryIO = sys.stdout.buffer
    try:
        image = decode(sys.stdin.buffer.read(), *map(int, sys.argv[1:]))
        pixels = image.tobytes()
    except (MemoryError, ResourceError):
        sys.exit(NO_MEMORY)
    out.write(f"{image.mode} {image.width} {image.height}\n".encode())
    out.write(pixels)
    out.flush()
