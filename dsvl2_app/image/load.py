"""Untrusted bytes, a path or a PIL picture -> an upright, opaque RGB picture without metadata.

Size limits are checked before any pixel is decoded, and everything that can be wrong with a file ends in
an `ImageError` whose sentence a person understands. The EXIF orientation is applied here, once, so that the
model, its boxes and the drawings share one orientation.
"""

from __future__ import annotations

import codecs
import hashlib
import stat
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np
from PIL import Image, ImageCms

from dsvl2_app.errors import ImageError

LONGEST_SIDE = 2**16 - 1  # px, as in a JPEG; a picture that is all length costs more than its pixels say
# Named one by one, because Pillow also opens formats that run other programs (EPS) or match any bytes (TGA).
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000", "PPM")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
PICTURE_STARTS = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP")

UPRIGHT = {  # EXIF orientation -> what undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION_TAG = 0x0112
HASHED = 2**18  # px at a time: memory for the whole of a large picture takes longer to get than to hash


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest picture that is accepted: bytes of the file, and pixels once decoded."""

    max_bytes: int = 50_000_000
    max_pixels: int = 40_000_000


def load_image(source: bytes | str | Path | Image.Image, *, limits: Limits = Limits()) -> Image.Image:
    """The picture at `source` (its first frame) in RGB, or an `ImageError` that says what to do."""
    if isinstance(source, Image.Image):
        return _decode(source, "The picture", limits)
    if isinstance(source, bytes):
        _check_bytes(len(source), "The picture", limits)
        return _decode(_open(source, "The picture"), "The picture", limits)
    if isinstance(source, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may have no checker
        name = repr(Path(source).name or str(source))
        return _decode(_open(_read(Path(source), name, limits), name), name, limits)
    raise ImageError("A picture must be a file, bytes or a PIL image, not {kind}.", kind=type(source).__name__)


def is_loaded(source: object) -> TypeGuard[Image.Image]:
    """Whether it is as `load_image` leaves a picture, which then need not be copied or measured again."""
    return type(source) is Image.Image and source.mode == "RGB" and not source.info


def content_hash(image: Image.Image) -> bytes:
    """A key that two pictures share exactly when their mode, size and pixels are the same; nobody can make a second
    picture with the key of another's."""
    width, height = image.size
    digest, rows = hashlib.blake2b(f"{image.mode} {width}x{height} ".encode(), digest_size=16), max(1, HASHED // width)
    for top in range(0, height, rows):
        digest.update(image.crop((0, top, width, min(top + rows, height))).tobytes())
    return digest.digest()


def _read(path: Path, name: str, limits: Limits) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError("{name} is a folder; choose a picture in it.", name=name)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("{name} is not a regular file; choose a picture file.", name=name)
        _check_bytes(status.st_size, name, limits)
        with path.open("rb") as file:
            return file.read(limits.max_bytes)
    except FileNotFoundError:
        raise ImageError("There is no file {name}; check the path.", name=name) from None
    except PermissionError:
        raise ImageError("{name} may not be read; change its permissions or choose another file.", name=name) from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ImageError("{name} cannot be opened ({reason}); check the path.", name=name, reason=str(error)) from None


def _check_bytes(size: int, name: str, limits: Limits) -> None:
    if size == 0:
        raise ImageError("{name} is empty (0 bytes); choose another file.", name=name)
    if size > limits.max_bytes:
        raise ImageError(
            "{name} has {size:.1f} MB and the limit is {most:g} MB; save it smaller or with more compression.",
            name=name,
            size=size / 1e6,
            most=limits.max_bytes / 1e6,
        )


def _open(data: bytes, name: str) -> Image.Image:
    """The header only; no pixel is decoded yet."""
    try:
        return Image.open(BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError("{name} has far too many pixels; make it smaller.", name=name) from None
    except Exception:  # whatever a decoder makes of hostile bytes
        if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
            return _open_heif(data, name)
        raise _explain(data, name) from None


def _open_heif(data: bytes, name: str) -> Image.Image:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(
            "{name} is a HEIC picture, which needs one more package: "
            "run `pip install pillow-heif`, or save the picture as JPEG or PNG.",
            name=name,
        ) from None
    pillow_heif.register_heif_opener()  # pyright: ignore[reportUnknownMemberType]
    try:
        return Image.open(BytesIO(data), formats=("HEIF",))
    except Exception:
        raise _explain(data, name) from None


def _explain(data: bytes, name: str) -> ImageError:
    """What bytes that no decoder takes are."""
    start = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n")
    brand = start[8:12] if start[4:8] == b"ftyp" else None
    if start.startswith(PICTURE_STARTS) or brand in (b"avif", *HEIF_BRANDS):
        return ImageError("{name} is damaged or incomplete; save or send it again.", name=name)
    if start.startswith(b"%PDF"):
        return ImageError("{name} is a PDF document; save the page as PNG or JPEG first.", name=name)
    if b"<svg" in start.lower():
        return ImageError("{name} is an SVG drawing; export it as PNG first.", name=name)
    if brand:
        return ImageError("{name} is a video; save a still from it as PNG or JPEG first.", name=name)
    if b"\0" not in start and _is_text(start):
        return ImageError(
            "{name} is text, not a picture; choose a JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF file.", name=name
        )
    return ImageError(
        "{name} is not a picture of a known kind; choose a JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF file.", name=name
    )


def _is_text(start: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)  # a character may be cut in two at the end
    except UnicodeDecodeError:
        return False
    return True


def _decode(image: Image.Image, name: str, limits: Limits) -> Image.Image:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(
            "{name} is {width}x{height} px; both sides need at least 1 px.", name=name, width=width, height=height
        )
    if max(width, height) > LONGEST_SIDE:
        raise ImageError(
            "{name} is {width}x{height} px and the limit of a side is {limit:,} px; cut it into pieces.",
            name=name,
            width=width,
            height=height,
            limit=LONGEST_SIDE,
        )
    if width * height > limits.max_pixels:
        raise ImageError(
            "{name} is {width}x{height} px ({megapixels:.1f} megapixels) and the limit is {most:g} megapixels; "
            "make it smaller.",
            name=name,
            width=width,
            height=height,
            megapixels=width * height / 1e6,
            most=limits.max_pixels / 1e6,
        )
    try:
        image.load()
        orientation = _orientation(image)
        rgb = _to_rgb(image)
    except Exception:  # whatever a decoder makes of hostile bytes; truncated files end here, too
        raise ImageError("{name} is damaged or incomplete; save or send it again.", name=name) from None
    upright = rgb.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else rgb
    upright.info = {}
    return upright


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # a picture with broken metadata is still a picture
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """A picture of its own, never the one given."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image = Image.fromarray(_scale_16_bit(np.asarray(image)))
    elif image.mode in ("I", "F"):
        image = Image.fromarray(_scale_range(np.asarray(image)))
    elif image.has_transparency_data:
        image = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
    elif image.mode == "LAB":
        profile = ImageCms.ImageCmsProfile(_make_profile("LAB")).tobytes()
    elif image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    if profile:
        image = _to_srgb(image, profile)
    if image.mode == "RGBA":
        opaque = Image.new("RGB", image.size, "white")
        opaque.paste(image, mask=image)
        return opaque
    return image.convert("RGB")


def _make_profile(space: Literal["LAB", "sRGB"]) -> Any:
    return ImageCms.createProfile(space)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Through the picture's ICC profile; a profile that is broken or of other channels is ignored."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(image, source, _make_profile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return image
    return image if converted is None else converted


def _scale_16_bit(values: np.ndarray) -> np.ndarray:
    """0..65535 -> 0..255, rounded; 65535 / 257 is 255."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _scale_range(values: np.ndarray) -> np.ndarray:
    """32-bit integers or floats -> 0..255. Such files do not say what is white, so the values do: 1, 255 or
    65535 where none is larger (nor negative), else the smallest value is black and the largest white."""
    values = values.astype(np.float32)
    finite = np.isfinite(values)
    low = float(values.min(where=finite, initial=np.inf))
    high = float(values.max(where=finite, initial=-np.inf))
    if low > high:  # nothing finite
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 65535:
        low, high = 0.0, next(white for white in (1.0, 255.0, 65535.0) if high <= white)
    np.nan_to_num(values, copy=False, nan=low, posinf=high, neginf=low)
    with np.errstate(over="ignore"):  # a range beyond float32 saturates
        values -= low
    values *= 255 / max(high - low, 1e-30)
    return np.rint(values).clip(0, 255).astype(np.uint8)
