from __future__ import annotations

import builtins
import contextlib
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from dsvl2_app.errors import ImageError
from dsvl2_app.image.load import UPRIGHT, Limits, is_loaded, load_image
from dsvl2_app.image.reference import ImageRef

RNG = np.random.default_rng(0)
NOISE = Image.fromarray(RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8))
PHOTO = Image.fromarray(RNG.integers(0, 256, (14, 14, 3), dtype=np.uint8)).resize((141, 140))
STRIPES = Image.fromarray(np.repeat(np.array([[[250, 10, 10]], [[10, 10, 250]]], dtype=np.uint8), 24, 0))


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(source: bytes | Image.Image) -> np.ndarray:
    image = load_image(source)
    assert image.mode == "RGB" and image.info == {}
    return np.asarray(image)


def needs(codec: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not features.check(codec), reason=f"Pillow was built without {codec}")


# --- kinds of files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "JPEG2000"])
def test_lossless_kinds_keep_every_pixel(kind: str) -> None:
    assert np.array_equal(pixels(encode(NOISE, kind)), np.asarray(NOISE))


@pytest.mark.parametrize(
    "kind", ["JPEG", pytest.param("WEBP", marks=needs("webp")), pytest.param("AVIF", marks=needs("avif"))]
)
def test_lossy_kinds_stay_close(kind: str) -> None:
    flat = Image.new("RGB", (32, 32), (200, 100, 50))
    assert np.abs(pixels(encode(flat, kind)).astype(int) - (200, 100, 50)).max() < 6


def test_heic_is_read_when_its_package_is_there() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (32, 64), (200, 100, 50))).save(buffer)
    values = pixels(buffer.getvalue())
    assert values.shape == (64, 32, 3)
    assert np.abs(values.astype(int) - (200, 100, 50)).max() < 6


def test_heic_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def no_heif(name: str, *arguments: object, **options: object) -> object:
        if name == "pillow_heif":
            raise ImportError(name)
        return real_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", no_heif)
    with pytest.raises(ImageError, match="pip install pillow-heif"):
        load_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


@pytest.mark.parametrize("kind", ["GIF", "PNG", pytest.param("WEBP", marks=needs("webp"))])
def test_the_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert (pixels(data) == (255, 0, 0)).all()


def test_paths_as_text_and_as_path(tmp_path: Path) -> None:
    (tmp_path / "图 1.png").write_bytes(encode(NOISE, "PNG"))
    for source in (tmp_path / "图 1.png", str(tmp_path / "图 1.png")):
        assert np.array_equal(np.asarray(load_image(source)), np.asarray(NOISE))


def test_the_name_of_a_file_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(encode(NOISE, "PNG"))
    assert np.array_equal(np.asarray(load_image(tmp_path / "photo.jpg")), np.asarray(NOISE))


