"""Names of uploads, and where they may lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dsvl2_app.bundled import EXAMPLES
from dsvl2_app.errors import ImageError
from dsvl2_app.image.load import load_image
from dsvl2_app.ui.uploads import LONGEST_NAME, save_drawing, uploaded_name, uploaded_path
from tests.ui.conftest import App
from tests.ui.test_leaving import Visitor


def upload(name: Any) -> dict[str, Any]:
    return {"path": "/cache/kept.png", "orig_name": name, "meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize("name", ["cost$3{b}.png", "100% #图.png", ".hidden.png"])
def test_a_file_keeps_its_name(name):
    assert uploaded_name(upload(name)) == name


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/hill.png", "hill.png"),
        ("C:\\pictures\\hill.png", "hill.png"),
        ("hi\nll\0.png", "hill.png"),
        ("half \ud83d.png", "half ?.png"),
        ("..", "kept.png"),
        ("hills/", "kept.png"),
        ("x" * (LONGEST_NAME + 1), "kept.png"),
        (None, "kept.png"),
        (7, "kept.png"),
    ],
)
def test_no_name_leads_elsewhere(name, kept):
    assert uploaded_name(upload(name)) == kept


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A folder of uploads, and one beside it, with a picture in each."""
    uploads, beside = tmp_path / "uploads", tmp_path / "uploads-beside"
    for folder in (uploads, beside):
        folder.mkdir()
        Image.new("RGB", (8, 8)).save(folder / "hill.png")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(uploads))
    return uploads, beside


@pytest.mark.parametrize(
    ("size", "suffix"), [((300, 200), "webp"), ((20_000, 3), "jpg"), ((3, 65_500), "jpg"), ((65_535, 2), "png")]
)
def test_drawings_of_every_size_are_written(size: tuple[int, int], suffix: str, places: tuple[Path, Path]) -> None:
    path = save_drawing(Image.new("RGB", size, (10, 200, 60)))
    assert path.endswith(f".{suffix}")
    read = load_image(path)
    assert read.size == size and max(abs(a - b) for a, b in zip(read.getpixel((0, 0)), (10, 200, 60), strict=True)) < 8


def name_file(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


def test_uploads_and_examples_are_opened(places: tuple[Path, Path]) -> None:
    uploads, _ = places
    assert uploaded_path(name_file(str(uploads / "hill.png"))) == str((uploads / "hill.png").resolve())
    example = next(EXAMPLES.glob("*.png"))
    assert uploaded_path(name_file(str(example))) == str(example.resolve())


def test_no_file_object_names_anything_else(places: tuple[Path, Path]) -> None:
    uploads, beside = places
    secret = beside / "hill.png"
    (uploads / "link.png").symlink_to(secret)
    (uploads / "folder").symlink_to(beside)
    names = [str(secret), f"{uploads}/../{beside.name}/hill.png", f"{uploads}/link.png", f"{uploads}/folder/hill.png"]
    for path in [*names, "", "/", "/etc/hostname", f"{secret}\0", 7, None, [str(secret)]]:
        for more in ({}, {"url": f"file://{secret}"}, {"is_stream": True}, {"orig_name": "hill.png"}):
            with pytest.raises(ImageError, match="must be an uploaded file"):
                uploaded_path(name_file(path, **more))  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["local"], indirect=True)
@pytest.mark.parametrize("more", [{}, {"is_stream": True}, {"url": "http://a.example/hill.png"}])
def test_no_event_opens_a_file_of_the_server(scripted: App, tmp_path: Path, more: dict[str, Any]) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8)).save(secret)
    file = name_file(str(secret), **more)
    for question in (
        ("ground", file, "ball", "find", None, None, True),
        ("chat", {"text": "Well?", "files": [file]}, [], 0, 1, 1, 10, 1),
        ("find", file, "ball", "find", True, None, None, None),
    ):
        ended = Visitor(scripted.url).run(*question)
        assert not ended["success"] or "notice" in str(ended["output"])
    assert scripted.script and not scripted.script.requests
