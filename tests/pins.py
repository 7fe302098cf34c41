"""Exact releases: constraints.txt, which every command installs with, and floors.txt, the oldest that are allowed.

`python -m tests.pins` makes both from the ranges in requirements*.txt, with uv, which resolves them for every Python
and platform at once. Both files are constraints for plain pip; environment markers choose the pin for a Python.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
FLOORS = ROOT / "tests" / "floors.txt"
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")

# Not the newest: its CPU build is small, and the figures in README and docs were measured with it.
TORCH = "torch==2.13.0"
# What builds of torch for NVIDIA GPUs pin themselves; other builds go without.
OF_TORCH = re.compile(r"(nvidia|cuda)-")
HEAD = "# {what}\n# Made by `make constraints`.\n"


def parse(text: str) -> list[Requirement]:
    """The requirements of a file in pip's format, without those of files that it refers to."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def read(file: Path, environment: dict[str, str] | None = None) -> dict[str, Requirement]:
    """What a file asks for in an environment (of PEP 508; this one unless given), by canonical name.

    Raises ValueError where it asks for the same package twice.
    """
    where = {**default_environment(), **(environment or {})}
    found: dict[str, Requirement] = {}
    for requirement in parse(file.read_text(encoding="utf-8")):
        if requirement.marker and not requirement.marker.evaluate({**where, "extra": ""}):
            continue
        name = canonicalize_name(requirement.name)
        if name in found:
            raise ValueError(f"{file.name} asks for {name} twice: {found[name]} and {requirement}")
        found[name] = requirement
    return found


def read_pins(file: Path, environment: dict[str, str] | None = None) -> dict[str, str]:
    """The version of each package in an environment, from constraints.txt or floors.txt."""
    pins = {}
    for name, requirement in read(file, environment).items():
        (specifier,) = requirement.specifier
        pins[name] = specifier.version
    return pins


def resolve(requirements: str, *options: str) -> str:
    """Pins that satisfy `requirements` (in pip's format) on Python 3.10 and later, a line each."""
    command = ["uv", "pip", "compile", "-", "--universal", "--python-version", "3.10", "--quiet"]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", *options]
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, input=requirements, stdout=subprocess.PIPE, text=True, check=True
    )
    return "".join(line for line in done.stdout.splitlines(keepends=True) if not OF_TORCH.match(line))


def main() -> None:
    newest = resolve(f"-r {REQUIREMENTS[-1]}\n{TORCH}\n")
    oldest = resolve(f"-r {REQUIREMENTS[0]}\n", "--resolution", "lowest-direct")
    CONSTRAINTS.write_text(HEAD.format(what="What the tests ran with, to the release.") + newest, encoding="utf-8")
    FLOORS.write_text(
        HEAD.format(what="The oldest releases that requirements.txt allows, and what they need.") + oldest,
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