# --- orientation and metadata -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", pytest.param("WEBP", marks=needs("webp"))])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(kind: str, orientation: int) -> None:
    """Stored as a camera would store it, every orientation comes back as the same upright picture."""
    upright = Image.new("RGB", (64, 32), "white")
    upright.paste((200, 0, 0), (0, 0, 16, 16))  # only its top left corner is red
    stored = upright if orientation == 1 else upright.transpose(inverse(UPRIGHT[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    best = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98, "subsampling": 0}}
    values = pixels(encode(stored, kind, exif=exif, **best.get(kind, {})))
    assert np.abs(values.astype(int) - np.asarray(upright)).max() < 8


def inverse(method: Image.Transpose) -> Image.Transpose:
    rotations = {
        Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
        Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
    }
    return rotations.get(method, method)


@pytest.mark.parametrize(("orientation", "copies"), [(1, 1), (6, 0)])
def test_a_photograph_is_copied_only_where_it_is_upright_already(
    orientation: int, copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data, copied = encode(NOISE, "JPEG", exif=exif), list[Image.Image]()
    whole = Image.Image.copy
    monkeypatch.setattr(Image.Image, "copy", lambda image: copied.append(image) or whole(image))
    assert is_loaded(load_image(data)) and len(copied) == copies


def test_a_picture_that_was_given_stays_the_callers() -> None:
    given = NOISE.copy()
    given.info["comment"] = "mine"
    loaded = load_image(given)
    assert loaded.tobytes() == given.tobytes() and loaded.im is not given.im and given.info == {"comment": "mine"}


def test_orientation_6_is_a_camera_held_upright() -> None:
    """Orientation 6, spelled out: the stored top left is the top right of the picture."""
    stored = Image.new("RGB", (2, 1), "white")
    stored.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    image = load_image(encode(stored, "PNG", exif=exif))
    assert image.size == (1, 2)
    assert [image.getpixel((0, 0)), image.getpixel((0, 1))] == [(255, 0, 0), (255, 255, 255)]


def test_orientation_counts_for_pil_pictures_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    image = Image.open(io.BytesIO(encode(NOISE, "PNG", exif=exif)))
    assert load_image(image).size == (40, 60)
    assert image.size == (60, 40)  # the caller's picture is left alone


def test_metadata_does_not_stay() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    data = encode(NOISE, "JPEG", exif=exif, comment=b"secret", icc_profile=srgb().tobytes())
    image = load_image(data)
    assert image.info == {} and len(image.getexif()) == 0
    assert b"secret" not in encode(image, "JPEG")


def test_broken_exif_is_no_obstacle() -> None:
    data = encode(NOISE, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(pixels(data), np.asarray(NOISE))


def test_the_result_shares_nothing_with_a_pil_source() -> None:
    source = Image.new("RGB", (4, 4), "white")
    source.info["comment"] = "kept by its owner"
    image = load_image(source)
    image.putpixel((0, 0), (0, 0, 0))
    assert source.getpixel((0, 0)) == (255, 255, 255) and source.info


# --- colours ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mode",
    [
        "1",
        "L",
        "P",
        "RGB",
        "RGBA",
        "RGBX",
        "RGBa",
        "LA",
        "La",
        "PA",
        "CMYK",
        "YCbCr",
        "LAB",
        "HSV",
        "I",
        "F",
        "I;16",
        "I;16B",
        "I;16L",
    ],
)
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new(mode, (5, 3))
    result = load_image(image)
    assert (result.mode, result.size) == ("RGB", (5, 3))


@pytest.mark.parametrize(
    ("mode", "tolerance"), [("RGBX", 0), ("YCbCr", 3), ("HSV", 6), ("CMYK", 1), ("LAB", 20), ("RGBA", 0)]
)
def test_colour_spaces_keep_the_colour(mode: str, tolerance: int) -> None:
    if mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(STRIPES, srgb(), lab, outputMode="LAB")
    else:
        image = STRIPES.convert(mode)
    assert np.abs(pixels(image).astype(int) - np.asarray(STRIPES)).max() <= tolerance


def test_cmyk_jpeg_as_adobe_writes_it() -> None:
    data = encode(Image.new("CMYK", (16, 16), (0, 200, 200, 20)), "JPEG", quality=95)
    assert b"Adobe" in data
    red, green, blue = pixels(data).reshape(-1, 3).astype(int).mean(0)
    assert red > 200 and green < 80 and blue < 80


@pytest.mark.parametrize("alpha", [0, 1, 64, 127, 128, 200, 254, 255])
def test_alpha_is_composited_on_white(alpha: int) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = np.rint((values.astype(float) * alpha + 255.0 * (255 - alpha)) / 255)
    opacity = np.full_like(values, alpha)
    rgba = Image.fromarray(np.dstack([values, values, values, opacity]))
    grey = Image.fromarray(np.dstack([values, opacity]))
    for image in (rgba, grey):
        for source in (image, encode(image, "PNG")):
            assert (pixels(source) == expected[..., None]).all()


def test_palette_transparency_is_composited_on_white() -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8)).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    by_index = pixels(encode(image, "PNG", transparency=1))
    assert by_index.tolist() == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]
    by_table = pixels(encode(image, "PNG", transparency=bytes([255, 51, 0])))
    assert by_table.tolist() == [[[255, 0, 0], [204, 255, 204], [255, 255, 255]]]
    assert pixels(encode(image, "GIF", transparency=0))[0, 0].tolist() == [255, 255, 255]


def test_a_transparent_colour_is_composited_on_white() -> None:
    image = Image.new("RGB", (2, 1), (9, 8, 7))
    image.putpixel((1, 0), (1, 2, 3))
    assert pixels(encode(image, "PNG", transparency=(9, 8, 7))).tolist() == [[[255] * 3, [1, 2, 3]]]


