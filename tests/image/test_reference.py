"""A reference knows of a picture what decoding it would tell, and tells pictures apart."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from dsvl2_app.errors import ImageError
from dsvl2_app.image.load import Limits, load_image
from dsvl2_app.image.reference import ImageRef, find_frames

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
KINDS = ["JPEG", "PNG", "TIFF", "GIF", "BMP", "PPM", "JPEG2000"]
KINDS += [kind for kind in ("WEBP", "AVIF") if features.check(kind.lower())]
TURNED_KINDS = [kind for kind in KINDS if kind not in ("GIF", "BMP", "PPM", "JPEG2000")]  # that carry EXIF
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="6"/></x:xmpmeta>'


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def pages(kind: str, colours: tuple[str, ...] = ("red", "lime", "blue")) -> bytes:
    frames = [Image.new("RGB", (20, 10), colour) for colour in colours]
    options = {"lossless": True} if kind == "WEBP" else {}
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)


# --- size ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_is_measured_without_decoding(kind: str, decodes: list[str]) -> None:
    data = encode(NOISE, kind)
    assert ImageRef.of(data).size == (60, 40)
    assert decodes == []
    assert load_image(data).size == (60, 40)
    assert decodes  # or else the count would prove nothing


@pytest.mark.parametrize("kind", TURNED_KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_upright_picture(kind: str, orientation: int, decodes: list[str]) -> None:
    data = encode(NOISE, kind, exif=turned(orientation))
    ref = ImageRef.of(data)
    assert decodes == []
    assert ref.size == load_image(data).size == ref.open().size
    assert ref.size == ((40, 60) if orientation > 4 else (60, 40))


def test_heic_is_measured_as_it_is_read() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    for orientation in range(1, 9):
        buffer = io.BytesIO()
        pillow_heif.from_pillow(NOISE).save(buffer, exif=turned(orientation).tobytes())
        assert ImageRef.of(buffer.getvalue()).size == load_image(buffer.getvalue()).size


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def text_chunk(keyword: str, text: str) -> bytes:
    return chunk(b"iTXt", keyword.encode() + b"\0\0\0\0\0" + text.encode())


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize(
    ("metadata", "size", "is_turned"),
    [
        (chunk(b"eXIf", turned(6).tobytes().removeprefix(b"Exif\0\0")), (40, 60), True),
        (text_chunk("XML:com.adobe.xmp", XMP), (40, 60), True),
        (text_chunk("date:create", "today"), (60, 40), False),
        (text_chunk("Comment", "IDAT eXIf"), (60, 40), False),
    ],
    ids=["exif", "xmp", "date", "comment"],
)
def test_a_png_may_say_behind_its_pixels_how_it_is_turned(
    metadata: bytes, size: tuple[int, int], is_turned: bool, behind: bool, decodes: list[str]
) -> None:
    """It is decoded to know, but no other one is: many programs write the date there."""
    data = encode(NOISE, "PNG")
    place = data.index(b"IEND" if behind else b"IDAT") - 4
    data = data[:place] + metadata + data[place:]
    assert ImageRef.of(data).size == size
    assert bool(decodes) == (is_turned and behind)
    assert load_image(data).size == size


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WEBP"])
def test_xmp_says_how_a_picture_is_turned(kind: str) -> None:
    if kind == "TIFF":
        data = encode(NOISE, kind, tiffinfo={700: XMP.encode()})
    else:
        data = encode(NOISE, kind, xmp=XMP.encode())
    assert ImageRef.of(data).size == load_image(data).size == (40, 60)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@given(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]), st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_is_as_large_as_measured_or_refused(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(encode(NOISE, kind, **({"exif": turned(6)} if kind not in ("GIF", "BMP") else {})))
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, min(len(damaged), 400) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ImageError):
        ref = ImageRef.of(bytes(damaged))
        assert ref.open().size == ref.size


@pytest.mark.parametrize("kind", KINDS)
def test_the_pixels_that_are_decoded_are_those_of_the_file(kind: str) -> None:
    """But of a JPEG, which is decoded at half its sides."""
    data = encode(NOISE, kind)
    assert ImageRef.of(data).decoded == 60 * 40
    if kind in ("PNG", "TIFF", "WEBP", "AVIF", "BMP", "PPM", "JPEG"):
        halved = ImageRef.of(data, limits=Limits(max_pixels=1200))
        assert (halved.size, halved.decoded) == ((30, 20), 30 * 20 if kind == "JPEG" else 60 * 40)
    assert ImageRef.of(NOISE).decoded == 0


# --- limits -------------------------------------------------------------------------------------------------


def test_limits_are_those_of_reading(tmp_path: Path) -> None:
    data = encode(NOISE, "PNG")
    (tmp_path / "a.png").write_bytes(data)
    for limits, words in ((Limits(max_pixels=1199), "60x40 px"), (Limits(max_bytes=len(data) - 1), "limit is 0.0")):
        for source in (data, tmp_path / "a.png"):
            with pytest.raises(ImageError, match=words):
                ImageRef.of(source, limits=limits)
    assert ImageRef.of(NOISE, limits=Limits(max_pixels=1)).open() is NOISE  # loaded already, so it was let in


def test_a_file_that_is_damaged_behind_its_header_is_refused_when_it_is_opened() -> None:
    ref = ImageRef.of(encode(NOISE, "PNG")[:2000])
    assert ref.size == (60, 40)
    with pytest.raises(ImageError, match="damaged or incomplete"):
        ref.open()


def test_another_file_of_the_same_name_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    NOISE.save(path)
    ref = ImageRef.of(path)
    assert np.array_equal(np.asarray(ref.open()), np.asarray(NOISE))
    Image.new("RGB", NOISE.size).save(path)
    with pytest.raises(ImageError, match=r"'a\.png' has changed since it was chosen"):
        ref.open()
    path.unlink()
    with pytest.raises(ImageError, match=r"There is no file 'a\.png'"):
        ref.open()


# --- frames and pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["TIFF", "GIF", *(["WEBP"] if features.check("webp") else [])])
def test_every_page_is_a_picture_of_its_own(kind: str) -> None:
    data = pages(kind)
    refs = [ImageRef.of(data, frame=number) for number in range(3)]
    assert [ref.open().getpixel((3, 3)) for ref in refs] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert len(set(refs)) == 3 and refs[0] == ImageRef.of(data)


def test_pages_have_sizes_of_their_own(decodes: list[str]) -> None:
    second = Image.new("RGB", (7, 90))
    data = encode(NOISE, "TIFF", save_all=True, append_images=[second])
    assert [ImageRef.of(data, frame=number).size for number in (0, 1)] == [(60, 40), (7, 90)]
    assert decodes == []
    small = encode(NOISE.resize((1, 1)), "TIFF", save_all=True, append_images=[second])
    with pytest.raises(ImageError, match="7x90 px"):
        ImageRef.of(small, frame=1, limits=Limits(max_pixels=314))


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "JPEG", *(["WEBP"] if features.check("webp") else [])])
def test_a_page_that_is_not_there_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "scan").write_bytes(encode(NOISE, kind) if kind == "JPEG" else pages(kind))
    noun = find_frames(tmp_path / "scan").kind
    assert noun == ("page" if kind in ("TIFF", "JPEG") else "frame")
    for frame in (3, -1):
        with pytest.raises(ImageError, match=f"'scan' has no {noun} {frame + 1}; choose an earlier one"):
            ImageRef.of(tmp_path / "scan", frame=frame)
    with pytest.raises(ValueError, match="seek to it"):
        ImageRef.of(NOISE, frame=1)


# --- what is equal ------------------------------------------------------------------------------------------


def test_content_hash_tells_pictures_apart() -> None:
    other = NOISE.copy()
    other.putpixel((0, 0), tuple(value ^ 1 for value in NOISE.getpixel((0, 0))))
    reshaped = Image.frombytes("RGB", (40, 60), NOISE.tobytes())
    assert len({ImageRef.of(image).content_hash for image in (NOISE, other, reshaped)}) == 3
    png, tiff = (load_image(encode(NOISE, kind)) for kind in ("PNG", "TIFF"))
    assert ImageRef.of(png) == ImageRef.of(tiff) == ImageRef.of(NOISE.copy())


def test_one_file_is_one_picture_wherever_it_lies(tmp_path: Path) -> None:
    data = encode(NOISE, "PNG")
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_bytes(data)
    refs = [ImageRef.of(source) for source in (data, tmp_path / "a.png", str(tmp_path / "b.jpg"))]
    assert len({ref.content_hash for ref in refs}) == 1 and len(set(refs)) == 1
    assert refs[0] != ImageRef.of(encode(NOISE, "TIFF")) and refs[0] != ImageRef.of(NOISE) and refs[0] != "a.png"
    assert ImageRef.of(tmp_path / "a.png").path == tmp_path / "a.png"
    with pytest.raises(TypeError, match="no path"):
        print(refs[0].path)


def test_a_hash_covers_the_file_and_the_frame_or_the_pixels() -> None:
    data = b"P5 1 1 255\n\x07"
    hashed = [hashlib.sha256(content).digest()[:16] for content in (b"file 0 " + data, b"RGB 1x1 \x07\x07\x07")]
    assert [ImageRef.of(source).content_hash for source in (data, load_image(data))] == hashed


def test_pixels_are_held_where_there_is_no_file_or_they_are_wanted_again(decodes: list[str]) -> None:
    ref = ImageRef.of(encode(NOISE, "PNG"))
    held = ref.opened()
    assert held == ref and held.size == ref.size and len(decodes) == 1
    assert held.open() is held.open() and np.array_equal(np.asarray(held.open()), np.asarray(NOISE))
    assert held.opened().open() is held.open() and len(decodes) == 1
    caller = Image.open(io.BytesIO(encode(NOISE, "PNG", exif=turned(6))))
    own = ImageRef.of(caller)
    assert own.size == (40, 60) and caller.size == (60, 40)  # the caller's is left alone
    assert own.open() is own.open()


def test_a_reference_cannot_be_changed_and_its_copies_share_everything() -> None:
    ref = ImageRef.of(NOISE)
    with pytest.raises(AttributeError):
        ref.size = (1, 1)
    assert copy.copy(ref) == ref and copy.copy(ref).open() is NOISE


def test_several_threads_may_use_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    NOISE.save(path)
    for ref in (ImageRef.of(path), ImageRef.of(NOISE)):
        with ThreadPoolExecutor(8) as threads:
            seen = list(threads.map(lambda _, ref=ref: (ref.content_hash, ref.open().tobytes()), range(32)))
        assert set(seen) == {(ref.content_hash, NOISE.tobytes())}
