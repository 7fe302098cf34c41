#!/usr/bin/env bash
# TEDS of table-recognition-metric does not read header cells: a table whose head is wrong or empty scores 1.0, the same with <td> far less.
#
# Expected: the similarity of two tables counts the text of every cell, and a table with another head than the right one has less than 1.
# Happens: text and spans are those of <td>. A <th> is a node without either, as <tr> is, whose children are not looked at. So where
#   truth and answer both write their head with <th>, any words there, or none, are as good as the right ones, and so is any colspan.
#   Where one of them writes <td>, each header cell costs a whole cell, though its words agree. Row heads, a first column of <th>, count as
#   little.
# Shown: scores of a table of two columns against itself, with another head, an empty one, other spans, another body, and with <td>.
# Matters here: models read tables out as HTML or Markdown, which converters turn into <thead> and <th>. The same answers gain or lose
#   a fifth by the tags of their head alone, and the head, the part that says what the numbers are, is not measured. Turn <th> into <td> in
#   both first.
# Source: table-recognition-metric 0.0.6, main.py (load_html_tree); https://github.com/docling-project/docling-eval/issues/110, where
#   another copy of the same code was mended.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check table-recognition-metric==0.0.6
cat > "$folder/show.py" <<'PYTHON'
import sys
from importlib.metadata import version

from table_recognition_metric import TEDS

score = TEDS()
BODY = "<tbody><tr><td>cup</td><td>4</td></tr></tbody>"


def table(head, body=BODY):
    return f"<html><body><table><thead><tr>{head}</tr></thead>{body}</table></body></html>"


def as_td(html):
    return html.replace("<th", "<td").replace("</th", "</td").replace("<tdead", "<thead").replace("</tdead", "</thead")


right = table("<th>Item</th><th>Price</th>")
spanned = table('<th colspan="2">Item</th>')
cases = {
    "itself": (right, right),
    "another head": (right, table("<th>Year</th><th>Weight in kg</th>")),
    "an empty head": (right, table("<th></th><th></th>")),
    "a head over 7 columns in place of 2": (spanned, table('<th colspan="7">Item</th>')),
    "another body": (right, table("<th>Item</th><th>Price</th>", BODY.replace("cup", "hat"))),
}
print(f"table-recognition-metric {version('table-recognition-metric')}")
same = True
for name, (truth, answer) in cases.items():
    with_th, with_td = score(truth, answer), score(as_td(truth), as_td(answer))
    print(f"{name}: {with_th:.3f}, with <td> in both {with_td:.3f}")
    same = same and (with_th == 1) == (name != "another body") and (with_td == 1) == (name == "itself")
mixed = score(right, as_td(right))
print(f"itself, <th> in one and <td> in the other: {mixed:.3f}")
same = same and mixed < 0.8
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