def test_16_bit_is_scaled_not_clipped() -> None:
    values = np.array([[0, 128, 129, 257, 40000, 65535]], dtype=np.uint16)
    expected = [0, 0, 1, 1, 156, 255]  # 40000 / 257 = 155.6
    for kind in ("PNG", "TIFF"):
        data = encode(Image.fromarray(values), kind)
        assert Image.open(io.BytesIO(data)).mode.startswith("I;16")
        assert pixels(data)[0, :, 0].tolist() == expected
    big_endian = Image.frombytes("I;16B", (6, 1), values.astype(">u2").tobytes())
    assert pixels(big_endian)[0, :, 1].tolist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 128.0, 255.0], [0, 128, 255]),
        ([0.0, 40000.0, 65535.0], [0, 156, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([0.0, 50_000.0, 100_000.0], [0, 128, 255]),
        ([float("nan"), 0.25, float("inf")], [0, 64, 255]),
        ([float("nan"), float("nan"), float("nan")], [0, 0, 0]),
        ([-7.0, -7.0, -7.0], [0, 0, 0]),
        ([-3e38, 3e38, 3e38], [0, 255, 255]),
    ],
)
def test_floats_are_scaled_by_their_range(values: list[float], expected: list[int]) -> None:
    image = Image.fromarray(np.array([values], dtype=np.float32))
    assert pixels(encode(image, "TIFF"))[0, :, 0].tolist() == expected


def test_32_bit_integers_are_scaled_by_their_range() -> None:
    for values, expected in (
        ([0, 100, 255], [0, 100, 255]),
        ([-100, 0, 100], [0, 128, 255]),
        ([0, 514, 65535], [0, 2, 255]),
    ):
        image = Image.fromarray(np.array([values], dtype=np.int32))
        assert pixels(encode(image, "TIFF"))[0, :, 0].tolist() == expected


# --- colour profiles --------------------------------------------------------------------------------------


def srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def swapped_profile() -> bytes:
    """An sRGB profile under another name whose red and blue primaries are exchanged."""
    profile = bytearray(srgb().tobytes())
    count = struct.unpack(">I", profile[128:132])[0]
    for entry in range(132, 132 + 12 * count, 12):
        tag = bytes(profile[entry : entry + 4])
        if tag in (b"rXYZ", b"bXYZ"):
            profile[entry : entry + 4] = b"bXYZ" if tag == b"rXYZ" else b"rXYZ"
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "Swap".encode("utf-16-be"))


def test_a_colour_profile_is_applied() -> None:
    data = encode(Image.new("RGB", (4, 4), (255, 0, 0)), "PNG", icc_profile=swapped_profile())
    red, green, blue = pixels(data)[0, 0].tolist()
    assert red < 10 and green < 10 and blue > 245
    transparent = encode(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), "PNG", icc_profile=swapped_profile())
    assert (pixels(transparent) == 255).all()


@pytest.mark.parametrize(
    "profile",
    [b"", b"nonsense", b"\0" * 500, swapped_profile()[:200], srgb().tobytes()],
    ids=["none", "nonsense", "zeros", "cut", "sRGB"],  # a profile holds the time at which it was made
)
@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "CMYK", "I;16"])
def test_a_useless_profile_changes_nothing(profile: bytes, mode: str) -> None:
    image = Image.new(mode, (3, 3), 77)
    plain = pixels(image)
    image.info["icc_profile"] = profile
    assert np.array_equal(pixels(image), plain)


# --- limits -----------------------------------------------------------------------------------------------


def png_header(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9000, 12_000, 20_000, 1_000_000])
def test_a_bomb_is_refused_before_decoding(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = png_header(side, side, zlib.compress(bytes(12_000_000)))
    assert len(bomb) < 20_000

    def decoded(*_: object) -> None:
        raise AssertionError("a pixel was decoded")

    monkeypatch.setattr(Image.Image, "load", decoded)
    with pytest.raises(ImageError, match="pixels"):
        load_image(bomb)


def test_the_pixel_limit_is_exact() -> None:
    limits = Limits(max_pixels=60 * 40)
    assert load_image(NOISE, limits=limits).size == (60, 40)
    assert load_image(encode(NOISE, "PNG"), limits=limits).size == (60, 40)
    with pytest.raises(ImageError, match="60x41 px"):
        load_image(Image.new("RGB", (60, 41)), limits=limits)


@pytest.mark.parametrize("size", [(65_535, 1), (1, 65_535)])
def test_the_limit_of_a_side_is_exact(size: tuple[int, int]) -> None:
    assert load_image(encode(Image.new("L", size), "PNG")).size == size
    with pytest.raises(ImageError, match="the limit of a side is 65,535 px"):
        load_image(encode(Image.new("L", (size[0] + 1, size[1] + 1)), "PNG"))


def test_what_is_loaded_is_known(tmp_path: Path) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    assert is_loaded(load_image(tmp_path / "a.png"))
    with Image.open(tmp_path / "a.png") as lazy:
        assert not is_loaded(lazy)
    assert not is_loaded(Image.new("RGBA", (4, 3)))


def test_the_byte_limit_is_exact(tmp_path: Path) -> None:
    data = encode(NOISE, "PNG")
    (tmp_path / "big.png").write_bytes(data)
    for source in (data, tmp_path / "big.png"):
        load_image(source, limits=Limits(max_bytes=len(data)))
        with pytest.raises(ImageError, match=r"limit is 0\.0"):
            load_image(source, limits=Limits(max_bytes=len(data) - 1))


def test_an_oversized_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(60_000_000)  # sparse: takes no space
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("the file was opened"))
    with pytest.raises(ImageError, match=r"'huge\.png' has 60\.0 MB and the limit is 50 MB"):
        load_image(tmp_path / "huge.png")


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(ImageError, match="0x5 px"):
        load_image(Image.new("RGB", (0, 5)))


