from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from nano.curves import draw_curves, read_log


def write(path: Path, steps: list[int]) -> Path:
    entries = [
        {
            "stage": "align" if step < 60 else "sft",
            "steps": step,
            "samples": 10 * step,
            "values": {"loss": 1 / step, "a_accuracy": 0.5},
        }
        for step in steps
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return path


def test_lines_that_a_restart_went_over_again_are_left_out(tmp_path: Path):
    log = write(tmp_path / "log.jsonl", [20, 40, 60, 80, 40, 60, 80, 100])
    assert [entry["steps"] for entry in read_log(log)] == [20, 40, 60, 80, 100]


@pytest.mark.slow
def test_curves_are_a_picture(tmp_path: Path):
    draw_curves(write(tmp_path / "log.jsonl", [20, 40, 60, 80]), tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 300
