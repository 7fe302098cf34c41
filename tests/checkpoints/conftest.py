from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from dsvl2_app.__main__ import main
from tests.checkpoints.hub import Hub

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


Run = Callable[..., Done]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def hub(reference_folder: Path) -> Iterator[Hub]:
    """The reference checkpoint of tiny, as if it were the released one."""
    folder = reference_folder / "tiny" / "checkpoint"
    hub = Hub({file.name: file.read_bytes() for file in sorted(folder.iterdir())} | {"README.md": b"# tiny"})
    yield hub
    hub.close()


@pytest.fixture
def run(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`dsvl2` with these arguments in this process, where that hub is the hub and its cache an empty folder."""
    constants = huggingface_hub.constants
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))

    def run(*argv: str) -> Done:
        capfd.readouterr()
        return Done(main(argv), *capfd.readouterr())

    return run


@pytest.fixture
def start(hub: Hub, tmp_path: Path) -> Iterator[Start]:
    """The same in a process of its own, where the environment says so; not waited for, and killed after the test."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "DSVL2_", "HUGGING"))}
    environment = keep | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    with ExitStack() as stack:

        def start(*argv: str, stderr: int = subprocess.PIPE, **more: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "dsvl2_app", *argv]
            options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": stderr, "text": True, "cwd": tmp_path}
            process = stack.enter_context(subprocess.Popen(command, env=environment | more, **options))
            stack.callback(process.kill)
            return process

        yield start
