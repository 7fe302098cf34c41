"""Files that are bad or odd, each with what becomes of it: shown in a size, with colours at places, or refused.

All are made here, the same every time. None makes a library crash or hang.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, PngImagePlugin

Colour = tuple[int, int, int]
WIDTH, HEIGHT = 96, 64
RED, GREEN, BLUE, YELLOW = (220, 20, 30), (20, 200, 40), (30, 40, 210), (230, 220, 20)
CORNERS = {(20, 12): RED, (76, 12): GREEN, (20, 52): BLUE, (76, 52): YELLOW}  # (x, y) within each quarter


@dataclass(frozen=True)
class File:
    name: str
    data: bytes
    size: tuple[int, int] | None  # px as it is shown; None where it is refused
    colours: dict[tuple[int, int], Colour] | None = None  # at (x, y) px
    tolerance: int = 40  # levels by which those may be off
    words: str = ""  # in the sentence that refuses it


def quarters() -> Image.Image:
    """Four colours, one in each corner."""
    image = Image.new("RGB", (WIDTH, HEIGHT))
    for number, colour in enumerate((RED, GREEN, BLUE, YELLOW)):
        row, column = divmod(number, 2)
        image.paste(colour, (column * 48, row * 32, column * 48 + 48, row * 32 + 32))
    return image


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(out, **options)
    else:
        image.save(out, kind, **options)
    return out.getvalue()


def write_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_png(
    width: int, height: int, *, depth: int = 8, colour: int = 2, rows: bytes = b"", between: bytes = b""
) -> bytes:
    """A PNG whose header says whatever it is told to."""
    head = write_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + between + write_chunk(b"IDAT", zlib.compress(rows)) + write_chunk(b"IEND", b"")


def insert_chunks(png: bytes, chunks: bytes) -> bytes:
    """Behind the header of a PNG, which is 33 bytes long."""
    return png[:33] + chunks + png[33:]


KINDS = {
    "png": "PNG", "jpg": "JPEG", "webp": "WEBP", "avif": "AVIF", "gif": "GIF", "bmp": "BMP", "tif": "TIFF",
    "jp2": "JPEG2000", "ppm": "PPM", "heic": "HEIF",
}  # fmt: skip
MODES = {
    "png": ("RGB", "RGBA", "P"), "jpg": ("RGB", "CMYK"), "webp": ("RGB", "RGBA"), "avif": ("RGB", "RGBA"),
    "gif": ("RGB", "P"), "bmp": ("RGB", "P"), "tif": ("RGB", "RGBA", "P", "CMYK", "YCbCr", "LAB"),
    "jp2": ("RGB", "RGBA"), "ppm": ("RGB",), "heic": ("RGB", "RGBA"),
}  # fmt: skip
GREY_MODES = {
    "png": ("1", "L", "LA"), "jpg": ("L",), "webp": ("L",), "gif": ("1", "L"), "bmp": ("1", "L"),
    "tif": ("1", "L", "LA"), "jp2": ("L", "LA"), "ppm": ("1", "L"),
}  # fmt: skip


def modes() -> Iterator[File]:
    """Every kind in every mode that it has."""
    for suffix, names in MODES.items():
        for mode in names:
            image = to_lab(quarters()) if mode == "LAB" else quarters().convert(mode)
            yield File(f"mode-{mode}.{suffix}", save(image, KINDS[suffix]), (WIDTH, HEIGHT), CORNERS)
    half = Image.new("L", (WIDTH, HEIGHT))
    half.paste(255, (48, 0, 96, 64))
    for suffix, names in GREY_MODES.items():
        for mode in names:
            colours = {(10, 10): (0, 0, 0), (80, 50): (255, 255, 255)}
            yield File(f"mode-{mode}.{suffix}", save(half.convert(mode), KINDS[suffix]), (WIDTH, HEIGHT), colours, 4)


def to_lab(image: Image.Image) -> Image.Image:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    assert converted is not None
    return converted


TURNS = {  # orientation -> what a camera that says so has stored
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def orientations() -> Iterator[File]:
    for suffix in ("jpg", "png", "webp", "tif", "avif"):
        for number, turn in TURNS.items():
            stored = quarters() if turn is None else quarters().transpose(turn)
            data = save(stored, KINDS[suffix], exif=write_exif(number))
            yield File(f"turned-{number}.{suffix}", data, (WIDTH, HEIGHT), CORNERS)


def write_exif(orientation: Any, **more: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    if more:
        exif[0x010E] = more["description"]
    return exif.tobytes()


def cuts() -> Iterator[File]:
    """Each kind, ended after every tenth of its bytes."""
    noise = Image.fromarray(np.random.default_rng(5).integers(0, 256, (120, 160, 3), dtype=np.uint8))
    for suffix, kind in KINDS.items():
        whole = save(noise, kind)
        for tenth in range(1, 10):
            yield File(f"cut-{tenth}.{suffix}", whole[: len(whole) * tenth // 10], None, words="damaged")
        yield File(f"longer.{suffix}", whole + bytes(1000), (160, 120))
    progressive = save(noise, "JPEG", progressive=True)
    for tenth in (3, 6, 9):
        yield File(f"progressive-{tenth}.jpg", progressive[: len(progressive) * tenth // 10], None, words="damaged")


def sizes() -> Iterator[File]:
    for size in ((1, 1), (1, 2), (2, 1), (1, 20_000), (20_000, 1), (60_000, 1), (1, 60_000), (65_535, 2), (3, 65_535)):
        data = save(Image.new("RGB", size, RED), "PNG")
        yield File(f"{size[0]}x{size[1]}.png", data, size, {(0, 0): RED, (size[0] - 1, size[1] - 1): RED}, 12)
    for size in ((65_500, 1), (1, 65_500)):
        yield File(f"{size[0]}x{size[1]}.jpg", save(Image.new("RGB", size, RED), "JPEG"), size)
    for size in ((65_536, 1), (1, 65_536), (200_000, 1)):
        yield File(f"{size[0]}x{size[1]}.png", save(Image.new("L", size), "PNG"), None, words="limit of a side")
    yield File("16383x1.webp", save(Image.new("RGB", (16_383, 1), RED), "WEBP"), (16_383, 1))


def bombs() -> Iterator[File]:
    """Small files that say they are large."""
    words = "megapixels"
    yield File("82-megapixels.png", write_png(8200, 10_000, depth=1, colour=0), None, words=words)
    yield File("41-megapixels.png", write_png(8200, 5000, depth=1, colour=0), None, words="damaged")
    yield File("144-megapixels.png", write_png(12_000, 12_000, depth=1, colour=0), None, words="pixels")
    for side in (30_000, 65_535, 2**31 - 1):
        yield File(f"{side}-squared.png", write_png(side, side), None, words="far too many pixels")
    frame = b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02L\x01\0;"
    yield File("squared.gif", b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + frame, None, words="pixels")
    yield File("squared.bmp", write_bmp(30_000, 30_000), None, words="pixels")
    yield File("squared.ppm", b"P6 99999 99999 255\n" + bytes(100), None, words="pixels")
    yield File("digits.ppm", b"P6 " + b"9" * 5000 + b" 1 255\n", None)
    yield File("letters.ppm", b"P1 6000 6000\n" + b"1" * 100, None)
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + 2 * struct.pack("<I", 16_382)[:3]
    yield File("squared.webp", b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body, None)
    jp2 = bytearray(save(quarters(), "JPEG2000"))
    place = jp2.find(b"ihdr") + 4
    jp2[place : place + 8] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    yield File("squared.jp2", bytes(jp2), None)
    packed = zlib.compress(bytes(200_000_000), 9)
    bomb = write_png(16, 16)[:33] + write_chunk(b"IDAT", packed) + write_chunk(b"IEND", b"")
    yield File("inflates.png", bomb, (16, 16))  # the rows that it needs are read, no more
    yield File("text-inflates.png", insert_chunks(save(quarters(), "PNG"), write_text(packed)), None)
    profile = insert_chunks(save(quarters(), "PNG"), write_chunk(b"iCCP", b"x\0\0" + packed))
    yield File("profile-inflates.png", profile, None)


def write_bmp(width: int, height: int) -> bytes:
    head = b"BM" + struct.pack("<IHHI", 118, 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 2835, 2835, 0, 0)


def write_text(packed: bytes) -> bytes:
    return write_chunk(b"zTXt", b"comment\0\0" + packed)


def impostors() -> Iterator[File]:
    """What is no picture at all, or none of a kind that is taken."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("a", b"b")
    texts = {
        "text.png": b"This is not a picture.\n" * 50,
        "page.png": b"<!doctype html><script>alert(1)</script>",
        "names.json.png": b'{"path": "passwords"}',
        "magick.png": b"push graphic-context\nfill 'url(https://127.0.0.1/x)'\npop graphic-context",
        "script.sh.jpg": b"#!/bin/sh\necho hello\n",
        "half-a-character.png": "名".encode() * 333 + "名".encode()[:2],
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(x) run\n",
    }
    drawings = {
        "script.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "entities.svg": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>',
        "link.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1/x"/></svg>',
        "named.png": b'  \n<svg width="10" height="10"></svg>',
        "marked.svg": b'\xef\xbb\xbf<SVG onload="alert(1)"/>',
    }
    others = {
        "one.png": b"\x89",
        "zeros.png": bytes(100_000),
        "noise.jpg": np.random.default_rng(1).bytes(100_000),
        "utf16.png": "Das ist Text".encode("utf-16"),
        "program.png": b"\x7fELF" + bytes(1000),
        "program.exe.jpg": b"MZ" + bytes(1000),
        "archive.png": archive.getvalue(),
        "packed.svgz": zlib.compress(b"<svg></svg>"),
        "photo.psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 4, 4, 8, 3) + bytes(14) + b"\x7f" * 48,
        "sound.wav": b"RIFX" + bytes(100),
        "database.png": b"SQLite format 3\0" + bytes(200),
    }
    damaged = {
        "signature.png": b"\x89PNG\r\n\x1a\n",
        "signature.jpg": b"\xff\xd8",
        "signature.gif": b"GIF89a",
        "signature.webp": b"RIFF\x04\0\0\0WEBP",
        "signature.tif": b"II*\0\x08\0\0\0",
        "loop.tif": b"II*\0\x08\0\0\0\0\0\x08\0\0\0" + bytes(100),
        "nothing.heic": b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(500),
        "nothing.avif": b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + bytes(500),
        "script.gif": b"GIF89a/*" + bytes(20) + b"*/=1;alert(1)",
        "no-frames.gif": b"GIF89a\x10\0\x10\0\0\0\0;",
    }
    yield File("empty.png", b"", None, words="empty (0 bytes)")
    yield File("document.png", b"%PDF-1.7\n1 0 obj<<>>endobj", None, words="damaged")  # a PDF is parsed
    yield File("film.jpg", b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + bytes(500), None, words="video")
    for group, words in ((texts, "is text"), (drawings, "SVG drawing"), (others, "known kind"), (damaged, "damaged")):
        for name, data in group.items():
            yield File(name, data, None, words=words)
    modes = {"MSP": "1", "XBM": "1", "PALM": "1", "SPIDER": "F", "EPS": "RGB", "ICNS": "RGB"}
    for kind in ("ICO", "TGA", "PCX", "SGI", "DDS", "ICNS", "IM", "MSP", "EPS", "PALM", "SPIDER", "XBM"):
        image = quarters().convert(modes.get(kind, "RGB"))
        yield File(f"unlisted.{kind.lower()}", save(image.resize((128, 128)), kind), None)


