"""What SECURITY.md says of the sources, read from them: nothing that is loaded or sent is run as code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import pins

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "app.py", ROOT / "setup.py"]
SOURCES += sorted(path for folder in ("dsvl2_app", "nano") for path in (ROOT / folder).rglob("*.py"))
RUNS_CODE = {"eval", "exec", "compile", "__import__"}
READS_OBJECTS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
RUNS_A_SHELL = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
READS_UNSAFELY = {"yaml.load", "yaml.unsafe_load", "yaml.full_load", "tempfile.mktemp"}


def find_forbidden(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.partition(".")[0] in READS_OBJECTS)
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{each.name}" for each in node.names}
            if (node.module or "").partition(".")[0] in READS_OBJECTS or names & (RUNS_A_SHELL | READS_UNSAFELY):
                yield f"from {node.module}"
        elif isinstance(node, ast.Call):
            yield from find_forbidden_call(node)


def find_forbidden_call(node: ast.Call) -> Iterator[str]:
    called = ast.unparse(node.func)
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}

    def says(name: str, value: bool) -> bool:
        """Whether a keyword is there and is not known to be the other value."""
        return name in keywords and not (
            isinstance(keywords[name], ast.Constant) and keywords[name].value is not value  # type: ignore[attr-defined]
        )

    if called in RUNS_CODE | RUNS_A_SHELL | READS_UNSAFELY:
        yield called
    if says("shell", True) or says("trust_remote_code", True) or says("allow_pickle", True):
        yield called
    if called in ("torch.load", "load_state_dict_from_url") and not (
        "weights_only" in keywords and not says("weights_only", False)
    ):
        yield f"{called} without weights_only"


@pytest.mark.slow
def test_nothing_runs_what_it_reads() -> None:
    found = {path: list(find_forbidden(path.read_text(encoding="utf-8"))) for path in SOURCES}
    assert len(found) > 300 and {path: each for path, each in found.items() if each} == {}


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "exec(text, {})",
        "compile(text, 'x', 'exec')",
        "import pickle",
        "import os, marshal",
        "from pickle import loads",
        "from os import system",
        "import joblib.numpy_pickle",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "subprocess.run('ls', shell=chosen)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=trusted)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=chosen)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
    ],
)
def test_each_way_is_seen(line: str) -> None:
    assert len(list(find_forbidden(line))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "model.eval()",
        "re.compile(text)",
        "torch.load(path, weights_only=True)",
        "subprocess.run(['ls'], shell=False)",
        "AutoModel.from_pretrained(name, trust_remote_code=False)",
        "from collections import OrderedDict",
        "yaml.safe_load(text)",
    ],
)
def test_what_is_harmless_passes(line: str) -> None:
    assert list(find_forbidden(line)) == []


def test_exceptions_of_the_linter_say_why() -> None:
    """Each `noqa` of a security rule stands in a line of the package with words after it."""
    for path in SOURCES:
        for line in path.read_text(encoding="utf-8").splitlines():
            if found := re.search(r"noqa: S\d+(.*)", line):
                assert len(found[1].split()) >= 3, f"{path.name}: {line.strip()}"


@pytest.mark.parametrize("name", pins.REQUIREMENTS)
def test_every_requirement_has_a_bound(name: str) -> None:
    """The oldest release that works; what is installed is bounded by constraints.txt, to the release."""
    for requirement in pins.parse((ROOT / name).read_text(encoding="utf-8")):
        assert any(each.operator in (">=", "==", "~=") for each in requirement.specifier), str(requirement)


def test_whatever_installs_does_so_within_the_constraints() -> None:
    for name in ("Makefile", "Dockerfile"):
        text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            if re.search(r"pip install .*-r ", line) and not line.lstrip().startswith("#"):
                assert "constraints.txt" in line, f"{name}: {line.strip()}"
