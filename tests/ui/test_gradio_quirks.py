"""Private parts of Gradio: in one file, and of the one minor release that is asked for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio
import pytest
from gradio.context import LocalContext
from gradio.processing_utils import hash_bytes
from starlette.requests import Request

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


JOIN = "/gradio_api/queue/join"


@pytest.mark.parametrize(
    ("root_path", "path", "headers", "root"),
    [
        ("", JOIN, {"host": "127.0.0.1:7860"}, "http://127.0.0.1:7860/"),
        ("", "/gradio_api/run/predict", {"host": "127.0.0.1:7860"}, "http://127.0.0.1:7860/"),
        ("", "/gradio_api/call/chat", {"host": "127.0.0.1:7860"}, "http://127.0.0.1:7860/"),
        ("/demo", f"/demo{JOIN}", {"host": "example.org"}, "http://example.org/demo/"),
        ("/demo", f"/demo{JOIN}", {"host": "a", "x-forwarded-host": "example.org"}, "http://example.org/demo/"),
        ("/demo", f"/demo{JOIN}", {"host": "example.org", "x-forwarded-proto": "https"}, "https://example.org/demo/"),
        ("https://example.org/demo", f"/demo{JOIN}", {"host": "a:7860"}, "https://example.org/demo/"),
        # what the proxy does not tell, the page that asks does
        ("", JOIN, {"host": "example.org", "origin": "https://example.org"}, "https://example.org/"),
        ("", JOIN, {"host": "example.org", "origin": "http://example.org:8095"}, "http://example.org:8095/"),
        ("", JOIN, {"host": "example.org:8443", "origin": "https://example.org:8443"}, "https://example.org:8443/"),
        # and another site's page, or another one of the same host, does not
        ("", JOIN, {"host": "example.org", "origin": "https://blog.org"}, "http://example.org/"),
        ("", JOIN, {"host": "example.org:7860", "origin": "http://example.org:8095"}, "http://example.org:7860/"),
        ("", JOIN, {"host": "example.org", "origin": "null"}, "http://example.org/"),
    ],
)
def test_addresses_of_files_are_those_that_the_visitor_sees(
    root_path: str, path: str, headers: dict[str, str], root: str
) -> None:
    scope = {
        "type": "http",
        "scheme": "http",
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": ("10.0.0.1", 7860),
        "app": SimpleNamespace(root_path=root_path),
    }
    token = LocalContext.request.set(gradio.Request(Request(scope)))
    try:
        assert gradio_quirks.file_address("/tmp/a b.png") == f"{root}gradio_api/file=/tmp/a%20b.png"
    finally:
        LocalContext.request.reset(token)


def test_only_file_objects_are_uploads():
    assert gradio_quirks.is_upload({"path": "a.png", "meta": {"_type": "gradio.FileData"}})
    for other in (None, "a.png", {"path": "a.png"}, {"path": "a.png", "meta": {}}):
        assert not gradio_quirks.is_upload(other)
