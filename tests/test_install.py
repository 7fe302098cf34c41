"""What `pip install .` gives: a `dsvl2` command, nano and the page, wherever it is called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

import dsvl2_app
from tests.apps import find_port, running, stop
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "assets" / "examples" / "one.png"
INSTALLED = ("dsvl2_app", "assets", "setup.py", "pyproject.toml", "requirements.txt", "README.md", "LICENSE")
SOURCES = (*INSTALLED, "nano", "bench")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dsvl2(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The command in a fresh environment, which has the wheel of this clone and borrows the packages that run here."""
    folder = tmp_path_factory.mktemp("install")
    clone, wheels, fresh = folder / "clone", folder / "wheels", folder / "venv"
    clone.mkdir()
    for name in SOURCES:  # so that the build leaves nothing here
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, clone / name)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(clone))
    (wheel,) = wheels.iterdir()
    run(sys.executable, "-m", "venv", "--without-pip", str(fresh))
    scripts = fresh / ("Scripts" if os.name == "nt" else "bin")
    run(sys.executable, "-m", "pip", "--python", str(scripts / "python"), "install", "-q", "--no-deps", str(wheel))
    (site,) = fresh.rglob("site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    shutil.rmtree(clone)
    return str(scripts / "dsvl2")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    yield
    assert list(tmp_path.iterdir()) == []  # no command leaves a file where it is called


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=250).stdout


def list_files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


@pytest.mark.usefixtures("elsewhere")
def test_commands_work_from_any_folder(dsvl2: str) -> None:
    python = str(Path(dsvl2).with_name("python"))
    used = run(python, "-c", "from dsvl2_app.bundled import ASSETS; print(ASSETS)").strip()
    assert Path(used).is_relative_to(Path(dsvl2).parents[1])
    assert list_files(Path(used)) == list_files(ROOT / "assets") - {"screenshot.png"}
    assert run(dsvl2, "--version") == f"dsvl2 {dsvl2_app.__version__}\n"
    assert "cyan" in run(dsvl2, "chat", "--compile", "off", "--image", str(PICTURE), "What do you see?")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("folder", "words"), [("nano", ["train", "--out", "runs"]), ("nano", ["eval"]), ("bench", ["bench"])]
)
def test_what_needs_a_clone_says_so(dsvl2: str, folder: str, words: list[str]) -> None:
    (site,) = Path(dsvl2).parents[1].rglob("site-packages")
    assert not (site / folder).exists()
    done = subprocess.run([dsvl2, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert f"the folder {folder}" in done.stderr and "in a clone" in done.stderr


@pytest.mark.usefixtures("elsewhere")
def test_the_page_is_served_from_any_folder(dsvl2: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    port, log, here = find_port(), tmp_path_factory.mktemp("log") / "log", Path.cwd()
    words = [dsvl2, "serve", "--compile", "off", "--port", str(port)]
    with running(words, port, log, environment=os.environ, cwd=here) as page:
        with urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE) as answer:
            assert "DeepSeek-VL2" in answer.read().decode()
        assert stop(page) in (0, 130)
    assert f"Running on local URL:  http://127.0.0.1:{port}" in log.read_text(encoding="utf-8")
