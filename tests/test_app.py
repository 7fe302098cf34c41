"""`python app.py`: what goes wrong at start is one sentence and exit status 2, and uploads go with the process."""

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

from tests.apps import ROOT, find_port, running, stop


def start(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "app.py", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "said"), [(("--bogus",), "--help"), (("--port", "x"), "--port")])
def test_a_wrong_flag_is_explained(flags, said):
    app = start(*flags)
    assert app.returncode == 2
    assert said in app.stderr
    assert len(app.stderr.splitlines()) == 1


@contextmanager
def serve(folder: Path, log: Path) -> Iterator[str]:
    """The address of an app whose uploads are in `folder`, until it is stopped at the end of this context."""
    port = find_port()
    command = [sys.executable, "app.py", "--load-format", "dummy", "--port", str(port)]
    with running(command, port, log, environment={**os.environ, "GRADIO_TEMP_DIR": str(folder)}) as app:
        yield f"http://127.0.0.1:{port}"
        assert stop(app) in (0, 130)


@pytest.mark.slow
def test_uploads_go_with_the_process_and_those_of_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    with serve(folder, tmp_path / "log") as url:
        with serve(folder, tmp_path / "other"):
            assert len(list(folder.glob("dsvl2-*"))) == 2
        page = httpx.get(url, timeout=60).text
        names = set(re.findall(r"\"(/[^\s\"]*/uploads/[^\s\"]*\.(?:png|jpg))\"", page))
        assert len(names) > 5  # the thumbnails of the examples
        assert {httpx.get(f"{url}/gradio_api/file={name}").status_code for name in names} == {200}
    assert not list(folder.glob("dsvl2-*"))


@pytest.mark.slow
def test_a_taken_port_is_explained():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        app = start("--load-format", "dummy", "--port", str(taken.getsockname()[1]))
    assert app.returncode == 2
    assert app.stderr.strip().endswith("it may be taken, so choose another --port.")
