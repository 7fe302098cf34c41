from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dsvl2_app.__main__ import main

REFERENCE = Path(__file__).parents[1] / "reference"
CHECKPOINT = str(REFERENCE / "tiny" / "checkpoint")
PICTURE = str(REFERENCE / "images" / "two_1_517x389.png")


def test_tiles_shows_grid_candidates_and_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiles", PICTURE]) == 0
    shown = capsys.readouterr().out
    assert "two_1_517x389.png: 517 x 389 px" in shown
    assert "2 x 2 tiles of 384 px" in shown and "1,023 tokens" in shown
    assert "28 rows of 28 tokens and a newline" in shown
    ranks = re.findall(r"^ +\d+ +\d x \d .*$", shown, re.MULTILINE)
    assert len(ranks) == 23
    assert "px wasted" in shown and "what enlarging the picture adds" in shown
    assert [line for line in ranks if "chosen" in line] == ranks[:1]


def test_tiles_as_json_covers_every_token_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiles", PICTURE, "--json"]) == 0
    (layout,) = json.loads(capsys.readouterr().out)
    assert (layout["file"], layout["size"], layout["grid"]) == (PICTURE, [517, 389], [2, 2])
    parts = layout["parts"]
    assert [part["kind"] for part in parts] == ["global", "separator", "local"]
    assert [part["first"] for part in parts] == [0, *(part["last"] + 1 for part in parts[:-1])]
    assert parts[-1]["last"] + 1 == layout["tokens"] == 1023
    assert len(layout["candidates"]) == 23


def test_three_pictures_are_not_tiled(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiles", PICTURE, PICTURE, PICTURE]) == 0
    shown = capsys.readouterr().out
    assert shown.count("\n1 x 1 tiles") == 3 and "With more than 2 pictures" in shown


def test_tiles_of_another_model(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["tiles", PICTURE, "--model", "nano"]) == 0
    assert "tiles of 182 px" in capsys.readouterr().out
    monkeypatch.setenv("DSVL2_MODEL", "nano")
    assert main(["tiles", PICTURE]) == 0
    assert "tiles of 182 px" in capsys.readouterr().out
    assert main(["tiles", PICTURE, "--model", CHECKPOINT]) == 0
    assert "tiles of 384 px" in capsys.readouterr().out


def test_fewer_tiles(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiles", PICTURE, "--max-tiles", "2", "--json"]) == 0
    (layout,) = json.loads(capsys.readouterr().out)
    columns, rows = layout["grid"]
    assert columns * rows <= 2


def test_help_says_whose_tiles(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["tiles", "--help"])
    assert "384 px" in capsys.readouterr().out
