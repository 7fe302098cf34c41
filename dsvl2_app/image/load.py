"""Untrusted bytes, a path or a PIL picture -> an upright, opaque RGB picture without metadata.

Size limits are checked before any pixel is decoded, and everything that can be wrong with a file ends in
an `ImageError` whose sentence a person understands. The EXIF orientation is applied here, once, so that the
model, its boxes and the drawings share one orientation.
"""

from __future__ import annotations

import codecs
import stat
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeGuard

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from dsvl2_app.errors import ImageError, explain
from dsvl2_app.image.colour import to_rgb
from dsvl2_app.image.documents import is_document, render_page
from dsvl2_app.image.page_kinds import explain_missing, name_kind
from dsvl2_app.image.pixels import SlowPictureError, UnreadPictureError, give_back, load_pixels, taking_turns

LONGEST_SIDE = 2**16 - 1  # px, as in a JPEG; a picture that is all length costs more than its pixels say
MOST_REDUCED = 4  # times the limit of pixels that a JPEG may have which is reduced as it is decoded
MOST_HALVED = 2  # and another, or a progressive JPEG, all of whose pixels are in memory before it has half of its sides
HALVED = ("PNG", "HEIF", "AVIF", "WEBP", "TIFF", "BMP", "PPM")  # not JPEG 2000, which is slow
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
TURNED = (5, 6, 7, 8)  # orientations that swap width and height
ORIENTATION_TAG = 0x0112
TURNING_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")  # keywords of a PNG's texts


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest picture that is accepted: bytes of the file, and pixels once decoded."""

    max_bytes: int = 50_000_000
    max_pixels: int = 40_000_000


USUAL = Limits()


def load_image(source: bytes | str | Path | Image.Image, *, limits: Limits = USUAL) -> Image.Image:
    """The picture at `source` (its first frame) in RGB, or an `ImageError` that says what to do; a `ResourceError`
    where memory ran out."""
    if isinstance(source, Image.Image):
        _check_size(source, "The picture", limits.max_pixels)
        return decode(source, "The picture", limits)
    data, name = read_source(source, limits), name_source(source)
    return render_page(data, name, 0) if is_document(data) else decode(read_header(data, name, limits), name, limits)


def is_loaded(source: object) -> TypeGuard[Image.Image]:
    """Whether it is as `load_image` leaves a picture, which then need not be copied or measured again."""
    return type(source) is Image.Image and source.mode == "RGB" and not source.info


def name_source(source: bytes | str | Path) -> str:
    """What error sentences call it; never a whole path."""
    return "The picture" if isinstance(source, bytes) else repr(Path(source).name or str(source))


def read_source(source: bytes | str | Path, limits: Limits) -> bytes:
    """The bytes of a file, which are checked for their number before they are read."""
    if isinstance(source, bytes):
        _check_bytes(len(source), name_source(source), limits)
        return source
    if not isinstance(source, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may have no checker
        raise ImageError("A picture must be a file, bytes or a PIL image, not {kind}.", kind=type(source).__name__)
    path, name = Path(source), name_source(source)
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


def read_header(data: bytes, name: str, limits: Limits, frame: int = 0) -> Image.Image:
    """The picture within limits, none of its pixels decoded yet; but those of an animation's frames before `frame`,
    which Pillow draws one over the other. A JPEG beyond `max_pixels` has half of its sides already; others that are let
    in beyond it will have in `decode`."""
    image = _open(data, name)
    _check_size(image, name, _count_most(image, limits))
    if isinstance(image, JpegImageFile) and image.width * image.height > limits.max_pixels:
        image.draft(None, (max(1, image.width // 2), max(1, image.height // 2)))
    if frame:
        try:
            image.seek(frame)
        except EOFError:
            raise explain_missing(name_kind(image), name, frame + 1) from None
        except Exception:  # whatever a decoder makes of hostile bytes
            raise _explain_damage(name) from None
        _check_size(image, name, _count_most(image, limits))
    return image


def is_halved(image: Image.Image, limits: Limits) -> bool:
    """Whether `decode` gives half of the sides that its header says."""
    return image.format in HALVED and image.width * image.height > limits.max_pixels


def _count_most(image: Image.Image, limits: Limits) -> int:
    """Pixels that a file of its kind may have: more than the limit where half of its sides will do."""
    if isinstance(image, JpegImageFile):
        return limits.max_pixels * (MOST_HALVED if image.info.get("progressive") else MOST_REDUCED)
    animated = image.format not in ("TIFF", "HEIF") and getattr(image, "is_animated", False)
    return limits.max_pixels * (MOST_HALVED if image.format in HALVED and not animated else 1)


def _open(data: bytes, name: str) -> Image.Image:
    try:
        return Image.open(BytesIO(data), formats=FORMATS)
    except MemoryError as error:
        raise explain(error) from None
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
        return _explain_damage(name)
    if b"<svg" in start.lower():
        return ImageError("{name} is an SVG drawing; export it as PNG first.", name=name)
    if brand:
        return ImageError("{name} is a video; save a still from it as PNG or JPEG first.", name=name)
    if b"\0" not in start and _is_text(start):
        return ImageError(
            "{name} is text, not a picture; choose a JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP, TIFF or PDF file.",
            name=name,
        )
    return ImageError(
        "{name} is not a picture of a known kind; choose a JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP, TIFF or PDF file.",
        name=name,
    )


def _explain_damage(name: str) -> ImageError:
    return ImageError("{name} is damaged or incomplete; save or send it again.", name=name)


def _is_text(start: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)  # a character may be cut in two at the end
    except UnicodeDecodeError:
        return False
    return True


def _check_size(image: Image.Image, name: str, most: int) -> None:
    """Refuse a picture without pixels, with more than `most`, or with too long a side."""
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
    if width * height > most:
        raise ImageError(
            "{name} is {width}x{height} px ({megapixels:.1f} megapixels) and the limit is {most:g} megapixels; "
            "make it smaller.",
            name=name,
            width=width,
            height=height,
            megapixels=width * height / 1e6,
            most=most / 1e6,
        )


def decode(image: Image.Image, name: str, limits: Limits, side: int | None = None) -> Image.Image:
    """The pixels of a picture of which the header is read: upright, opaque, in RGB; beyond `max_pixels` at half of its
    sides; with `side` of a smaller one that is still that long, where the format gives it for less. Raises ImageError,
    or ResourceError where memory ran out."""
    try:
        with taking_turns(image):
            halved = is_halved(image, limits)
            pixels = load_pixels(image, side, halved)
            orientation = 1 if halved else _orientation(image)
            rgb = to_rgb(pixels)
            turned = rgb.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else rgb
            upright = turned.copy() if turned is image else turned  # which is the caller's, or a file's with its bytes
    except SlowPictureError:
        raise ImageError("{name} takes too long to decode; save it as JPEG or PNG.", name=name) from None
    except UnreadPictureError:
        raise ImageError(
            "{name} is an uncompressed TIFF whose YCbCr colours are subsampled, which is not supported; "
            "save it as JPEG or PNG.",
            name=name,
        ) from None
    except MemoryError as error:
        raise explain(error) from None
    except Exception:  # whatever a decoder makes of hostile bytes; truncated files end here, too
        raise _explain_damage(name) from None
    upright.info = {}
    give_back(upright)
    return upright


def upright_size(image: Image.Image, data: bytes, limits: Limits) -> tuple[int, int]:
    """Width and height in px that `decode` will give a picture of which the header is read; `data` is its file."""
    width, height = _turned_size(image, data)
    return ((width + 1) // 2, (height + 1) // 2) if is_halved(image, limits) else (width, height)


def _turned_size(image: Image.Image, data: bytes) -> tuple[int, int]:
    if ORIENTATION_TAG in getattr(image, "tag_v2", ()):  # of a TIFF, which Pillow has turned already
        return image.size
    if image.format == "PNG" and _ends_with_metadata(data):
        with suppress(Exception), taking_turns(image):  # what is wrong with the pixels is said when they are wanted
            image.load()
    width, height = image.size
    return (height, width) if _orientation(image) in TURNED else (width, height)


def _ends_with_metadata(data: bytes) -> bool:
    """Whether a PNG may say behind its pixels, where Pillow looks only after decoding them, how it is turned."""
    place, behind = 8, False
    while (kind := data[place + 4 : place + 8]) and kind != b"IEND":
        behind = behind or kind == b"IDAT"
        if behind and (kind == b"eXIf" or data.startswith(TURNING_TEXTS, place + 8)):
            return True
        place += int.from_bytes(data[place : place + 4], "big") + 12
    return False


def _orientation(image: Image.Image) -> int:
    try:
        return Image.Image.getexif(image).get(ORIENTATION_TAG, 1)  # a PNG's own would decode it first
    except Exception:  # a picture with broken metadata is still a picture
        return 1