# --- everything that is not a picture ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"%PDF-1.7 ...", "damaged"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        ("\ufeff<svg/>".encode(), "SVG"),
        (b"Just some text.\n", "is text"),
        ("只是文字。".encode() * 100, "is text"),
        (b"\0\0\0\x20ftypisom\0\0\0\0" + bytes(99), "video"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "damaged"),
        (b"\xff\xd8\xff", "damaged"),
        (b"\0\0\0\x18ftypavif", "damaged"),
        (bytes(range(256)), "known kind"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is text"),
    ],
)
def test_other_files_are_named_for_what_they_are(data: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=words):
        load_image(data)
    (tmp_path / "thing.jpg").write_bytes(data)
    with pytest.raises(ImageError, match=f"^'thing.jpg' .*{words}"):
        load_image(tmp_path / "thing.jpg")


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        "JPEG",
        "PNG",
        "GIF",
        "BMP",
        "TIFF",
        "PPM",
        pytest.param("WEBP", marks=needs("webp")),
        pytest.param("AVIF", marks=needs("avif")),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    data = encode(NOISE.resize((300, 200)), kind)
    with pytest.raises(ImageError, match="damaged or incomplete"):
        load_image(data[: int(len(data) * share)])


def test_a_png_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ImageError, match="damaged"):
        load_image(png_header(100, 100, zlib.compress(b"short")))


