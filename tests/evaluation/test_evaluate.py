from __future__ import annotations

import json

import pytest

from dsvl2_app.__main__ import main
from dsvl2_app.evaluation.report import HEADING
from nano import suite


@pytest.mark.slow
def test_the_table_grows_and_the_last_line_is_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    rows = tuple(row for row in suite.ROWS if row.task in ("count up to 6", "where"))
    monkeypatch.setattr(suite, "ROWS", rows)
    assert main(["eval", "--cases", "2", "--threads", "1"]) == 0
    heading, *lines, last = capsys.readouterr().out.splitlines()
    assert heading == HEADING and [line.split("  ")[0] for line in lines] == ["shapes", "shapes"]
    report = json.loads(last)
    assert report["model"] == "nano" and report["floors"] == 1
    assert [(row["task"], row["cases"]) for row in report["rows"]] == [(row.task, 2) for row in rows]

    assert main(["eval", "--cases", "1", "--json", "--threads", "1"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["suite"] == "nano"


@pytest.mark.parametrize("cases", ["0", "-1", "1000000"])
def test_a_number_of_cases_out_of_range_is_named(cases: str, capsys: pytest.CaptureFixture[str]):
    assert main(["eval", "--cases", cases]) == 2
    assert f"--cases is {cases}" in capsys.readouterr().err
