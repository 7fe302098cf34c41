"""docs/architecture.md lists every file: those that it lists are there, and those that are there it lists."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WHOLE = ("assets/nano/", "assets/examples/", "tests/reference/", "findings/")  # folders that one line stands for


def read_map() -> Iterator[str]:
    """Paths in the block below "## Map", folders with a slash at the end."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    above: list[str] = []
    for line in re.findall(r"^    (.+)$", text.partition("\n## Map\n")[2], re.MULTILINE):
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        assert depth <= len(above), f"{line}: too far in"
        above[depth:] = [name] if name.endswith("/") else []
        yield "".join(above[:depth]) + name


def list_files() -> Iterator[str]:
    """What git knows and the map must list: no hidden files, and neither tests of a module nor `__init__.py`."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("no git repository")
    for name in done.stdout.splitlines():
        file = ROOT / name
        listed = not (name.startswith((".", *WHOLE)) or file.name == "__init__.py" or file.name.startswith("test_"))
        if listed and file.exists():
            yield name


def test_the_map_lists_what_is_there() -> None:
    listed = [path for path in read_map() if not path.endswith("/")]
    assert sorted(set(listed) - set(list_files())) == []
    assert sorted(set(list_files()) - set(listed)) == []


def test_the_map_lists_each_once_and_no_empty_folder() -> None:
    paths = list(read_map())
    assert len(paths) == len(set(paths)) > 200
    assert [path for path in paths if not (ROOT / path).exists()] == []
