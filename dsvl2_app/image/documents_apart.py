"""The process that parses a PDF: the file comes on its standard input, what is wanted as JSON in its argument.

{"most": N} asks for the pages: {"pages": [[width, height], ...]} in points. {"pages": [[N, S], ...]} asks for pages by
their numbers and scales: for each a line [width, height] and the pixels, RGB. {"texts": [N, ...], "letters": M} asks
for the text of pages, of each M letters at most: ["...", ...]. {"with_text": [N, ...]} asks for the number of the
first of these pages that has any, or null. What is wrong with the file goes to standard error as one word, with exit
status 3. Nothing of dsvl2_app is imported, so that it starts quickly.
"""

from __future__ import annotations

import ctypes
import json
import sys
from contextlib import suppress
from typing import Any, NoReturn

MOST_SECONDS = 20  # of a processor
MOST_BYTES = 4 * 2**30  # of address space
HYPHENS = str.maketrans({"\ufffe": "-", "\x02": "-", "\r": None, "\0": None})  # as PDFium writes them at a line's end
LOCKED = (4, 5)  # PDFium's errors for a password, and for a kind of protection that it does not know


def main() -> None:
    with suppress(ImportError, ValueError, OSError):  # Windows, or less is allowed already
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    wanted = json.loads(sys.argv[1])
    data = sys.stdin.buffer.read()
    try:
        import pypdfium2  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        fail("missing")
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        fail("locked" if getattr(error, "err_code", None) in LOCKED else "damaged")
    with suppress(pypdfium2.PdfiumError):  # a form that cannot be set up is shown without its fields
        # Before any page is loaded, or all fields are left out of pictures.
        document.init_forms()  # pyright: ignore[reportUnknownMemberType]
    try:
        answer(document, wanted)
    except pypdfium2.PdfiumError:
        fail("damaged")


def answer(document: Any, wanted: dict[str, Any]) -> None:
    out = sys.stdout.buffer
    if "most" in wanted:
        count = len(document)
        if count < 1:
            fail("damaged")
        if count > wanted["most"]:
            fail(str(count))
        pages = [document.get_page_size(number) for number in range(count)]
        out.write(json.dumps({"pages": pages}).encode())
        return
    if "texts" in wanted:
        out.write(json.dumps([read(document, number, wanted["letters"]) for number in wanted["texts"]]).encode())
        return
    if "with_text" in wanted:
        found = (number for number in wanted["with_text"] if read(document, number))
        out.write(json.dumps(next(found, None)).encode())
        return
    for number, scale in wanted["pages"]:
        bitmap = document[number].render(scale=scale, rev_byteorder=True)
        width, height, stride = bitmap.width, bitmap.height, bitmap.stride
        if bitmap.n_channels != 3:
            fail("damaged")
        pixels = ctypes.string_at(bitmap.buffer, stride * height)
        out.write(json.dumps([width, height]).encode() + b"\n")
        for row in range(height):
            out.write(pixels[row * stride : row * stride + 3 * width])
        bitmap.close()
    out.flush()


def read(document: Any, number: int, letters: int | None = None) -> str:
    """A page's own text, no more than so many letters of it."""
    return document[number].get_textpage().get_text_bounded()[:letters].translate(HYPHENS).strip()


def fail(problem: str) -> NoReturn:
    print(problem, file=sys.stderr)
    raise SystemExit(3)
