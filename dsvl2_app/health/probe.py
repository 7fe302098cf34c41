"""`python -m dsvl2_app.health.probe`: whether the app of this container lives, as exit status, for its health check.

The app is found among the processes, so the port is the one that it was given, as a flag or in its environment.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.request import urlopen

from dsvl2_app.errors import AppError
from dsvl2_app.settings import Settings

PROCESSES = Path("/proc")
SECONDS = 5.0  # until no answer counts as none
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # nothing is bound: --host -> where it is reached from here


def find_app(processes: Path = PROCESSES) -> Settings | None:
    """What the first process that serves the page was started with; None where there is none."""
    for process in sorted((each for each in processes.glob("[0-9]*")), key=lambda each: int(each.name)):
        try:
            flags = read_flags((process / "cmdline").read_text().split("\0")[:-1])
            if flags is not None:
                return Settings.parse(flags, read_environment((process / "environ").read_text()))
        except (OSError, AppError):  # another user's, gone meanwhile, or about to end by itself
            continue
    return None


def read_flags(words: Sequence[str]) -> Sequence[str] | None:
    """The flags of `python app.py`, `dsvl2 serve` or `python -m dsvl2_app serve`; None for any other command line."""
    for place, word in enumerate(words[:3]):
        program, following = Path(word).name, words[place + 1 :]
        if words[:place][-1:] == ["-c"]:  # a shell's script, whose programs are processes of their own
            return None
        if program == "app.py":
            return following
        if program in ("dsvl2", "dsvl2_app") and following[:1] == ["serve"]:
            return following[1:]
    return None


def read_environment(text: str) -> Mapping[str, str]:
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def main() -> int:
    settings = find_app()
    if settings is None:
        print("No process here serves the page.", file=sys.stderr)
        return 1
    host = EVERYWHERE.get(settings.host, settings.host)
    try:
        with urlopen(f"http://{host}:{settings.port}/healthz", timeout=SECONDS) as answer:
            print(answer.read().decode())
            return 0
    except OSError as error:
        print(f"{host}:{settings.port}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