def test_places_that_hold_no_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder"):
        load_image(tmp_path)
    with pytest.raises(ImageError, match=r"There is no file 'missing\.png'"):
        load_image(tmp_path / "missing.png")
    for path in ("a\0b.png", "x" * 5000, "/dev/null", "http://example.com/cat.png", ""):
        with pytest.raises(ImageError):
            load_image(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not a regular file"):
        load_image(tmp_path / "pipe.png")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.png").write_bytes(b"x")

    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(ImageError, match=r"'mine\.png' may not be read"):
        load_image(tmp_path / "mine.png")


def test_other_types_are_refused() -> None:
    for source in (None, 7, np.zeros((4, 4, 3), np.uint8), [NOISE]):
        with pytest.raises(ImageError, match="must be a file, bytes or a PIL image"):
            load_image(source)  # type: ignore[arg-type]


def test_a_closed_picture_is_refused() -> None:
    image = Image.open(io.BytesIO(encode(NOISE, "PNG")))
    image.close()
    with pytest.raises(ImageError):
        load_image(image)


STARTS = [
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"RIFF\x10\0\0\0WEBPVP8 ",
]
STARTS += [b"P6 3 3 255\n", b"\0\0\0\x18ftypavif", b"\0\0\0\x18ftypheic"]


@pytest.mark.filterwarnings("ignore")
@given(st.sampled_from(STARTS), st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_are_a_picture_or_an_image_error(start: bytes, rest: bytes) -> None:
    try:
        image = load_image(start + rest)
    except ImageError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
    else:
        assert image.mode == "RGB"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@given(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF"]), st.data())
@settings(max_examples=200, deadline=None)
def test_damaged_files_are_a_picture_or_an_image_error(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(encode(NOISE, kind))
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, min(len(damaged), 400) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ImageError):
        assert load_image(bytes(damaged)).mode == "RGB"


def test_a_large_jpeg_is_reduced_while_it_is_decoded() -> None:
    limits, photo = Limits(max_pixels=10_000), Image.linear_gradient("L").resize((181, 160)).convert("RGB")
    turned = Image.Exif()
    turned[0x0112] = 6
    for data, size in (
        (encode(photo, "JPEG"), (91, 80)),
        (encode(photo, "JPEG", exif=turned), (80, 91)),
        (encode(photo.resize((141, 140)), "JPEG", progressive=True), (71, 70)),
        (encode(photo.resize((100, 100)), "JPEG"), (100, 100)),
        (encode(photo.resize((201, 199)), "JPEG"), (101, 100)),  # a row more than a quarter of its pixels
    ):
        image = ImageRef.of(data, limits=limits)
        assert image.size == image.open().size == load_image(data, limits=limits).size == size
        whole = np.asarray(load_image(data).resize(size, Image.Resampling.BOX)).astype(int)
        assert np.abs(whole - np.asarray(image.open())).mean() < 3
        assert min(image.open_small(40).size) >= 40
    for data, most in (
        (encode(photo.resize((201, 200)), "JPEG"), 0.04),
        (encode(photo.resize((142, 142)), "JPEG", progressive=True), 0.02),
    ):
        with pytest.raises(ImageError, match=rf"the limit is {most} megapixels"):
            load_image(data, limits=limits)


def encode_heif(image: Image.Image, **options: object) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, **options)
    return buffer.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PNG", "HEIF", "AVIF", "WEBP", "TIFF", "BMP", "PPM"])
def test_another_large_picture_is_halved_in_another_process(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "HEIF":
        data = encode_heif(PHOTO, quality=95)
    else:
        if kind in ("AVIF", "WEBP") and not features.check(kind.lower()):
            pytest.skip(f"this Pillow has no {kind}")
        data = encode(PHOTO, kind, **({"quality": 95} if kind in ("AVIF", "WEBP") else {}))
    whole = load_image(data)
    limits = Limits(max_pixels=10_000)
    ref = ImageRef.of(data, limits=limits)
    monkeypatch.setattr(Image.Image, "reduce", lambda *_: pytest.fail("halved in this process"))
    assert ref.size == (71, 70)
    shown = ref.open()
    assert shown.size == ref.open_small(40).size == load_image(data, limits=limits).size == (71, 70)
    monkeypatch.undo()
    assert np.array_equal(np.asarray(shown), np.asarray(whole.reduce(2)))


@pytest.mark.slow
def test_a_halved_picture_is_upright_opaque_and_in_srgb() -> None:
    limits, exif = Limits(max_pixels=10_000), Image.Exif()
    exif[0x0112] = 6
    clear = PHOTO.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(PHOTO.size))
    palette = PHOTO.quantize(16)
    deep = Image.fromarray(np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257)
    for image in (clear, palette, deep, PHOTO.convert("1")):
        data = encode(image, "PNG", exif=exif)
        ref, whole = ImageRef.of(data, limits=limits), load_image(data)
        assert ref.size == (70, 71)
        assert np.array_equal(np.asarray(ref.open()), np.asarray(whole.reduce(2)))


@pytest.mark.slow
def test_a_page_of_a_large_tiff_is_halved() -> None:
    data = encode(NOISE, "TIFF", save_all=True, append_images=[PHOTO.convert("YCbCr")])
    ref, whole = ImageRef.of(data, frame=1, limits=Limits(max_pixels=10_000)), ImageRef.of(data, frame=1)
    assert ref.size == (71, 70)
    assert np.array_equal(np.asarray(ref.open()), np.asarray(whole.open().reduce(2)))


@pytest.mark.slow
def test_a_large_picture_that_is_damaged_is_refused() -> None:
    data = encode(PHOTO, "PNG")
    ref = ImageRef.of(data[: len(data) // 2], limits=Limits(max_pixels=10_000))
    with pytest.raises(ImageError, match="The picture is damaged or incomplete"):
        ref.open()


def test_a_picture_beyond_what_is_halved_is_refused() -> None:
    limits = Limits(max_pixels=10_000)
    for data, most in (
        (encode(PHOTO.resize((142, 142)), "PNG"), 0.02),
        (encode(PHOTO, "JPEG2000"), 0.01),
        (encode(PHOTO, "GIF"), 0.01),
        (encode(PHOTO, "PNG", save_all=True, append_images=[PHOTO.rotate(9)]), 0.01),
    ):
        with pytest.raises(ImageError, match=rf"the limit is {most} megapixels"):
            ImageRef.of(data, limits=limits)
    with pytest.raises(ImageError, match=r"the limit is 0\.01 megapixels"):
        load_image(PHOTO, limits=limits)
    assert load_image(PHOTO, limits=Limits(max_pixels=20_000)).size == PHOTO.size
