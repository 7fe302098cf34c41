#!/usr/bin/env bash
# pymupdf4llm writes a cell "A|B" as two cells: the next value falls out of its table, and with the bar in its head the table is none.
#
# Expected: to_markdown() gives Markdown that says what the page says: signs that mean something there are escaped, as docling does with bars
#   and pymupdf4llm itself with line ends, which it writes as <br> in a cell.
# Happens: no sign is escaped. A bar ends a cell, so that a row has one cell too many and readers of Markdown drop the last; a head with
#   one cell too many makes the whole table a paragraph. Between "*" figures are set in italics and the signs are gone; a line
#   that begins with "- " or "+ " is an item of a list without its sign, one with "# " a heading. With layout and without.
# Shown: pages made with reportlab: two tables with a bar and one without, and five lines; what markdown-it-py, a reader of GitHub's Markdown, makes of it.
# Matters here: this is a usual way to hand a PDF to a language model, and to a reference text that a model's reading is scored with. A model may guess
#   what was meant; a table's reader does not: a price disappears, or "- 5 degrees" becomes 5.
# Source: pymupdf4llm 2.0 (helpers/document_layout.py, helpers/pymupdf_rag.py), PyMuPDF 2.0; markdown-it-py 4.3.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pymupdf4llm==2.0 pymupdf==2.0 reportlab==5.1.0 markdown-it-py==4.3.0
cat > "$folder/show.py" <<'PYTHON'
import html
import io
import re
import sys
from importlib.metadata import version

import pymupdf
import pymupdf4llm
from markdown_it import MarkdownIt
from reportlab.lib import colors
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table

PLAIN = [["Item", "Price"], ["Cup", "3.00"], ["Dog", "4.00"]]
IN_A_ROW = [["Item", "Price"], ["A|B", "3.00"], ["Dog", "4.00"]]
IN_THE_HEAD = [["Item", "A|B"], ["Cup", "3.00"], ["Dog", "4.00"]]
WITHOUT_A_PRICE = [["Item", "Price"], ["A", "B"], ["Dog", "4.00"]]
LINES = {
    "5 degrees": "5 degrees",
    "- 5 degrees": "5 degrees",
    "+ 12.00": "12.00",
    "# 12": "12",
    "2*3*4 = 24": "234 = 24",
}
reader = MarkdownIt("commonmark").enable("table")


def page(*parts):
    out = io.BytesIO()
    SimpleDocTemplate(out).build(list(parts))
    return pymupdf.open("pdf", out.getvalue())


def rows(markdown):
    found = re.findall(r"<tr>(.*?)</tr>", reader.render(markdown), re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in found]


def words(markdown):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", reader.render(markdown)))).strip()


def table(of_rows):
    return page(Table(of_rows, style=[("GRID", (0, 0), (-1, -1), 0.5, colors.black)]))


normal = getSampleStyleSheet()["Normal"]
same = True
for layout in (True, False):
    pymupdf4llm.use_layout(layout)
    how = "with layout" if layout else "without layout"
    for name, written, wanted in (
        ("no bar", PLAIN, PLAIN),
        ("in a row", IN_A_ROW, WITHOUT_A_PRICE),
        ("in the head", IN_THE_HEAD, []),
    ):
        read = rows(pymupdf4llm.to_markdown(table(written)))
        print(f"pymupdf4llm {version('pymupdf4llm')}, {how}, {name}: {written} is {read}")
        same = same and read == wanted
    for line, wanted in LINES.items():
        between = Paragraph("Outside", normal), Spacer(1, 30), Paragraph(line, normal), Spacer(1, 30), Paragraph("Inside", normal)
        read = words(pymupdf4llm.to_markdown(page(*between))).removeprefix("Outside ").removesuffix(" Inside")
        print(f"    {line!r} is {read!r}")
        same = same and read == wanted
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 180 "$folder/venv/bin/python" "$folder/show.py" | grep -v "Document parser messages\|RapidOCR\|^$"
