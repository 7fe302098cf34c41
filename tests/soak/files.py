"""Pictures that chats send: good ones, each of a width that is its chat's alone, and hostile ones."""

from __future__ import annotations

import io
import random
import struct
import zlib

from PIL import Image, ImageDraw

FIRST_WIDTH = 200  # px, of the first chat's pictures; the next one's are a pixel wider


def draw_picture(chat: int, chance: random.Random) -> bytes:
    """A PNG of shapes, `FIRST_WIDTH + chat` px wide."""
    image = Image.new("RGB", (FIRST_WIDTH + chat, chance.randint(100, 700)), "white")
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        x, y = chance.randint(0, 150), chance.randint(0, 60)
        draw.rectangle((x, y, x + 50, y + 40), fill=tuple(chance.randint(0, 255) for _ in range(3)))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def break_picture(chance: random.Random) -> tuple[str, bytes]:
    """Name and bytes of a file that is no picture, is half of one, or is too large to be decoded."""
    whole = draw_picture(0, chance)
    return chance.choice(
        [
            ("half.png", whole[: len(whole) // 2]),
            ("words.png", b"These are words and no picture."),
            ("empty.jpg", b""),
            ("bomb.png", make_bomb()),
        ]
    )


def make_bomb(side: int = 60_000) -> bytes:
    """A PNG of a few hundred bytes whose header promises `side` x `side` px."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(100_000))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
