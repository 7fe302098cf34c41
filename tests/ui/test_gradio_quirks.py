"""Private parts of Gradio: in one file, and of the one minor release that is asked for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import gradio
import pytest
from gradio.processing_utils import hash_bytes

from dsvl2_app.ui import gradio_quirks

ROOT = Path(__file__).parents[2]
QUIRKS = Path(gradio_quirks.__file__)
PUBLIC = {"gradio", "gradio_client", "gradio.themes.utils"}  # the documented way to a theme's colours


def imported_modules(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def private_parts(source: str) -> set[str]:
    found = {name for name in imported_modules(source) if re.match(r"gradio(_client)?(\.|$)", name)} - PUBLIC
    named = re.findall(r"\bgr\.(?:processing_utils|utils|context|blocks|routes|i18n)\b", source)
    return found | set(named) | set(re.findall(r"\.(?:fns|api_info|data_model)\b|gradio_api/file=", source))


def test_private_parts_are_found():
    assert private_parts("from gradio.utils import get_upload_folder\nimport gradio as gr\ngr.context\ndemo.fns") == {
        "gradio.utils",
        "gr.context",
        ".fns",
    }
    assert private_parts(QUIRKS.read_text(encoding="utf-8")) >= {"gradio.utils", "gradio_client.utils", "gradio.i18n"}


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(set((ROOT / "dsvl2_app").rglob("*.py")) - {QUIRKS}), ids=lambda file: file.stem)
def test_other_files_use_no_private_part(file):
    assert private_parts(file.read_text(encoding="utf-8")) == set()


def test_release_is_the_one_asked_for():
    major, minor = gradio_quirks.VERSION.split(".")
    assert gradio.__version__.split(".")[:2] == [major, minor]
    ceiling = f"<{major}.{int(minor) + 1}"
    for name in ("requirements.txt", "requirements-dev.txt"):
        (line,) = re.findall(r"^gradio.*", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
        assert line.split("]")[-1].removeprefix("gradio") == f">={gradio_quirks.VERSION},{ceiling}"
    assert f"\nsdk_version: {gradio_quirks.VERSION}." in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Gradio {gradio_quirks.VERSION}" in (ROOT / "assets" / "quirks.js").read_text(encoding="utf-8")


def test_last_update_repeats_what_stays():
    first, second = {"status": "Starting", "boxes": 0}, {"status": "Done"}
    assert gradio_quirks.last_update(first, {}, second) == {"status": "Done", "boxes": 0}
    assert first == {"status": "Starting", "boxes": 0}


def test_uploads_lie_where_gradio_serves_them(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    path = gradio_quirks.upload_path(b"pixels", "a picture.png")
    assert path == tmp_path.resolve() / hash_bytes(b"pixels") / "a picture.png"
    assert gradio_quirks.file_address(path).startswith("gradio_api/file=/")
    assert gradio_quirks.file_address(path).endswith("/a%20picture.png")


def test_only_file_objects_are_uploads():
    assert gradio_quirks.is_upload({"path": "a.png", "meta": {"_type": "gradio.FileData"}})
    for other in (None, "a.png", {"path": "a.png"}, {"path": "a.png", "meta": {}}):
        assert not gradio_quirks.is_upload(other)
