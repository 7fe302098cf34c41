"""What the Dockerfile promises, and what .dockerignore lets into the image."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from dsvl2_app.runtime.cpu.library import open_cache
from tests.docker.dockerfile import ROOT, Stage, is_ignored, list_context, read_rules, read_stages

STAGES = {stage.name: stage for stage in read_stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))}
TARGETS = ("cpu", "cuda")


def texts(stage: Stage, name: str) -> list[str]:
    return [step.text for step in stage.instructions if step.name == name]


def test_a_space_builds_the_image_for_cpus() -> None:
    assert [*STAGES][-1] == "cpu"
    assert {STAGES[target].base for target in TARGETS} == {"runtime"}


def test_images_are_named_to_the_release() -> None:
    bases = {stage.base for stage in STAGES.values()} - STAGES.keys()
    assert bases == {"python:3.12-slim-trixie"}


@pytest.mark.parametrize("target", TARGETS)
def test_torch_comes_from_its_own_index_and_all_packages_with_constraints(target: str) -> None:
    packages = STAGES[f"packages-{target}"]
    assert [step.flags for step in STAGES[target].instructions if step.name == "COPY"] == [
        {"from": packages.name},
        {"chown": "1000"},
    ]
    (index,) = texts(packages, "ARG")
    assert ("/whl/cpu" in index) == (target == "cpu")
    torch, others = texts(packages, "RUN")
    assert index.partition("=")[0] in torch and "constraints.txt" in torch
    assert "-r requirements.txt -c constraints.txt" in others


def test_the_app_is_a_users_and_receives_signals() -> None:
    runtime = STAGES["runtime"]
    assert any("--uid 1000 user" in text for text in texts(runtime, "RUN"))
    assert texts(runtime, "USER") == ["1000"]
    assert not any(texts(STAGES[target], "USER") for target in TARGETS)
    assert json.loads(texts(runtime, "ENTRYPOINT")[0]) == ["python", "app.py"]


def test_caches_lie_where_volumes_are_put(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runtime = STAGES["runtime"]
    (made,) = (text for text in texts(runtime, "RUN") if text.startswith("mkdir"))
    (variables,) = texts(runtime, "ENV")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with open_cache() as folder:
        kernels = f"/home/user/{folder.relative_to(tmp_path).as_posix()}"
    (weights,) = re.findall(r"HF_HOME=(\S+)", variables)
    (triton,) = re.findall(r"TRITON_CACHE_DIR=(\S+)", variables)
    assert {kernels, weights} <= set(made.split()) and triton.startswith(f"{kernels}/")
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert f"kernels:{kernels}\n" in compose and f"weights:{weights}\n" in compose


def test_the_image_has_what_the_app_runs_with_and_nothing_else() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("no git repository")
    wanted = ("app.py", "requirements.txt", "constraints.txt", "LICENSE", "dsvl2_app/", "assets/")
    listed = {name for name in done.stdout.splitlines() if name.startswith(wanted) and (ROOT / name).exists()}
    sent = {path.as_posix() for path in list_context()}
    assert listed - sent == {"assets/screenshot.png"}
    new = subprocess.run(["git", "ls-files", "-o", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    assert sent - listed <= set(new.stdout.splitlines())


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("a.py", True),
        ("kept/a.py", False),
        ("kept/deep/__pycache__/a.pyc", True),
        ("kept/no.txt", True),
        ("kept/deep/no.txt", False),
        ("keptish/a.py", True),
        ("one.md", False),
        ("deep/one.md", True),
    ],
)
def test_the_last_rule_that_matches_decides(path: str, ignored: bool) -> None:
    rules = list(read_rules("# a comment\n*\n!kept\n**/__pycache__\nkept/no.txt\n!*.md\ndeep\n"))
    assert is_ignored(Path(path), rules) == ignored
