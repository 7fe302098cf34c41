"""Pictures of pages and their text -> a searchable PDF: the picture in sight, the text behind it, to be found.

The text is drawn invisibly, in a font that is not there: its codes are UTF-16, and a table says what they mean, which
is all that a reader needs to search (ISO 32000-1, 9.7 and 9.10).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

QUALITY = 80  # of the JPEGs
DPI = 144  # of pictures whose size on paper is not known
LARGEST = 14_400  # points that PDF allows a side
# Codes are UTF-16, so each means itself.
_MEANINGS = b"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def /CMapType 2 def
1 begincodespacerange <0000> <FFFF> endcodespacerange
1 beginbfrange <0000> <FFFF> <0000> endbfrange
endcmap CMapName currentdict /CMap defineresource pop end end"""


@dataclass(frozen=True, slots=True)
class Line:
    """Where a line of text stands: left, top, right, bottom as shares of the page."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Leaf:
    """A page."""

    image: Image.Image  # RGB
    points: tuple[float, float] | None  # width and height on paper
    lines: Sequence[Line]


def spread(text: str) -> list[Line]:
    """Lines whose places are not known, one below the other over the whole page."""
    lines = [line for line in text.split("\n") if line.strip()]
    height = 0.9 / max(1, len(lines))
    return [Line(line, 0.05, 0.05 + height * at, 0.95, 0.05 + height * (at + 1)) for at, line in enumerate(lines)]


def write_searchable(leaves: Iterable[Leaf], title: str = "") -> bytes:
    """The PDF. `leaves` are taken one at a time, so that only one picture needs to be in memory."""
    out, places = BytesIO(b""), [0]
    out.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")

    def add(head: str, data: bytes | None = None, number: int = 0) -> int:
        """An object, with a stream if there are `data`; returns its number."""
        if not number:
            places.append(0)
            number = len(places) - 1
        places[number] = out.tell()
        body = head if data is None else f"{head[:-2]} /Length {len(data)} >>"
        out.write(f"{number} 0 obj\n{body}\n".encode("latin-1"))
        if data is not None:
            out.write(b"stream\n" + data + b"\nendstream\n")
        out.write(b"endobj\n")
        return number

    places += [0, 0]  # 1: the catalogue, 2: the tree of pages
    font = _add_font(add)
    pages: list[int] = []
    for leaf in leaves:
        width, height = _measure(leaf)
        picture = add(*_encode(leaf.image))
        drawn = f"q {width:.2f} 0 0 {height:.2f} 0 0 cm /P Do Q\nBT 3 Tr\n".encode()
        drawn += b"".join(_draw(line, width, height) for line in leaf.lines) + b"ET\n"
        content = add("<< /Filter /FlateDecode >>", zlib.compress(drawn))
        resources = f"<< /XObject << /P {picture} 0 R >> /Font << /F {font} 0 R >> >>"
        box = f"/MediaBox [0 0 {width:.2f} {height:.2f}]"
        pages.append(add(f"<< /Type /Page /Parent 2 0 R {box} /Resources {resources} /Contents {content} 0 R >>"))
    kids = " ".join(f"{page} 0 R" for page in pages)
    add(f"<< /Type /Pages /Count {len(pages)} /Kids [{kids}] >>", number=2)
    add("<< /Type /Catalog /Pages 2 0 R >>", number=1)
    info = add(f"<< /Title <{_hex(title, mark=True)}> /Producer (dsvl2) >>")
    start = out.tell()
    out.write(f"xref\n0 {len(places)}\n0000000000 65535 f \n".encode())
    out.write(b"".join(f"{place:010} 00000 n \n".encode() for place in places[1:]))
    out.write(f"trailer\n<< /Size {len(places)} /Root 1 0 R /Info {info} 0 R >>\nstartxref\n{start}\n%%EOF\n".encode())
    return out.getvalue()


def _add_font(add: Callable[..., int]) -> int:
    meanings = add("<< /Filter /FlateDecode >>", zlib.compress(_MEANINGS))
    about = "/Flags 4 /FontBBox [0 -200 1000 800] /ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700 /StemV 80"
    described = add(f"<< /Type /FontDescriptor /FontName /Unseen {about} >>")
    system = "/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>"
    below = add(
        f"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Unseen {system} /FontDescriptor {described} 0 R "
        "/DW 500 /CIDToGIDMap /Identity >>"
    )
    return add(
        "<< /Type /Font /Subtype /Type0 /BaseFont /Unseen /Encoding /Identity-H "
        f"/DescendantFonts [{below} 0 R] /ToUnicode {meanings} 0 R >>"
    )


def _measure(leaf: Leaf) -> tuple[float, float]:
    width, height = leaf.points or (72 * leaf.image.width / DPI, 72 * leaf.image.height / DPI)
    share = min(1.0, LARGEST / max(width, height))
    return max(1.0, width * share), max(1.0, height * share)


def _encode(image: Image.Image) -> tuple[str, bytes]:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    size = f"/Width {image.width} /Height {image.height}"
    return (
        f"<< /Type /XObject /Subtype /Image {size} /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /DCTDecode >>",
        stream.getvalue(),
    )


def _draw(line: Line, width: float, height: float) -> bytes:
    """Each code is half as wide as its font is high; the line is stretched to its place."""
    size = max(1.0, min(72.0, 0.8 * (line.bottom - line.top) * height))
    letters = line.text.replace("\t", " ")
    stretch = 100 * (line.right - line.left) * width / max(0.5 * size * max(1, len(letters)), 0.01)
    left, base = line.left * width, height - (line.top + 0.8 * (line.bottom - line.top)) * height
    return f"/F {size:.2f} Tf {stretch:.2f} Tz 1 0 0 1 {left:.2f} {base:.2f} Tm <{_hex(letters)}> Tj\n".encode()


def _hex(text: str, *, mark: bool = False) -> str:
    return (("\ufeff" if mark else "") + text).encode("utf-16-be", "replace").hex().upper()
