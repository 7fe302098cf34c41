#!/usr/bin/env bash
# PyMuPDF 2.0 reads "1.50" in a table's cell as "150" and a point on a line below it; "-20,00" becomes "2000".
#
# Expected: a cell's text from find_tables() is what stands in it, as in PyMuPDF 1.26 and as the words of the same page are.
# Happens: since 2.0 letters have the bounds of their ink in a table. Whatever has its top more than three points away from
#   the others' is of another line: a point, a comma and a minus sign of ordinary 10-point text. Digits are pushed together or
#   set apart by blanks, and the signs follow on a line of their own. extract(), to_pandas() and to_html() give that, to_markdown() gives
#   "1.50" in all rows but the first. extract(y_tolerance=8) puts them together, and would two lines of a cell that lie closer than that.
# Shown: a page with a table of three amounts, made with a standard font and with one that is embedded: extract() plain and with a
#   tolerance, to_html(), to_markdown(), and the words of the page. Then the same in PyMuPDF 1.26.7.
# Matters here: tables of PDFs are the truth that a model's reading is compared with, or are put beside the picture of the page. Whoever strips white
#   space then has a hundred times the amount, and its sign is lost.
# Source: PyMuPDF 2.0, table.py (FLAGS with TEXT_ACCURATE_BBOXES, extract_text, DEFAULT_Y_TOLERANCE).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pymupdf==2.0 reportlab==5.1.0
cat > "$folder/show.py" <<'PYTHON'
import io
import re
import sys
from pathlib import Path

import pymupdf
import reportlab
from reportlab.lib import colors
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import SimpleDocTemplate, Table

CELLS = ["Amount", "1.50", "-20,00", "1,234.56"]
pdfmetrics.registerFont(TTFont("Vera", Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"))


def page(font):
    out = io.BytesIO()
    style = [("GRID", (0, 0), (-1, -1), 0.5, colors.black), ("FONT", (0, 0), (-1, -1), font, 10)]
    SimpleDocTemplate(out).build([Table([["Item", cell] for cell in CELLS], style=style)])
    return pymupdf.open("pdf", out.getvalue())[0]


def second_column(rows):
    return [row[1] for row in rows]


new = pymupdf.__version__.startswith("2.")
same = True
for font in ("Helvetica", "Vera"):
    of_font = page(font)
    table = of_font.find_tables().tables[0]
    plain, tolerant = second_column(table.extract()), second_column(table.extract(y_tolerance=8))
    words = [word[4] for word in of_font.get_text("words") if word[4] != "Item"]
    markdown = [cell for cell in CELLS if cell in table.to_markdown()]
    print(f"PyMuPDF {pymupdf.__version__}, {font}: extract() {plain}")
    print(f"    y_tolerance=8 {tolerant}; in to_markdown() {markdown}; words {words}")
    same = same and words == tolerant == markdown == CELLS
    if new:
        html = re.findall(r"<td>([^IA].*?)</td>", table.to_html())
        print(f"    to_html() {html}")
        digits = [cell.split("\n")[0].replace(" ", "") for cell in plain]
        same = same and digits == ["Amount", "150", "2000", "123456"] and html == [cell.replace("\n", "<br/>") for cell in plain[1:]]
    else:
        same = same and plain == CELLS
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pymupdf==1.26.7
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
