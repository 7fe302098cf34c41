"""Spaces: front matter with the documented names and values, and folders that start as Spaces start them."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from gradio_client import Client, handle_file
from huggingface_hub import SpaceHardware
from packaging.requirements import Requirement

from dsvl2_app.__main__ import main
from dsvl2_app.command_flags import SPACE_PRESETS
from dsvl2_app.hub import ALL_FILES, PINNED, TEXT_FILES
from dsvl2_app.settings import RELEASED, Settings
from dsvl2_app.space.folder import CLONE, read_pins
from dsvl2_app.space.presets import PRESETS, list_checkpoint, write_front_matter
from tests import pins
from tests.apps import find_port, running, stop

COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
# What https://huggingface.co/docs/hub/spaces-config-reference knows, and `license` of every repository.
CHECKS: dict[str, Any] = {
    "title": lambda value: isinstance(value, str) and value,
    "emoji": lambda value: isinstance(value, str) and not value.isascii() and len(value) == 1,
    "colorFrom": COLOURS.__contains__,
    "colorTo": COLOURS.__contains__,
    "sdk": ("gradio", "docker", "static").__contains__,
    "python_version": lambda value: isinstance(value, str) and re.fullmatch(r"3\.\d+(\.\d+)?", value),
    "sdk_version": lambda value: isinstance(value, str) and re.fullmatch(r"\d+\.\d+\.\d+", value),
    "suggested_hardware": {each.value for each in SpaceHardware}.__contains__,
    "app_file": lambda value: (CLONE / value).is_file(),
    "license": lambda value: value == "mit" and "MIT License" in (CLONE / "LICENSE").read_text(),
    "short_description": lambda value: 0 < len(value) <= 60,  # the hub refuses longer ones
    "models": lambda value: set(value) <= set(RELEASED.values()),
    "tags": lambda value: all(re.fullmatch(r"[a-z0-9-]+", tag) for tag in value),
    "startup_duration_timeout": lambda value: re.fullmatch(r"\d+[mh]", value),
    "preload_from_hub": lambda value: all(len(item.split(" ")) == 3 for item in value),
}
NEEDED = {"title", "sdk", "sdk_version", "app_file", "python_version", "suggested_hardware"}


@pytest.fixture(params=PRESETS)
def preset(request: pytest.FixtureRequest) -> str:
    return request.param


def read_front_matter(text: str) -> dict[str, Any]:
    head, start, rest = text.partition("---\n")
    assert head == "" and start
    return yaml.safe_load(rest.partition("\n---\n")[0])


def write(preset: str) -> str:
    return write_front_matter(PRESETS[preset], read_pins()["gradio"])


def test_the_command_offers_every_preset() -> None:
    assert tuple(PRESETS) == SPACE_PRESETS


def test_front_matter_has_documented_names_and_values(preset: str) -> None:
    fields = read_front_matter(write(preset))
    assert NEEDED <= fields.keys() <= CHECKS.keys()
    assert [name for name, value in fields.items() if not CHECKS[name](value)] == []


def test_the_readme_is_that_of_the_smallest_space() -> None:
    assert (CLONE / "README.md").read_text(encoding="utf-8").startswith(write("cpu-nano") + "\n# dsvl2\n")


def test_what_is_preloaded_is_what_loading_asks_for(preset: str) -> None:
    fields = read_front_matter(write(preset))
    if preset == "cpu-nano":
        assert "preload_from_hub" not in fields
        return
    (item,) = fields["preload_from_hub"]
    repo, files, commit = item.split(" ")
    assert fields["models"] == [repo]
    assert commit == PINNED[repo] and re.fullmatch(r"[0-9a-f]{40}", commit)
    names = [Path(name) for name in files.split(",")]
    assert all(any(name.match(pattern) for pattern in ALL_FILES) for name in names)
    assert sum(name.match("*.json") for name in names) == 6 and TEXT_FILES[0] == "*.json"
    shards = sorted(name.name for name in names if name.suffix == ".safetensors")
    assert shards[-1] == f"model-{len(shards):05}-of-{len(shards):06}.safetensors"


@pytest.mark.parametrize(("model", "count"), [("tiny", 1), ("small", 4), ("base", 8)])
def test_a_checkpoint_has_its_weight_files(model: str, count: int) -> None:
    files = list_checkpoint(model)
    assert len(set(files)) == len(files) == 6 + count


def test_a_folder_has_what_a_space_needs_and_nothing_else(preset: str, tmp_path: Path) -> None:
    folder = tmp_path / "space"
    assert main(["space", "--preset", preset, str(folder)]) == 0
    assert sorted(each.name for each in folder.iterdir()) == sorted(
        [".gitattributes", "LICENSE", "README.md", "app.py", "assets", "dsvl2_app", "packages.txt", "requirements.txt"]
    )
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    known = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "dsvl2_app", "assets"],
        cwd=CLONE,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    assert {name for name in files if "/" in name} == {*filter(None, known)} - {"assets/screenshot.png"}
    assert (folder / "README.md").read_text(encoding="utf-8").startswith(write(preset) + "\n# DeepSeek-VL2\n")


def test_binary_files_are_left_to_git_lfs(tmp_path: Path) -> None:
    main(["space", str(tmp_path / "space")])
    kinds = {line.split()[0] for line in (tmp_path / "space" / ".gitattributes").read_text().splitlines()}
    large = {f"*{file.suffix}" for file in (tmp_path / "space").rglob("*") if file.stat().st_size > 10**7}
    assert {"*.safetensors", "*.png", "*.jpg"} | large <= kinds
    assert not kinds & {"*.py", "*.json", "*.md", "*.css", "*.js", "*.txt", "*."}


def test_requirements_are_the_releases_that_were_tested(preset: str, tmp_path: Path) -> None:
    main(["space", "--preset", preset, str(tmp_path / "space")])
    lines = (tmp_path / "space" / "requirements.txt").read_text().splitlines()
    options = [line for line in lines if line.startswith("-")]
    assert bool(options) == (preset == "cpu-nano")  # PyPI's torch brings CUDA
    pinned = {each.name: each for each in map(Requirement, lines[len(options) :])}
    place = {"python_version": "3.12", "python_full_version": "3.12.12", "sys_platform": "linux"}
    place |= {"platform_machine": "x86_64", "platform_system": "Linux", "os_name": "posix"}
    tested = pins.read_pins(pins.CONSTRAINTS, place)
    wanted = pins.read(CLONE / "requirements.txt", place)
    assert pinned.keys() == wanted.keys()
    for name, requirement in pinned.items():
        assert str(requirement.specifier) == f"=={tested[name]}"
        assert wanted[name].specifier.contains(tested[name])


def test_the_app_of_a_folder_serves_the_model_of_its_preset(preset: str, tmp_path: Path) -> None:
    main(["space", "--preset", preset, str(tmp_path / "space")])
    code = (tmp_path / "space" / "app.py").read_text(encoding="utf-8")
    (chosen,) = re.findall(r'setdefault\("DSVL2_MODEL", "(\w+)"\)', code) or ["nano"]
    assert Settings(model=chosen).checkpoint == RELEASED.get(PRESETS[preset].model, "nano")
    names = [node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]
    assert names == ["main"]
    assert (preset == "cpu-nano") == (code == (CLONE / "app.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize("what", ["file", "folder"])
def test_nothing_is_overwritten(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine"
    if what == "folder":
        mine.mkdir()
    (mine / "notes" if what == "folder" else mine).write_text("mine")
    assert main(["space", str(mine)]) == 2
    assert capsys.readouterr().err == f"{mine} is not empty; name a new folder.\n"


def test_without_a_clone_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dsvl2_app.space.folder.CLONE", tmp_path / "site-packages")
    assert main(["space", str(tmp_path / "space")]) == 2
    assert "needs a clone" in capsys.readouterr().err and not (tmp_path / "space").exists()


@pytest.mark.slow
def test_nanos_folder_starts_as_a_space(tmp_path: Path) -> None:
    folder = tmp_path / "space"
    main(["space", str(folder)])
    port = find_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DSVL2_", "PYTHON"))}
    environment |= {
        "SYSTEM": "spaces",
        "SPACE_ID": "somebody/dsvl2",
        "SPACE_HOST": "somebody-dsvl2.hf.space",
        "SPACES_ZERO_GPU": "",
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": str(port),
        "DSVL2_COMPILE": "off",
        "HOME": str(tmp_path),
    }
    command = [sys.executable, "app.py"]
    with running(command, port, tmp_path / "log", environment=environment, cwd=folder) as app:
        question = {"text": "What do you see?", "files": [handle_file(str(folder / "assets" / "examples" / "one.png"))]}
        client = Client(f"http://127.0.0.1:{port}", verbose=False)
        assert "cyan" in client.predict(question, temperature=0, api_name="/chat")
        assert stop(app) in (0, 130)
