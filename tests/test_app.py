"""`python app.py`: what goes wrong at start is one sentence and exit status 2."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[1]


def start(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "app.py", *flags], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "said"), [(("--bogus",), "--help"), (("--model", "tests"), "config.json"), (("--port", "x"), "--port")]
)
def test_a_wrong_flag_is_explained(flags, said):
    app = start(*flags)
    assert app.returncode == 2
    assert said in app.stderr
    assert len(app.stderr.splitlines()) == 1


@contextmanager
def serve(**environment: str) -> Iterator[str]:
    """The address of an app, which ends with this context."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    environment = {**os.environ, "DSVL2_LOAD_FORMAT": "dummy", "DSVL2_PORT": port, **environment}
    with subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as app:
        assert app.stdout
        try:
            assert any("Running" in line for line in app.stdout)
            yield f"http://127.0.0.1:{port}"
        finally:
            app.terminate()
            app.stdout.read()
    assert app.returncode in (0, 130)  # stopped while it served, or just before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TMPDIR", "GRADIO_TEMP_DIR"])
def test_uploads_go_with_the_process(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    with serve(**{name: str(tmp_path)}):
        assert len(list(tmp_path.glob("dsvl2-*"))) == 1
    assert not list(tmp_path.glob("dsvl2-*"))


@pytest.mark.slow
def test_an_app_that_ends_leaves_the_files_of_others(tmp_path: Path) -> None:
    folder = str(tmp_path / "uploads")
    with serve(GRADIO_TEMP_DIR=folder) as url:
        with serve(GRADIO_TEMP_DIR=folder):
            pass
        page = httpx.get(url, timeout=60).text
        names = set(re.findall(r"\"(/[^\s\"]*/uploads/[^\s\"]*\.(?:png|jpg))\"", page))
        assert len(names) > 5  # the thumbnails of the examples
        assert {httpx.get(f"{url}/gradio_api/file={name}").status_code for name in names} == {200}


@pytest.mark.slow
def test_a_taken_port_is_explained():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        app = start("--load-format", "dummy", "--port", str(taken.getsockname()[1]))
    assert app.returncode == 2
    assert app.stderr.strip().endswith("it may be taken, so choose another --port.")
