"""The Dockerfile and .dockerignore as Docker reads them, as far as this project's use of them goes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
KNOWN = {
    *("FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR", "USER"),
    *("EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
}


@dataclass(frozen=True)
class Instruction:
    name: str
    flags: dict[str, str]  # as {"chown": "user"}
    text: str


@dataclass
class Stage:
    name: str
    base: str  # an image, or the name of a stage before
    instructions: list[Instruction] = field(default_factory=list)


def read_instructions(text: str) -> Iterator[Instruction]:
    """Raises AssertionError for what this project's Dockerfile does not use."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, rest = line.split(maxsplit=1)
            assert name in KNOWN, line
            flags: dict[str, str] = {}
            while found := re.match(r"--([\w-]+)=(\S+)\s+", rest):
                flags[found[1]], rest = found[2], rest[found.end() :]
            yield Instruction(name, flags, rest.strip())


def read_stages(text: str) -> list[Stage]:
    stages: list[Stage] = []
    for instruction in read_instructions(text):
        if instruction.name == "FROM":
            base, _, name = re.split(r"\s+(AS)\s+", instruction.text)
            stages.append(Stage(name, base))
        else:
            stages[-1].instructions.append(instruction)
    return stages


def list_context(folder: Path = ROOT) -> Iterator[Path]:
    """What Docker is sent of a folder: all its files but those that .dockerignore names, relative to it."""
    rules = list(read_rules((folder / ".dockerignore").read_text(encoding="utf-8")))
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder)
        if path.parts[0] != ".git" and file.is_file() and not is_ignored(path, rules):
            yield path


def read_rules(text: str) -> Iterator[tuple[bool, re.Pattern[str]]]:
    """Whether what matches is ignored, and the pattern of a path or of a folder above it."""
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            pattern = line.strip().removeprefix("!").strip("/")
            parts = [re.escape(part).replace(r"\*", "[^/]*") for part in pattern.split("/")]
            expression = "".join("(.*/)?" if part == "[^/]*" * 2 else f"{part}/" for part in parts)
            yield not line.startswith("!"), re.compile(expression)


def is_ignored(path: Path, rules: list[tuple[bool, re.Pattern[str]]]) -> bool:
    """The last rule that matches decides."""
    return next((ignored for ignored, rule in reversed(rules) if rule.match(f"{path.as_posix()}/")), False)