def names() -> Iterator[File]:
    """Good files under bad names."""
    for suffix, wrong in (("png", "jpg"), ("jpg", "png"), ("webp", "gif"), ("png", "heic"), ("png", "txt"),
                          ("gif", "tga"), ("png", "svg"), ("jpg", "html"), ("avif", "png")):  # fmt: skip
        data = save(quarters(), KINDS[suffix])
        yield File(f"{suffix}-named.{wrong}", data, (WIDTH, HEIGHT), CORNERS)
    png = save(quarters(), "PNG")
    odd = ("no-extension", "two.png.exe", "emoji-🦒-名前.png", "a b 'c' {d} %s.png", "<img src=x onerror=alert(1)>.png")
    for name in (*odd, "x" * 180 + ".png", "-rf.png", "CON.png", "{0}-{name.__class__}.png", ".png"):
        yield File(name, png, (WIDTH, HEIGHT), CORNERS)
    yield File("{0}-{empty.__class__}.png", b"", None, words="empty (0 bytes)")
    yield File("<b>empty.png", b"", None, words="empty (0 bytes)")


def polyglots() -> Iterator[File]:
    """Pictures that are something else as well; what follows a picture, or stands in its comments, is never read."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("x", b"y")
    script = b"<script>alert(1)</script>"
    for name, data in {
        "archive-behind.png": save(quarters(), "PNG") + archive.getvalue(),
        "archive-behind.jpg": save(quarters(), "JPEG") + archive.getvalue(),
        "document-behind.bmp": save(quarters(), "BMP") + b"%PDF-1.4",
        "script-behind.gif": save(quarters(), "GIF") + script,
        "script-behind.webp": save(quarters(), "WEBP") + script,
        "script-inside.jpg": save(quarters(), "JPEG", comment=script),
        "script-inside.gif": save(quarters(), "GIF", comment=script),
        "script-inside.png": insert_chunks(save(quarters(), "PNG"), write_chunk(b"tEXt", b"Comment\0" + script)),
        "picture-behind.png": save(quarters(), "PNG") + save(Image.new("RGB", (8, 8)), "JPEG"),
    }.items():
        yield File(name, data, (WIDTH, HEIGHT), CORNERS)


def transparency() -> Iterator[File]:
    """Whatever can be seen through shows white."""
    white = {(20, 12): (255, 255, 255)} | {place: colour for place, colour in CORNERS.items() if place != (20, 12)}
    clear = quarters().convert("RGBA")
    clear.paste((220, 20, 30, 0), (0, 0, 48, 32))
    for suffix in ("png", "webp", "tif", "avif", "jp2"):
        yield File(f"clear.{suffix}", save(clear, KINDS[suffix]), (WIDTH, HEIGHT), white)
    palette = quarters().quantize(4)
    first = palette.getpixel((20, 12))
    assert isinstance(first, int)
    yield File("palette.png", save(palette, "PNG", transparency=first), (WIDTH, HEIGHT), white)
    table = bytes(0 if index == first else 255 for index in range(4))
    yield File("palette-table.png", save(palette, "PNG", transparency=table), (WIDTH, HEIGHT), white)
    yield File("palette.gif", save(palette, "GIF", transparency=first), (WIDTH, HEIGHT), white)
    yield File("colour.png", save(quarters(), "PNG", transparency=RED), (WIDTH, HEIGHT), white)
    yield File("all.png", save(Image.new("RGBA", (9, 9), (255, 0, 0, 0)), "PNG"), (9, 9), {(4, 4): (255, 255, 255)}, 0)
    plte = write_chunk(b"PLTE", bytes([*RED, *GREEN]))
    rows = b"\0\0\1\0\1" * 4
    colours = {(0, 0): RED, (1, 3): GREEN}
    yield File("palette-of-two.png", write_png(4, 4, colour=3, rows=rows, between=plte), (4, 4), colours, 0)


def animations() -> Iterator[File]:
    frames = [quarters()] + [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in (RED, GREEN, BLUE) * 3]
    for suffix in ("gif", "webp", "png", "tif", "avif"):
        data = save(frames[0], KINDS[suffix], save_all=True, append_images=frames[1:])
        yield File(f"animated.{suffix}", data, (WIDTH, HEIGHT), CORNERS)
    many = [Image.new("P", (16, 16), number % 256) for number in range(500)]
    yield File("500-frames.gif", save(many[0], "GIF", save_all=True, append_images=many[1:]), (16, 16))
    rows = (b"\0" + bytes(RED) * 4) * 4
    control = write_chunk(b"acTL", struct.pack(">II", 0, 0))
    yield File("no-frames.png", write_png(4, 4, rows=rows, between=control), (4, 4), {(0, 0): RED}, 0)
    control = write_chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0))
    yield File("promises-frames.png", write_png(4, 4, rows=rows, between=control), (4, 4), {(0, 0): RED}, 0)
    yield File("two-pictures.mpo", save(quarters(), "MPO", save_all=True, append_images=[quarters()]), (WIDTH, HEIGHT))


def metadata() -> Iterator[File]:
    shown = {"size": (WIDTH, HEIGHT), "colours": CORNERS}
    for value in (0, 9, 65_535):
        yield File(f"orientation-{value}.jpg", save(quarters(), "JPEG", exif=write_exif(value)), **shown)
    for name, exif in {
        "cut": b"Exif\0\0II*\0\xff\xff\xff\xff",
        "loop": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\xff\xff\xff\xff\x08\0\0\0\x08\0\0\0",
        "noise": b"Exif\0\0" + np.random.default_rng(2).bytes(5000),
        "text": b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\2\0\0\0\4six\0\0\0\0\0",
        "large": write_exif(1, description="d" * 60_000),
    }.items():
        yield File(f"exif-{name}.jpg", save(quarters(), "JPEG", exif=exif), **shown)
        yield File(f"exif-{name}.png", save(quarters(), "PNG", exif=exif), **shown)
    jpeg, png = save(quarters(), "JPEG"), save(quarters(), "PNG")
    yield File("comments.jpg", jpeg[:2] + b"\xff\xfe\0\x08hello!" * 10_000 + jpeg[2:], **shown)
    texts = b"".join(write_chunk(b"tEXt", b"k%d\0v" % number) for number in range(5000))
    yield File("texts.png", insert_chunks(png, texts), **shown)
    yield File("unknown-chunks.png", insert_chunks(png, write_chunk(b"abCd", b"x" * 1000) * 2000), **shown)
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "x" * 900_000)
    yield File("xmp.png", save(quarters(), "PNG", pnginfo=info), **shown)
    yield File("chunk-of-4-GB.png", insert_chunks(png, b"\xff\xff\xff\xfftEXtxx"), None, words="damaged")
    yield File("no-density.jpg", save(quarters(), "JPEG", dpi=(0, 0)), **shown)
    yield File("sizes-of-zero.jpg", jpeg.replace(struct.pack(">HH", HEIGHT, WIDTH), bytes(4), 1), None)


def headers() -> Iterator[File]:
    """Headers that promise what does not follow, or what nobody has."""
    row = b"\0" + bytes(RED) * 4
    yield File("few-rows.png", write_png(64, 64, rows=row), None, words="damaged")
    yield File("many-rows.png", write_png(4, 4, rows=row * 1000), (4, 4), {(2, 2): RED}, 0)
    yield File("filter.png", write_png(4, 4, rows=b"\x09" + row[1:]), None, words="damaged")
    yield File("depth.png", write_png(4, 4, depth=3, rows=row * 4), None, words="damaged")
    yield File("colours.png", write_png(4, 4, colour=5, rows=row * 4), None, words="damaged")
    yield File("no-width.png", write_png(0, 4, rows=row), None)
    jpeg = save(quarters(), "JPEG")
    yield File("12-bits.jpg", jpeg.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c", 1), None)
    yield File("lossless.jpg", jpeg.replace(b"\xff\xc0", b"\xff\xc3", 1), None)
    yield File("width.bmp", write_bmp(-64, 64), None)
    yield File("height.bmp", write_bmp(64, -(2**31) + 1), None)
    yield File("depth.ppm", b"P6 4 4 0\n" + bytes(48), None)
    yield File("short.ppm", b"P6 4 4 255\n" + bytes(20), None, words="damaged")
    yield File("letters.pgm", b"P2 2 2 255\n0 255 255 0\n", (2, 2), {(0, 0): (0, 0, 0), (1, 0): (255, 255, 255)}, 0)
    crc = bytearray(write_png(4, 4, rows=row * 4))
    crc[29] ^= 255
    yield File("checksum.png", bytes(crc), None, words="damaged")


def profiles() -> Iterator[File]:
    """Colour profiles that are broken, or of another kind of picture, change nothing."""
    srgb = make_profile("sRGB")
    for name, profile in {
        "srgb": srgb,
        "lab": make_profile("LAB"),
        "xyz": make_profile("XYZ"),
        "noise": np.random.default_rng(3).bytes(3000),
        "one-byte": b"\0",
        "cut": srgb[:100],
        "size": struct.pack(">I", 2**32 - 1) + srgb[4:],
        "tags": srgb[:128] + struct.pack(">I", 2**32 - 1) + srgb[132:],
        "megabyte": srgb + bytes(1_000_000),
    }.items():
        colours = None if name == "xyz" else CORNERS
        for suffix in ("png", "jpg"):
            data = save(quarters(), KINDS[suffix], icc_profile=profile)
            yield File(f"profile-{name}.{suffix}", data, (WIDTH, HEIGHT), colours)
    for mode, suffix in (("CMYK", "jpg"), ("L", "png"), ("RGBA", "png")):
        data = save(quarters().convert(mode), KINDS[suffix], icc_profile=srgb)
        yield File(f"profile-srgb-{mode}.{suffix}", data, (WIDTH, HEIGHT), None if mode == "L" else CORNERS)


def make_profile(space: Any) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()


def numbers() -> Iterator[File]:
    """Pixels of more bits, and of numbers that are no brightness: black at the left and white at the right."""
    ramp = np.tile(np.linspace(0, 1, WIDTH), (HEIGHT, 1))
    colours = {(0, 5): (0, 0, 0), (95, 60): (255, 255, 255), (48, 30): (129, 129, 129)}
    steps = (ramp * 65_535).astype(np.uint16)
    for suffix in ("png", "tif", "jp2"):
        yield File(f"16-bits.{suffix}", save(Image.fromarray(steps), KINDS[suffix]), (WIDTH, HEIGHT), colours, 2)
    floats = {"0-1": ramp, "0-255": ramp * 255, "0-65535": ramp * 65_535, "0-1e6": ramp * 1e6,
              "negative": ramp * 10 - 5, "largest": ramp * 6e38 - 3e38}  # fmt: skip
    for name, values in floats.items():
        data = save(Image.fromarray(values.astype(np.float32)), "TIFF")
        yield File(f"float-{name}.tif", data, (WIDTH, HEIGHT), colours, 2)
    for name, values in {"nan": ramp * np.nan, "tiny": ramp * 0 + 1e-44, "low": ramp * 0 - np.inf}.items():
        data = save(Image.fromarray(values.astype(np.float32)), "TIFF")
        yield File(f"float-{name}.tif", data, (WIDTH, HEIGHT), {(9, 9): (0, 0, 0)}, 0)
    holes = np.where(np.arange(WIDTH) % 7 == 3, np.nan, ramp)
    yield File("float-holes.tif", save(Image.fromarray(holes.astype(np.float32)), "TIFF"), (WIDTH, HEIGHT), colours, 2)
    whole = np.rint(ramp * (2**31 - 1)).astype(np.int64).clip(max=2**31 - 1).astype(np.int32)
    yield File("integers.tif", save(Image.fromarray(whole), "TIFF"), (WIDTH, HEIGHT), colours, 2)


def compressions() -> Iterator[File]:
    for name in ("tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "jpeg", "packbits", "lzma", "zstd"):
        data = save(quarters(), "TIFF", compression=name)
        yield File(f"{name}.tif", data, (WIDTH, HEIGHT), CORNERS)
    halves = Image.new("1", (WIDTH, HEIGHT))
    halves.paste(1, (48, 0, 96, 64))
    for name in ("group3", "group4", "tiff_ccitt"):
        colours = {(10, 10): (0, 0, 0), (80, 50): (255, 255, 255)}
        yield File(f"{name}.tif", save(halves, "TIFF", compression=name), (WIDTH, HEIGHT), colours, 0)
    yield File("big.tif", save(quarters(), "TIFF", big_tiff=True), (WIDTH, HEIGHT), CORNERS)


def build() -> list[File]:
    """All of them, in any order."""
    groups = (modes, orientations, cuts, sizes, bombs, impostors, names, polyglots, transparency, animations)
    groups += (metadata, headers, profiles, numbers, compressions)
    return list(chain.from_iterable(group() for group in groups))


def build_large() -> Iterator[File]:
    """Pictures of 40 megapixels, the most that is taken as it is, one after the other, and of 80, which are halved."""
    size = (8000, 5000)
    small = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize(size, Image.Resampling.BILINEAR)
    options: dict[str, dict[str, Any]] = {
        "jpg": {}, "png": {"compress_level": 1}, "webp": {"method": 0}, "tif": {"compression": "tiff_lzw"},
        "avif": {"speed": 10}, "jp2": {"quality_mode": "rates", "quality_layers": [40]},
    }  # fmt: skip
    for suffix, chosen in options.items():
        yield File(f"large.{suffix}", save(image, KINDS[suffix], **chosen), size)
    yield File("large-progressive.jpg", save(image, "JPEG", progressive=True), size)
    yield File("large-cmyk.jpg", save(image.convert("CMYK"), "JPEG"), size)
    grey = image.convert("L")
    steps = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    yield File("large-16-bits.png", save(steps, "PNG", compress_level=1), size)
    floats = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
    yield File("large-float.tif", save(floats, "TIFF", compression="tiff_lzw"), size)
    twice = image.resize((10_000, 8000), Image.Resampling.BILINEAR)
    for suffix, chosen in {"png": {"compress_level": 1}, "avif": {"speed": 10}, "heic": {}}.items():
        yield File(f"halved.{suffix}", save(twice, KINDS[suffix], **chosen), (5000, 4000))
    yield File("halved-one-bit.png", save(Image.new("1", twice.size), "PNG"), (5000, 4000))
