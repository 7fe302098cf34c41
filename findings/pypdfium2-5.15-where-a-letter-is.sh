#!/usr/bin/env bash
# Where is a letter on a page that is turned or cut? pypdfium2, PyMuPDF and pdfplumber give three answers.
#
# Expected: the position that a reader gives for a letter lies in the frame of the size and the picture that it gives for the page,
#   so that a box on the picture and the words of the PDF can be compared after scaling.
# Happens: a page may be shown turned (/Rotate) or in part (/CropBox). Sizes and pictures of PDFium and MuPDF are those of the
#   shown page. Of the turned page PDFium and MuPDF give positions as if it were not turned, pdfplumber as it is shown; of the
#   cut one MuPDF gives positions within the cut, PDFium and pdfplumber those on the uncut page, whose size pdfplumber also gives.
#   pdfplumber alone keeps to one frame, which of the cut page is not the shown one; with PDFium a letter lies outside of its page.
# Shown: a page of 400 x 300 points with the letter H near its upper left corner; the same turned by a quarter; and with its
#   right and lower parts cut away and 40 points at the left. For each reader the size and the middle of H from left and top.
# Matters here: scans are turned and papers are cut in this way, and boxes that the model finds are exported in points of the
#   page as it is shown. Who looks for the words in a box has to carry it over to the reader's frame; scaling alone is not enough.
# Source: pypdfium2 5.15.2, PyMuPDF 2.0, pdfplumber 0.11.10; https://github.com/docling-project/docling/issues/4007,
#   https://github.com/jsvine/pdfplumber/issues/1054.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pypdfium2==5.15.2 pymupdf==2.0 pdfplumber==0.11.10 \
    reportlab==5.1.0 pikepdf==10.17.0
cat > "$folder/show.py" <<'PYTHON'
import io
import sys

import pdfplumber
import pikepdf
import pymupdf
import pypdfium2
from reportlab.pdfgen.canvas import Canvas


def page(**changes):
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(400, 300))
    canvas.setFont("Helvetica", 20)
    canvas.drawString(50, 250, "H")
    canvas.save()
    document, out = pikepdf.open(file), io.BytesIO()
    for name, value in changes.items():
        document.pages[0][f"/{name}"] = value
    document.save(out)
    return out.getvalue()


def by_pdfium(data):
    document = pypdfium2.PdfDocument(data)
    width, height = document[0].get_size()
    left, bottom, right, top = document[0].get_textpage().get_charbox(0)
    return (width, height), ((left + right) / 2, height - (bottom + top) / 2)


def by_mupdf(data):
    shown = pymupdf.open(stream=data, filetype="pdf")[0]
    left, top, right, bottom = shown.get_text("words")[0][:4]
    return (shown.rect.width, shown.rect.height), ((left + right) / 2, (top + bottom) / 2)


def by_plumber(data):
    shown = pdfplumber.open(io.BytesIO(data)).pages[0]
    letter = shown.chars[0]
    return (shown.width, shown.height), ((letter["x0"] + letter["x1"]) / 2, (letter["top"] + letter["bottom"]) / 2)


# Size of the page, and where H is: about 57 from the left and 43 from the top of the page as it was written.
expected = {
    "as written": [((400, 300), (57, 43))] * 3,
    "turned": [((300, 400), (57, 143)), ((300, 400), (57, 43)), ((300, 400), (257, 57))],
    "cut": [((200, 100), (57, -157)), ((200, 100), (17, 43)), ((400, 300), (57, 43))],
}
pages = {"as written": page(), "turned": page(Rotate=90), "cut": page(CropBox=[40, 200, 240, 300])}
same = True
for name, data in pages.items():
    for reader, (size, place) in zip((by_pdfium, by_mupdf, by_plumber), expected[name], strict=True):
        found_size, found = reader(data)
        print(f"{name}, {reader.__name__}: page {found_size}, letter at {found[0]:.0f}, {found[1]:.0f}")
        near = all(abs(a - b) < 8 for a, b in zip(found, place, strict=True))
        same = same and near and tuple(map(round, found_size)) == size
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
