"""Documents for the tests."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw
from reportlab.pdfgen.canvas import Canvas

A4 = (595.0, 842.0)  # points


def write_pdf(pages: int = 3, size: tuple[float, float] = A4, **options: Any) -> bytes:
    """Each page says its number, above a red rectangle from 100, 200 to 300, 350 points from its left and bottom."""
    stream = BytesIO()
    canvas = Canvas(stream, pagesize=size, **options)
    for number in range(1, pages + 1):
        canvas.setFont("Helvetica", 48)
        canvas.drawString(60, size[1] - 120, f"PAGE {number}")
        canvas.setFillColorRGB(1, 0, 0)
        canvas.rect(100, 200, 200, 150, fill=1, stroke=0)
        canvas.setFillColorRGB(0, 0, 0)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def write_mixed() -> bytes:
    """Three pages, of which the second alone holds text; the others are as scanned."""
    stream = BytesIO()
    canvas = Canvas(stream, pagesize=A4)
    for number in (1, 2, 3):
        if number == 2:
            canvas.drawString(60, 700, "TYPED")
        canvas.rect(100, 200, 200, 150, fill=1)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def write_form(size: tuple[float, float] = (400.0, 300.0)) -> bytes:
    """A page with a filled field at 50, 200 and a ticked box at 50, 100 points from its left and bottom."""
    stream = BytesIO()
    canvas = Canvas(stream, pagesize=size)
    canvas.acroForm.textfield(name="name", value="A. Person", x=50, y=200, width=200, height=30)
    canvas.acroForm.checkbox(name="agreed", checked=True, x=50, y=100)
    canvas.showPage()
    canvas.save()
    return stream.getvalue()


def write_tiff(pages: int = 3) -> bytes:
    """Page N is 100 N px wide."""
    stream = BytesIO()
    images = [Image.new("RGB", (100 * number, 80), (20 * number, 90, 60)) for number in range(1, pages + 1)]
    for image in images:
        ImageDraw.Draw(image).rectangle((10, 10, 30, 30), "white")
    images[0].save(stream, "TIFF", save_all=True, append_images=images[1:])
    return stream.getvalue()
