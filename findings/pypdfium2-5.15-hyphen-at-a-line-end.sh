#!/usr/bin/env bash
# The hyphen at the end of a line of a PDF is no hyphen in PDFium's text, and not the same thing in its two functions.
#
# Expected: the text of a page has the characters that are written there: a "-" and the end of the line, as MuPDF gives it, or the
#   word put together without either.
# Happens: hyphen and line end become one character that is no text: U+FFFE, a code point that Unicode keeps from use, by
#   get_text_range(), and the control character 2 by get_text_bounded(). It stands in every broken word, and also where the hyphen belongs
#   to the word ("well-known"), so that neither dropping it nor writing "-" is right everywhere. A hyphen within a line is one.
# Shown: a page of four lines, two of which end in a hyphen, read with both functions and with MuPDF; then whether Python's XML
#   reader takes the text back that its writer has written.
# Matters here: the words of a page are given to a model beside its picture, and are written into files. Searched for, "well-known" is
#   not found; a tokenizer makes odd tokens of it; XML (PAGE, ALTO, hOCR, VOC) with it is not read back. We replace both by a hyphen
#   (image/documents_apart.py).
# Source: pypdfium2 5.15.2 (get_text_range, get_text_bounded), PyMuPDF 2.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pypdfium2==5.15.2 pymupdf==2.0 reportlab==5.1.0
cat > "$folder/show.py" <<'PYTHON'
import io
import sys
from importlib.metadata import version
from xml.etree import ElementTree

import pymupdf
import pypdfium2
from reportlab.pdfgen.canvas import Canvas

file = io.BytesIO()
canvas = Canvas(file, pagesize=(300, 300))
for number, line in enumerate(["An inter-", "national treaty of well-", "known states, 10-20 and", "more"]):
    canvas.drawString(30, 250 - 15 * number, line)
canvas.save()
page = pypdfium2.PdfDocument(file)[0].get_textpage()
texts = {
    "pypdfium2, get_text_range": page.get_text_range(),
    "pypdfium2, get_text_bounded": page.get_text_bounded(),
    "PyMuPDF": pymupdf.open(stream=file.getvalue(), filetype="pdf")[0].get_text(),
}


def read_back(text):
    element = ElementTree.Element("words")
    element.text = text
    try:
        ElementTree.fromstring(ElementTree.tostring(element, "utf-8"))
    except ElementTree.ParseError as error:
        return f"not read back ({error})"
    return "read back"


print(f"pypdfium2 {version('pypdfium2')}, PyMuPDF {version('pymupdf')}")
same = True
for (name, text), mark in zip(texts.items(), ("\ufffe", "\x02", "-\n"), strict=True):
    print(f"{name}: {text!r}, in XML {read_back(text)}")
    same = same and f"inter{mark}national treaty of well{mark}known states, 10-20 and" in text
    same = same and (read_back(text) == "read back") == (mark == "-\n")
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
