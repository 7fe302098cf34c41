"""`python app.py`: what goes wrong at start is one sentence and exit status 2."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.slow
def test_uploads_go_with_the_process(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    environment = {**os.environ, "TMPDIR": str(tmp_path), "DSVL2_LOAD_FORMAT": "dummy", "DSVL2_PORT": port}
    environment.pop("GRADIO_TEMP_DIR", None)
    app = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with app:
        assert app.stdout
        assert any("Running" in line for line in app.stdout)
        assert len(list(tmp_path.glob("dsvl2-*"))) == 1
        app.terminate()
        app.stdout.read()
    assert app.returncode in (0, 130)  # stopped while it served, or just before
    assert not list(tmp_path.glob("dsvl2-*"))


@pytest.mark.slow
def test_a_taken_port_is_explained():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        app = start("--load-format", "dummy", "--port", str(taken.getsockname()[1]))
    assert app.returncode == 2
    assert app.stderr.strip().endswith("it may be taken, so choose another --port.")
