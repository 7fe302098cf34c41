"""report.html of a run: every question with its picture, its boxes, the truth and the answer, in one file.

The file needs no server and no network. Its script draws cards only as they come into sight, from rows of JSON; a
picture is text in the file until then. Of a run with more rows than `EMBEDDED` the pictures stay in the folder beside
it, because a browser would have to read all of them first.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsvl2_app.bundled import read_asset
from dsvl2_app.evaluation.answers import Line
from dsvl2_app.evaluation.pictures import FOLDER, list_pictures
from dsvl2_app.evaluation.readers import BadRow
from dsvl2_app.text.boxes import parse_boxes

NAME = "report.html"
EMBEDDED = 2500  # rows
VERDICTS = ("all", "right", "partly", "wrong", "skipped")

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style>
<header>
<h1>{title}</h1>
<p>{told}</p>
{table}
<form role="search" id="controls">
<fieldset><legend>Show</legend>{filters}</fieldset>
<label for="search">Search</label>
<input id="search" type="search" placeholder="question, answer, id" aria-keyshortcuts="/">
<button type="button" id="theme">Theme: as the system</button>
</form>
<p id="count" role="status"></p>
<p class="keys"><kbd>/</kbd> searches, <kbd>j</kbd> and <kbd>k</kbd> go to the next question and back.
Boxes: <span class="truth">the truth</span>, <span class="answer">the answer</span>.</p>
</header>
<main id="cards"></main>
<noscript><p>This page draws its questions with a script, and scripts are switched off here.</p></noscript>
<script type="application/json" id="rows">{rows}</script>
{pictures}
<script>
{script}
</script>
</html>
"""


def write_report(folder: Path, summary: dict[str, Any], lines: Sequence[Line], left_out: Sequence[BadRow]) -> Path:
    """Make the page from what `folder` holds, and return where it is."""
    embeds = len(lines) <= EMBEDDED
    pictures = dict.fromkeys(path for line in lines for path in list_pictures(folder, line.number))
    rows = [_tell(folder, line) for line in lines]
    rows += [{"number": row.number, "verdict": "skipped", "reason": row.reason} for row in left_out]
    rows.sort(key=lambda row: row["number"])
    counts = {verdict: sum(verdict in ("all", row["verdict"]) for row in rows) for verdict in VERDICTS}
    page = _PAGE.format(
        title=html.escape(f"{summary['task']}: {summary['model']}"),
        told=html.escape(_say(summary)),
        style=read_asset("report.css"),
        table=_tabulate(summary),
        filters="".join(_make_filter(verdict, counts[verdict]) for verdict in VERDICTS),
        rows=json.dumps(rows, separators=(",", ":")).replace("<", "\\u003c"),
        pictures="\n".join(map(_embed, pictures)) if embeds else "",
        script=read_asset("report.js"),
    )
    path = folder / NAME
    path.write_text(page, encoding="utf-8")
    return path


def _tell(folder: Path, line: Line) -> dict[str, Any]:
    verdict = "right" if line.score >= 1 else "partly" if line.score > 0 else "wrong"
    told: dict[str, Any] = {
        "number": line.number,
        "id": line.id,
        "kind": line.kind,
        "question": line.question,
        "raw": line.raw,
        "extracted": line.extracted,
        "score": round(line.score, 4),
        "verdict": verdict,
        "pictures": [path.stem for path in list_pictures(folder, line.number)],
    }
    if line.truths and not isinstance(line.truths[0], str):
        width, height = line.size
        parsed = parse_boxes(line.extracted).boxes
        told["truth"] = _share(line.truths, line.size)
        told["answer"] = _share(parsed[0].pixels(width, height), line.size) if parsed else None
        told["truths"] = [", ".join(f"{number:g}" for number in line.truths)]
    else:
        told["truths"] = list(dict.fromkeys(line.truths))
    return told


def _share(box: Sequence[float], size: tuple[int, int]) -> list[float]:
    """Left, top, width and height in thousandths of the picture."""
    width, height = (side or 1 for side in size)
    left, top, right, bottom = box
    across, down = 1000 / width, 1000 / height
    return [round(each, 1) for each in (left * across, top * down, (right - left) * across, (bottom - top) * down)]


def _embed(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<script type="text/plain" id="picture-{path.stem}">{data}</script>'


def _say(summary: dict[str, Any]) -> str:
    score = "nothing to score" if summary["score"] is None else f"{summary['metric']} {summary['score']:.2f}"
    return f"{score} over {summary['questions']} questions; rows left out: {summary['left_out']}."


def _tabulate(summary: dict[str, Any]) -> str:
    """What was published, and the score of each part, behind a line that opens."""
    published = {"DeepSeek's paper": summary["paper"], "DeepSeek with VLMEvalKit": summary["vlmevalkit"]}
    told = {f"{source}, {model}": number for source, found in published.items() for model, number in found.items()}
    rows = {**told, **summary.get("parts", {})}
    if not rows:
        return ""
    cells = "".join(f"<tr><th>{html.escape(name)}<td>{number:.2f}" for name, number in rows.items())
    return f"<details><summary>Published, and by part</summary><table>{cells}</table></details>"


def _make_filter(verdict: str, count: int) -> str:
    checked = " checked" if verdict == "all" else ""
    return f'<label><input type="radio" name="show" value="{verdict}"{checked}> {verdict} ({count})</label>'


assert FOLDER == "pictures"  # report.js looks there for what is not in the page
