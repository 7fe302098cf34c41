"""JPEG 2000, decoded in a process of its own.

Pillow holds Python's lock for all the seconds that it decodes one, in which no other thread of a server runs. What such
a file does to its decoder, and the memory that this takes, stays in that process and ends with it.
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

from PIL import Image, Jpeg2KImagePlugin

START = "from dsvl2_app.image.jpeg2000 import main; main()"
MOST_SECONDS = 20  # of a processor
PATIENCE = 120.0  # seconds, on a machine that has no processor left for it
HALVED = 16_000_000  # px; of larger ones half the resolution is decoded, which is still finer than any tile grid
RESIZABLE = ("L", "LA", "RGB", "RGBA")


def decode_apart(data: bytes, side: int | None = None) -> Image.Image:
    """The pixels of a file; with `side` of a smaller one, which is still that long. Raises subprocess.TimeoutExpired,
    and CalledProcessError where the file is damaged."""
    command = [sys.executable, "-c", START, str(side or 0)]
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(  # noqa: S603  # a constant command; the file goes to its input
        command, input=data, capture_output=True, env={**os.environ, **path}, timeout=PATIENCE, check=False
    )
    if done.returncode < 0 and -done.returncode == getattr(signal, "SIGXCPU", 0):
        raise subprocess.TimeoutExpired(command, MOST_SECONDS)
    done.check_returncode()
    head = done.stdout.index(b"\n")
    mode, width, height = done.stdout[:head].decode().split()
    return Image.frombytes(mode, (int(width), int(height)), memoryview(done.stdout)[head + 1 :])


def decode(data: bytes, side: int = 0) -> Image.Image:
    """The pixels of a file, at least `side` px long where that is given. Those of a large one are decoded at half its
    resolution and stretched to its size."""
    image = _open(data)
    size = image.size
    halvings = int(math.log2(max(1, max(size) / side))) if side else int(size[0] * size[1] > HALVED)
    if halvings and image.mode in RESIZABLE:
        image.reduce = halvings
        try:
            image.load()
            return image if side else image.resize(size, Image.Resampling.BICUBIC)
        except OSError:  # it has fewer resolutions, or is damaged
            image = _open(data)
    image.load()
    return image.convert("RGBA" if image.has_transparency_data else "RGB") if image.mode in ("P", "PA") else image


def _open(data: bytes) -> Jpeg2KImagePlugin.Jpeg2KImageFile:
    image = Image.open(BytesIO(data), formats=("JPEG2000",))
    assert isinstance(image, Jpeg2KImagePlugin.Jpeg2KImageFile)
    return image


def main() -> None:
    """A file from standard input -> a line with mode, width and height, and the pixels, to standard output. The
    argument is `side`."""
    with suppress(ImportError):  # Windows
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS + 1))
    Image.MAX_IMAGE_PIXELS = None  # whoever starts this has measured it
    image = decode(sys.stdin.buffer.read(), int(sys.argv[1]))
    out: BinaryIO = sys.stdout.buffer
    out.write(f"{image.mode} {image.width} {image.height}\n".encode())
    out.write(image.tobytes())
    out.flush()
