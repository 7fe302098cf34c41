from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from dsvl2_app.__main__ import main

REFERENCE = Path(__file__).parents[1] / "reference"
PICTURE = str(REFERENCE / "images" / "two_1_517x389.png")


def read(request) -> str:
    return "".join(part.get("text", "<picture>") for part in request.messages[-1]["content"])


def test_boxes_are_a_table_and_drawn(backend, tmp_path: Path, capsys) -> None:
    out = tmp_path / "boxes.png"
    assert main(["ground", "--image", PICTURE, "the dog", "--out", str(out)]) == 0
    shown = capsys.readouterr()

    row = next(line for line in shown.out.splitlines() if "dog" in line)
    assert row.split() == ["a", "[b]dog", "0", "0", "517", "389", "0,", "0,", "999,", "999"]
    assert "has 3" in shown.err
    with Image.open(out) as drawn, Image.open(PICTURE) as plain:
        assert drawn.size == plain.size and drawn.convert("RGB").tobytes() != plain.convert("RGB").tobytes()
    (request,) = backend.requests
    assert read(request) == "<picture>\n<|ref|>the dog<|/ref|>."
    assert request.grammar and {"<|ref|>", "<|/ref|>"} <= request.allow


def test_boxes_alone_go_to_files(backend, tmp_path: Path) -> None:
    names = ["a.json", "a.csv", "a-coco.json", "a.txt", "data.yaml", "a-label-studio.json"]
    flags = [flag for name in names for flag in ("--out", str(tmp_path / name))]
    assert main(["ground", "--image", PICTURE, "the dog", "--unconstrained", *flags]) == 0
    assert json.loads((tmp_path / "a.json").read_text())["boxes"][0]["x2"] == 999
    assert json.loads((tmp_path / "a-coco.json").read_text())["annotations"][0]["bbox"] == [0, 0, 517, 389]
    assert "two_1_517x389.png" in (tmp_path / "a.csv").read_text()
    assert (tmp_path / "a.txt").read_text().startswith("0 0.5")
    assert (tmp_path / "data.yaml").read_text() == 'names:\n  0: "a [b]dog"\n'
    (task,) = json.loads((tmp_path / "a-label-studio.json").read_text())
    assert task["data"]["image"].startswith("data:image/jpeg;base64,")
    assert not backend.requests[0].grammar


def test_the_other_modes(backend) -> None:
    assert main(["ground", "--image", PICTURE, "--mode", "describe", "What is there?"]) == 0
    example = ["--example", PICTURE, "--rectangle", "10,10,90,90"]
    assert main(["ground", "--image", PICTURE, "--mode", "in_context", *example]) == 0
    describe, in_context = backend.requests
    assert read(describe) == "<picture>\n<|grounding|>What is there?"
    assert read(in_context).startswith("<picture>\n<picture>\n<|grounding|>In the first image")
    marked = in_context.messages[0]["content"][0]["image"]
    assert marked.getpixel((10, 10)) == (255, 0, 0)


def test_as_json(backend, capsys) -> None:
    assert main(["ground", "--image", PICTURE, "the dog", "--json"]) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    (box,) = result["boxes"]
    assert (box["label"], box["x2"], box["pixels"]) == ("a [b]dog", 999, [0.0, 0.0, 517.0, 389.0])
    assert len(result["problems"]) == 1 and result["text"] == backend.say and shown.err == ""


def test_an_answer_without_boxes_is_shown(backend, capsys) -> None:
    backend.say = "No dog."
    assert main(["ground", "--image", PICTURE, "the dog"]) == 0
    assert capsys.readouterr().out == "No boxes; the model answered 'No dog.'\n"


@pytest.mark.parametrize("name", ["boxes.dog", "nowhere/boxes.png", "nowhere/boxes.json"])
def test_a_file_that_cannot_be_written_is_one_sentence(backend, name: str, tmp_path: Path, capsys) -> None:
    assert main(["ground", "--image", PICTURE, "the dog", "--json", "--out", str(tmp_path / name)]) == 2
    assert "cannot be written" in capsys.readouterr().err
