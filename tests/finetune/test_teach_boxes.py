"""The worked example: pictures with known boxes, and an adapter that finds what nano does not."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from dsvl2_app import __main__
from dsvl2_app.bundled import NANO
from dsvl2_app.finetune.conversations import read_conversations
from dsvl2_app.finetune.teach_boxes import THINGS, load, main, measure, render
from dsvl2_app.text.boxes import overlap, parse_boxes


@pytest.mark.parametrize("seed", range(5))
def test_the_boxes_of_a_picture_hold_its_things(seed: int):
    image, boxes = render(Random(seed))
    pixels = np.asarray(image).astype(int)
    away = np.abs(pixels - pixels[0, 0]).sum(-1)  # from the ground
    assert set(boxes) == set(THINGS)
    for left, top, right, bottom in boxes.values():
        inside = away[top:bottom, left:right]
        inside = inside > 0.45 * inside.max()  # by half covered, a pixel belongs to the thing
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
        around = away[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1]
        assert (around > 0.55 * around.max()).sum() <= inside.sum()


@pytest.mark.parametrize(
    ("other", "share"),
    [((0, 0, 100, 100), 1.0), ((50, 0, 150, 100), 1 / 3), ((0, 0, 50, 50), 0.25), ((100, 0, 200, 100), 0.0)],
)
def test_overlap_is_intersection_over_union(other: tuple[int, int, int, int], share: float):
    assert overlap((0, 0, 100, 100), other) == pytest.approx(share)


def test_held_out_pictures_are_others(tmp_path: Path):
    assert main(["draw", str(tmp_path), "--train", "3", "--held-out", "2"]) == 0
    train, held_out = (read_conversations(tmp_path / f"{name}.jsonl") for name in ("train", "held_out"))
    assert (len(train), len(held_out)) == (3, 2 * len(THINGS))
    shown = [{talk.messages[0]["content"][0]["image"] for talk in talks} for talks in (train, held_out)]
    assert not shown[0] & shown[1]
    assert all(len(parse_boxes(message["content"]).boxes) == 1 for talk in train for message in talk.messages[1::2])


def test_data_without_boxes_cannot_be_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    talk = [{"role": "user", "content": "What are you?"}, {"role": "assistant", "content": "A model."}]
    (tmp_path / "data.jsonl").write_text(json.dumps(talk))
    assert main(["measure", str(tmp_path / "data.jsonl")]) == 2
    assert "no last answer holds a box" in capsys.readouterr().err


@pytest.mark.slow
def test_an_adapter_finds_what_nano_does_not(tmp_path: Path):
    """A shorter run than that of docs/finetuning.md."""
    assert main(["draw", str(tmp_path), "--train", "36", "--held-out", "6"]) == 0
    flags = ["--data", str(tmp_path / "train.jsonl"), "--out", str(tmp_path / "adapter")]
    assert __main__.main(["finetune", *flags, "--rate", "0.003", "--batch", "2", "--epochs", "2"]) == 0
    losses = [json.loads(line)["loss"] for line in (tmp_path / "adapter" / "log.jsonl").read_text().splitlines()]
    assert sum(losses[-4:]) < 0.6 * sum(losses[:4])
    before, after = (measure(*load(model), tmp_path / "held_out.jsonl") for model in (NANO, tmp_path / "adapter"))
    assert len(before) == len(after) == 12
    assert sum(before) / 12 < 0.4 and sum(after) / 12 > 0.8
    assert sum(share >= 0.5 for share in after) >= 10
