"""`dsvl2 inspect MODEL QUESTION`: what is printed and written of an answer that was looked into."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from dsvl2_app.__main__ import main
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.bundled import EXAMPLES
from dsvl2_app.inspection import read

ASKED = ["inspect", "nano", "What is there?", "--image", str(EXAMPLES / "one.png")]


def test_it_is_printed_as_a_table(backend: ScriptedBackend, capsys: pytest.CaptureFixture[str]) -> None:
    backend.say = "Hello."
    assert main(ASKED) == 0
    printed = capsys.readouterr().out
    assert "Hello." in printed and "50%" in printed and "Looking inside took" in printed


def test_it_is_written_and_told_as_json(
    backend: ScriptedBackend, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*ASKED, "--json", "--out", str(tmp_path / "seen.npz")]) == 0
    told = json.loads(capsys.readouterr().out)
    seen, (picture,) = read(tmp_path / "seen.npz")
    assert Image.open(io.BytesIO(picture)).size == seen.layouts[0].image_size
    assert [word["word"] for word in told["words"]] == list(seen.tokens)
    for word in told["words"]:
        assert sum(word["attention"].values()) == pytest.approx(1)
        assert word["attention"]["pictures"] == pytest.approx(0.5, abs=1e-2)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["inspect", "nano", "--out", "seen.npz"], "go with a question"),
        ([*ASKED, "--out", "seen.txt"], "ends in .npz or .json"),
        ([*ASKED, "--out", "missing/seen.npz"], "cannot be written"),
    ],
)
def test_mistakes_are_one_sentence(
    backend: ScriptedBackend, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    assert main(flags) == 2
    assert said in capsys.readouterr().err


def test_a_backend_that_cannot_says_so(backend: ScriptedBackend, capsys: pytest.CaptureFixture[str]) -> None:
    backend.capabilities = replace(backend.capabilities, inspection=False)
    assert main(ASKED) == 2
    assert "cannot be looked into" in capsys.readouterr().err
