#!/usr/bin/env bash
# Two readers of one PDF page disagree about its size in points: PDFium leaves the page's UserUnit out, MuPDF applies it.
#
# Expected: a page's size in points is a fact of the file. Pages above 200 inches, plans and posters, are written with
#   /UserUnit (PDF 1.6): one unit of their coordinates is so many points.
# Happens: pypdfium2 gives sizes, boxes and positions in the page's own units, whatever the unit is, and renders at "scale"
#   pixels per unit; PyMuPDF gives points. So 72 units an inch is wrong by the factor, and a box exported in one reader's
#   points lies elsewhere in the other's.
# Shown: a page of 200 x 100 units with a red rectangle, without and with /UserUnit 2, in pypdfium2, PyMuPDF and pypdf.
# Matters here: boxes that the model finds on a page are exported in points. The unit has to be read apart (pypdf has it as
#   user_unit, pypdfium2 does not), or the export has to say that its numbers are units of the page.
# Source: pypdfium2 5.15.2, PyMuPDF 2.0, pypdf 7.1.1; PDF 32000-1:2008, table 30 (UserUnit).
set -euo pipefail
PDFIUM=5.15.2 MUPDF=2.0 PYPDF=7.1.1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pypdfium2==$PDFIUM" "pymupdf==$MUPDF" "pypdf==$PYPDF" \
    pillow numpy
cat > "$folder/show.py" <<'PYTHON'
import importlib.metadata
import io
import sys

import numpy as np
import pymupdf
import pypdf
import pypdfium2
from pypdf.generic import DecodedStreamObject, NameObject, NumberObject


def page_of(unit: int) -> bytes:
    """A page of 200 x 100 units with a red rectangle 40 units wide."""
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(200, 100)
    drawing = DecodedStreamObject()
    drawing.set_data(b"1 0 0 rg 20 10 40 30 re f")
    page[NameObject("/Contents")] = writer._add_object(drawing)
    if unit != 1:
        page[NameObject("/UserUnit")] = NumberObject(unit)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def red(pixels: np.ndarray) -> int:
    columns = np.flatnonzero(((pixels[..., 0] > 200) & (pixels[..., 1] < 60)).any(0))
    return int(columns[-1] - columns[0] + 1)


print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("pypdfium2", "pymupdf", "pypdf")))
sizes = {}
for unit in (1, 2):
    data = page_of(unit)
    fium = pypdfium2.PdfDocument(data)[0]
    mu = pymupdf.open(stream=data, filetype="pdf")[0]
    drawn = mu.get_pixmap()
    wide = red(np.frombuffer(drawn.samples, np.uint8).reshape(drawn.height, drawn.width, -1))
    sizes[unit] = fium.get_size(), (mu.rect.width, mu.rect.height), red(np.asarray(fium.render(scale=1).to_pil())), wide
    stated = pypdf.PdfReader(io.BytesIO(data)).pages[0].user_unit
    print(f"unit of {stated} points: pypdfium2 {sizes[unit][0]}, rectangle {sizes[unit][2]} pixels;", end=" ")
    print(f"PyMuPDF {sizes[unit][1]}, rectangle {sizes[unit][3]} pixels")
same = sizes[1] == ((200, 100), (200, 100), 40, 40) and sizes[2] == ((200, 100), (400, 200), 40, 80)
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
