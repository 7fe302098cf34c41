"""An inspection written and read again, and files that are none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.errors import PromptError
from dsvl2_app.image.tiles import lay_out
from dsvl2_app.inspection import Inspection, read, write
from dsvl2_app.inspection.file import check
from dsvl2_app.request import Request


@pytest.fixture(scope="module")
def seen() -> Inspection:
    from PIL import Image

    parts = [{"type": "image", "image": Image.new("RGB", (400, 900))}, {"type": "text", "text": "Well?"}]
    *_, last = ScriptedBackend().inspect(Request([{"role": "user", "content": parts}]), [5, 5, 5])
    assert last.inspection
    tokens = last.inspection.experts.shape[1]
    random = np.random.default_rng(1)
    return replace(
        last.inspection,
        expert_layers=(1, 2),
        experts=random.integers(0, 8, (2, tokens, 3), np.uint8),
        expert_weights=random.random((2, tokens, 3)).astype(np.float16),
        expert_count=8,
        corners=random.random((4, 1000), np.float32),
        corner_tokens=(0, 1, 1, 2),
    )


@pytest.mark.parametrize("name", ["seen.npz", "seen.json"])
def test_what_is_written_is_read_again(seen: Inspection, tmp_path: Path, name: str) -> None:
    write(seen, tmp_path / name, [b"a picture", b"another"][:1])
    found, pictures = read(tmp_path / name)
    assert pictures == (b"a picture",)
    for each in Inspection.__slots__:
        before, after = getattr(seen, each), getattr(found, each)
        if isinstance(before, np.ndarray):
            assert before.dtype == after.dtype and np.array_equal(before, after), each
        else:
            assert before == after, each


def test_a_page_of_numpy_reads_the_arrays_without_this_app(seen: Inspection, tmp_path: Path) -> None:
    write(seen, tmp_path / "seen.npz")
    with np.load(tmp_path / "seen.npz", allow_pickle=False) as file:
        about = json.loads(file["about"].tobytes())
        assert about["schema"] == "dsvl2-inspection-1" and about["tokens"] == ["Hello. "] * 3
        assert file["experts"].shape == (2, len(about["prompt"]) + 2, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"experts": np.zeros((2, 3, 3), np.uint8)},
        {"experts": np.full((2, 1, 1), 9, np.uint8)},
        {"attention": np.zeros((2, 1, 3, 4), np.float32)},
        {"expert_count": 2},
        {"words": {}},
        {"twins": ()},
        {"starts": (3,)},
        {"starts": (-1,)},
        {"layouts": (lay_out(50, 50),)},
        {"corner_tokens": (0, 1, 1, 3)},
        {"answer_ids": (1,)},
    ],
    ids=str,
)
def test_what_does_not_fit_together_is_refused(seen: Inspection, tmp_path: Path, change: dict[str, object]) -> None:
    check(seen)
    write(replace(seen, **change), tmp_path / "bad.npz")  # type: ignore[arg-type]
    with pytest.raises(PromptError, match=r"bad.npz is no inspection"):
        read(tmp_path / "bad.npz")


@pytest.mark.parametrize("data", [b"", b"{}", b"PK\x03\x04", b"[1]", b'{"schema": "dsvl2-inspection-1", "arrays": {}}'])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad.json").write_bytes(data)
    with pytest.raises(PromptError, match="damaged"):
        read(tmp_path / "bad.json")
    with pytest.raises(PromptError, match="no inspection"):
        read(tmp_path / "missing.npz")


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).parents[2]
    (tmp_path / "assets").symlink_to(root / "assets")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = json.loads((root / "docs" / "inspection.ipynb").read_text(encoding="utf-8"))
    names: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)  # our own file
    printed = capsys.readouterr().out
    assert "attention [layers, heads, answer, prompt]: (6, 4," in printed
    least, most, shares = map(float, printed.splitlines()[-1].split())
    assert least == pytest.approx(1, abs=2e-3) and most == pytest.approx(1, abs=2e-3) and shares == 1
