"""A picture by reference: its size and what identifies it are known, its pixels are decoded when somebody wants them.

Conversations, plans and caches hold `ImageRef`s. So a question about pictures that were shown before decodes none of
them, and what pictures would cost is known from their headers alone.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from dsvl2_app.errors import ImageError
from dsvl2_app.image.clips import is_clip, read_clip, render_stills
from dsvl2_app.image.decoded import DECODED, Key
from dsvl2_app.image.documents import is_document, page_size, read_pages, render_page
from dsvl2_app.image.load import (
    USUAL,
    Limits,
    decode,
    is_loaded,
    load_image,
    name_source,
    read_header,
    read_source,
    upright_size,
)
from dsvl2_app.image.page_kinds import Kind, explain_missing, name_kind
from dsvl2_app.image.pixels import LARGE, split_bands

HASH_BYTES = 16  # of SHA-256, for which processors of the last years have instructions: twice as fast as BLAKE2


class Frames(NamedTuple):
    """What is in a file: so many pictures, and what people call one of them."""

    total: int
    kind: Kind


@dataclass(frozen=True, eq=False)
class ImageRef:
    """A picture: immutable, cheap to copy, usable from several threads. `ImageRef.of` makes one.

    Two are equal when their `content_hash` is. Of a file it covers the bytes and the frame, so that the same picture in
    two files, or in a file and in memory, counts as two; of a picture without a file, its pixels.
    """

    size: tuple[int, int]  # px, upright
    source: Path | bytes | None = field(repr=False)  # the file; None of a picture that only its pixels are known of
    frame: int = 0  # or page of the file, from 0
    limits: Limits = field(default=USUAL, repr=False)
    file_hash: bytes = field(default=b"", repr=False)
    points: tuple[float, float] | None = None  # the same in points of 1/72 inch, of a PDF's page
    decoded: int = 0  # px that are decoded for it: of a picture that is halved, those of the file; 0: they are known
    kind: Kind = "page"  # what people call one of several in such a file
    pixels: Image.Image | None = field(default=None, repr=False)  # RGB, where they are held; nobody may draw on them

    @classmethod
    def of(
        cls, source: bytes | str | Path | Image.Image, *, frame: int | None = None, limits: Limits = USUAL
    ) -> ImageRef:
        """Measure a file, its bytes, or a PIL image, whose pixels are held from then on. Raises an ImageError for what
        is no picture, is beyond the limits, or has no such frame; of a file no pixel is decoded, but those of a clip.
        The first frame is meant unless one is given, which it must be of a clip."""
        if isinstance(source, Image.Image):
            if frame:
                raise ValueError(f"frame {frame} of a PIL image; seek to it, or give the file")
            image = source if is_loaded(source) else load_image(source, limits=limits)
            return cls(image.size, None, pixels=image)
        data, name = read_source(source, limits), name_source(source)
        if frame is None and is_clip(data):
            raise ImageError("{name} is a video; save a still from it as PNG or JPEG first.", name=name)
        frame, points, decoded = frame or 0, None, 0
        kind: Kind = "page"
        if is_document(data):
            size, points = page_size(data, name, frame), read_pages(data, name)[frame]
        elif is_clip(data):
            clip = read_clip(data, name, limits.max_pixels)
            if frame >= len(clip.frames):
                raise explain_missing("still", name, frame + 1)
            size, kind = clip.size, "still"
        else:
            header = read_header(data, name, limits, frame)
            size, kind = upright_size(header, data, limits), name_kind(header)
            decoded = header.width * header.height
        kept = source if isinstance(source, bytes) else Path(source)
        return cls(size, kept, frame, limits, _hash_file(data, frame), points, decoded or size[0] * size[1], kind)

    @cached_property
    def content_hash(self) -> bytes:
        """16 bytes; nobody can make another picture with the same ones."""
        return self.file_hash or _hash_pixels(self.open())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ImageRef) and self.content_hash == other.content_hash

    def __hash__(self) -> int:
        return hash(self.content_hash)

    @property
    def path(self) -> Path:
        """Where the file is. Raises TypeError where there is none."""
        if not isinstance(self.source, Path):
            raise TypeError("a picture in memory has no path")
        return self.source

    def open(self) -> Image.Image:
        """The pixels, RGB, unless they are held decoded anew each time, but for a large picture that was seconds ago;
        nobody may draw on them. Raises an ImageError where the file is damaged, or another one by now."""
        known = self._find_pixels()
        if known is not None:
            return known
        name, image = name_source(self.source or b""), self._decode()
        if image.size != self.size:
            raise ImageError("{name} is damaged or incomplete; save or send it again.", name=name)
        DECODED.keep(self._decoded_key, image)
        return image

    def open_small(self, side: int) -> Image.Image:
        """The picture to be looked at: smaller, but still `side` px long, where the format gives that for less; else as
        `open`."""
        known = self._find_pixels()
        if known is not None:
            return known
        image = self._decode(side)
        if image.size == self.size:
            DECODED.keep(self._decoded_key, image)
        return image

    @property
    def _decoded_key(self) -> Key:
        return self.file_hash, self.size

    def _find_pixels(self) -> Image.Image | None:
        return self.pixels if self.pixels is not None else DECODED.find(self._decoded_key)

    def _decode(self, side: int | None = None) -> Image.Image:
        data, name = self.read(), name_source(self.source or b"")
        if is_document(data):
            return render_page(data, name, self.frame, side)
        if is_clip(data):
            return render_stills(data, name, [self.frame], self.limits.max_pixels)[0]
        return decode(read_header(data, name, self.limits, self.frame), name, self.limits, side)

    def opened(self) -> ImageRef:
        """The same picture with its pixels held, for whoever wants them more than once; but a large one, whose memory
        others need meanwhile."""
        return self if self.size[0] * self.size[1] > LARGE else replace(self, pixels=self.open())

    def read(self) -> bytes:
        """The file's bytes; none where there is no file. Raises an ImageError where it is another one by now."""
        data = b"" if self.source is None else read_source(self.source, self.limits)
        if isinstance(self.source, Path) and _hash_file(data, self.frame) != self.file_hash:
            raise ImageError("{name} has changed since it was chosen; choose it again.", name=name_source(self.source))
        return data


def find_frames(source: bytes | str | Path, limits: Limits = USUAL) -> Frames:
    """Pages of a PDF or a TIFF, frames of an animation, stills of a clip; any other picture is one page. The file is
    read once. Raises an ImageError as `ImageRef.of` does; no pixel is decoded, but those of a clip."""
    data, name = read_source(source, limits), name_source(source)
    if is_document(data):
        return Frames(len(read_pages(data, name)), "page")
    if is_clip(data):
        return Frames(len(read_clip(data, name, limits.max_pixels).frames), "still")
    image = read_header(data, name, limits)
    kind, count = name_kind(image), 1
    with suppress(Exception):  # of a file that is damaged behind its first frame
        count = getattr(image, "n_frames", 1)
    return Frames(count, kind)


def _hash_file(data: bytes, frame: int) -> bytes:
    digest = hashlib.sha256(f"file {frame} ".encode())
    digest.update(data)
    return digest.digest()[:HASH_BYTES]


def _hash_pixels(image: Image.Image) -> bytes:
    width, height = image.size
    digest = hashlib.sha256(f"{image.mode} {width}x{height} ".encode())
    for band in split_bands(image):
        digest.update(band.tobytes())
    return digest.digest()[:HASH_BYTES]
