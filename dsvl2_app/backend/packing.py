"""A request and the picture files that it speaks of in one body, for another copy of this app.

Files then need neither base64 nor a place in JSON. The content type tells the size of each piece, the JSON's first, and
a message names a file by `attached:` and its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

KIND = "application/vnd.dsvl2"
NAME = "attached:"


def pack(text: bytes, files: Sequence[bytes]) -> tuple[str, bytes]:
    """Content type and body."""
    pieces = [text, *files]
    return f"{KIND}; sizes={'-'.join(str(len(piece)) for piece in pieces)}", b"".join(pieces)


def unpack(content_type: str, body: bytes) -> tuple[bytes, list[bytes]]:
    """The JSON, and the files, of which other content types have none. Raises ValueError where sizes do not fit."""
    kind, _, told = content_type.partition("; sizes=")
    if kind != KIND:
        return body, []
    sizes = [int(size) for size in told.split("-")]
    ends = list(accumulate(sizes))
    if ends[-1] != len(body):
        raise ValueError(f"{len(body)} bytes are not the {ends[-1]} that were told")
    text, *files = (body[end - size : end] for size, end in zip(sizes, ends, strict=True))
    return text, files
