"""The health check of a container: which process it takes for the app, and what it makes of its answer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dsvl2_app.health import probe


def add_process(folder: Path, number: int, words: list[str], environment: dict[str, str] | None = None) -> None:
    process = folder / str(number)
    process.mkdir()
    (process / "cmdline").write_text("".join(f"{word}\0" for word in words))
    (process / "environ").write_text("".join(f"{name}={value}\0" for name, value in (environment or {}).items()))


@pytest.mark.parametrize(
    "words",
    [
        ["python", "app.py"],
        ["/usr/bin/python3.12", "/home/user/app/app.py"],
        ["/opt/dsvl2/bin/python", "/opt/dsvl2/bin/dsvl2", "serve"],
        ["python", "-m", "dsvl2_app", "serve"],
    ],
)
@pytest.mark.parametrize(
    ("flags", "environment", "port"),
    [
        ([], {}, 7860),
        ([], {"GRADIO_SERVER_PORT": "7870"}, 7870),
        ([], {"GRADIO_SERVER_PORT": "7870", "DSVL2_PORT": "8000"}, 8000),
        (["--metrics", "--port", "9000"], {"DSVL2_PORT": "8000"}, 9000),
        (["--port=9000", "--model", "tiny"], {}, 9000),
    ],
)
def test_the_port_is_the_one_that_was_chosen(
    tmp_path: Path, words: list[str], flags: list[str], environment: dict[str, str], port: int
) -> None:
    (tmp_path / "meminfo").touch()
    add_process(tmp_path, 1, ["/sbin/docker-init", "--", *words, *flags], {"DSVL2_PORT": "1"})
    add_process(tmp_path, 7, ["sh", "-c", " ".join(words)], {"DSVL2_PORT": "1"})
    add_process(tmp_path, 10, [*words, *flags], environment)
    (tmp_path / "9").mkdir()  # it ended before it was read
    found = probe.find_app(tmp_path)
    assert found and found.port == port


def test_other_commands_are_not_the_app(tmp_path: Path) -> None:
    add_process(tmp_path, 1, ["python", "-m", "dsvl2_app.health.probe"])
    add_process(tmp_path, 2, ["dsvl2", "chat", "serve"])
    add_process(tmp_path, 3, ["python", "app.py", "--port", "none"])
    assert probe.find_app(tmp_path) is None


class Page(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(("status", "ended"), [(200, 0), (503, 1)])
@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_it_ends_with_what_healthz_says(
    page: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, ended: int, host: str
) -> None:
    monkeypatch.setattr(Page, "status", status)
    monkeypatch.setattr(probe, "find_app", lambda: probe.Settings.parse(["--port", str(page), "--host", host], {}))
    assert probe.main() == ended


def test_nobody_there_is_not_healthy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(probe, "find_app", lambda: probe.Settings.parse(["--port", "1"], {}))
    assert probe.main() == 1
    assert "127.0.0.1:1" in capsys.readouterr().err
    monkeypatch.setattr(probe, "find_app", lambda: None)
    assert probe.main() == 1


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc on this system")
@pytest.mark.slow
def test_it_finds_a_process_that_runs(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print('here', flush=True); input()")
    words = [sys.executable, "app.py", "--port", "4321"]
    with subprocess.Popen(words, cwd=tmp_path, stdin=-1, stdout=-1, env={**os.environ, "DSVL2_HOST": "::"}) as app:
        assert app.stdout and app.stdout.readline() == b"here\n"
        own = tmp_path / "proc"
        own.mkdir()
        (own / str(app.pid)).symlink_to(f"/proc/{app.pid}")
        found = probe.find_app(own)
        app.communicate(b"\n")
    assert found and (found.host, found.port) == ("::", 4321)
