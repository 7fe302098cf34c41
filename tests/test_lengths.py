"""Files of the package have at most 300 lines and functions at most 40, but for data and kernels in Triton."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("dsvl2_app", "nano", "bench")
MOST_LINES = {"file": 300, "function": 40}

DATA = {"nano/phrasings.py", "dsvl2_app/ui/words/chinese.py", "dsvl2_app/ui/words/chinese_errors.py"}

# What is longer today. Nothing is ever added; what has been shortened must be taken out.
EXCEPTIONS: set[str] = {
    "dsvl2_app/model/sections.py::__init__",  # the keys of config.json
    "dsvl2_app/model/modeling.py::forward",  # the arguments that transformers reads by their names
}


def read_lengths() -> Iterator[tuple[str, str, int]]:
    """(name, "file" or "function", lines), where a function's name is that of its file, "::" and its own."""
    for file in sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")):
        text, name = file.read_text(encoding="utf-8"), file.relative_to(ROOT).as_posix()
        tree = ast.parse(text)
        functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
        if name not in DATA and not any(map(is_kernel, functions)):
            yield name, "file", len(text.splitlines())
        for function in functions:
            if not is_kernel(function):
                yield f"{name}::{function.name}", "function", (function.end_lineno or 0) - function.lineno + 1


def is_kernel(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("triton.jit" in ast.unparse(decorator) for decorator in function.decorator_list)


@cache
def find_long() -> dict[str, int]:
    return {name: lines for name, kind, lines in read_lengths() if lines > MOST_LINES[kind]}


def test_what_is_long_is_a_known_exception() -> None:
    assert {name: lines for name, lines in find_long().items() if name not in EXCEPTIONS} == {}


def test_every_exception_is_still_needed() -> None:
    assert set(EXCEPTIONS) - set(find_long()) == set()


def test_data_is_still_there() -> None:
    assert all((ROOT / name).is_file() for name in DATA)
