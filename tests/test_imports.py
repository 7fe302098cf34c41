"""Imports run downwards: what docs/architecture.md says of the packages, read from the sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import dsvl2_app

ROOT = Path(dsvl2_app.__file__).parents[1]
FOLDERS = ("dsvl2_app", "nano", "bench")
# What each part may import of the others, while it runs; a dotted name is that module alone.
BASE = {"errors", "settings", "hub", "bundled", "image", "request"}
MAY_IMPORT: dict[str, set[str]] = {
    "bundled": set(),
    "registration": set(),
    "errors": set(),
    "settings": {"errors", "credentials", "kinds", "__version__"},
    "kinds": {"credentials"},
    "credentials": set(),
    "hub": {"errors"},
    "progress": set(),
    "image": {"errors"},
    "request": {"errors"},
    "inspection": {"errors", "image"},
    "text": {"registration", "errors", "hub", "image", "request"},
    "model": {"registration", "errors", "hub", "image", "progress"},
    "checkpoints": {"errors", "hub", "progress", "model", "runtime", "engine"},
    "runtime": {"errors", "model"},
    "engine": BASE | {"inspection", "text", "model", "runtime"},
    "backend": {"errors", "settings", "request", "text.prompt"},  # the protocol knows no engine
    "backend.scripted": {"settings", "image", "inspection", "request", "text.prompt", "text.repetition", "backend"},
    "backend.answer": {"errors", "request", "engine", "backend"},
    "backend.local": {"errors", "settings", "request", "text.prompt", "engine", "backend"},
    "backend.waiting": {"errors", "request", "backend"},
    "backend.pool": {"errors", "settings", "request", "text.prompt", "engine", "runtime", "backend"}
    | {"backend.local", "backend.waiting"},
    "backend.loading": {"errors", "settings", "hub", "request", "text.prompt", "text.planner", "engine", "backend"}
    | {"checkpoints", "progress", "backend.local", "backend.waiting", "backend.pool"},
    "backend.servers": {"errors"},
    "backend.guided": {"text.grammar", "text.pattern", "backend.servers"},
    "backend.mismatch": {"settings", "image", "backend.servers"},
    "backend.packing": set(),
    "backend.wire": {"errors", "image", "request", "backend.servers", "backend.guided", "backend.packing"},
    "backend.remote": BASE
    | {"text", "backend", "backend.servers", "backend.wire", "backend.guided", "backend.mismatch"},
    "backend.zerogpu": {"errors", "settings", "request", "text.prompt", "engine", "backend", "backend.local"}
    | {"backend.zerogpu_call", "backend.zerogpu_seconds", "text.planner", "model", "runtime"},
    "backend.zerogpu_call": {"errors", "request", "engine"},
    "backend.zerogpu_seconds": {"request"},
    "ui": BASE - {"hub"} | {"inspection", "text", "backend", "credentials"},
    "api": {"errors", "settings", "image", "request", "text", "backend", "backend.packing"},
    "health": {"errors", "settings", "request", "text.prompt", "backend", "__version__"},
    "commands": {"errors", "settings", "command_flags"},
    "command_flags": {"settings", "text"},
    "space": {"errors", "settings", "hub"},
    "shutdown": set(),
    "serve": {"settings", "shutdown", "terminal.manners", "backend", "api", "ui", "health"},
    "terminal": BASE | {"inspection", "text", "backend", "model", "runtime", "checkpoints", "progress"},
    "finetune": BASE | {"text", "model", "runtime"},
    "evaluation": BASE | {"text", "backend", "commands", "command_flags"},
    "integrations": BASE | {"text", "backend"},
    # The two folders of a clone that no part of the package imports.
    "nano": BASE | {"text", "model", "runtime", "finetune", "evaluation", "command_flags"},
    "bench": BASE | {"text", "model", "runtime", "engine", "backend", "checkpoints", "ui"},  # the engine itself
}
START = {"__init__", "__main__"}  # these two start everything else
GRADIO, TORCH = ("gradio", "gradio_client"), ("torch",)


def read_imports(file: Path) -> Iterator[str]:
    """Full names of the modules that a file imports anywhere but under `if TYPE_CHECKING`."""
    pending: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{file}: a relative import"
            is_package = (ROOT / node.module.replace(".", "/") / "__init__.py").exists()
            yield from ((f"{node.module}.{name.name}" for name in node.names) if is_package else [node.module])
        pending += ast.iter_child_nodes(node)


def module_name(file: Path) -> str:
    return shorten(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))


def shorten(name: str) -> str:
    """A module's name inside of dsvl2_app; `__init__` for that itself."""
    return "__init__" if name == "dsvl2_app" else name.removeprefix("dsvl2_app.")


def part_of(module: str, parts: set[str]) -> str:
    """The longest of the names that the module's own begins with."""
    return max((part for part in parts if f"{module}.".startswith(f"{part}.")), key=len, default=module)


@cache
def all_imports() -> dict[str, list[str]]:
    files = (file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py")))
    return {module_name(file): list(read_imports(file)) for file in files}


def test_every_module_has_a_place() -> None:
    assert {part_of(module, {*MAY_IMPORT, *START}) for module in all_imports()} == {*MAY_IMPORT, *START}


def test_no_part_imports_in_a_circle() -> None:
    TopologicalSorter({part: {name.split(".")[0] for name in names} for part, names in MAY_IMPORT.items()}).prepare()


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_imports_run_downwards(part: str) -> None:
    parts = set(MAY_IMPORT)
    wrong = [
        f"{module} imports {name}"
        for module, names in all_imports().items()
        if part_of(module, parts) == part
        for name in (shorten(full) for full in names if full.startswith(tuple(f"{folder}." for folder in FOLDERS)))
        if part_of(name, parts) != part and part_of(name, MAY_IMPORT[part]) not in MAY_IMPORT[part]
    ]
    assert not wrong


def test_gradio_is_imported_by_the_page_alone_and_torch_never_by_it() -> None:
    for module, names in all_imports().items():
        libraries = {name.split(".")[0] for name in names}
        on_page = part_of(module, set(MAY_IMPORT)) == "ui"
        assert not libraries & set(TORCH if on_page else GRADIO), module
