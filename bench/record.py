"""What a suite has found so far, part by part. A part that fails or comes too late says so, and others go on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from bench import table
from dsvl2_app.errors import AppError

LONGEST_REASON = 200  # characters
DIGITS = 4


class NotRun(Exception):
    """A part cannot be measured on this machine or in this installation; the message says why."""


class Record:
    """`found` is nested by the words of each part's path."""

    def __init__(self, minutes: float | None = None) -> None:
        """After so many minutes no further part begins."""
        self.minutes = minutes
        self.found: dict[str, Any] = {}
        self.failed: list[str] = []
        self.not_run: list[str] = []
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started

    @property
    def is_late(self) -> bool:
        return self.minutes is not None and self.seconds >= 60 * self.minutes

    def take(self, path: tuple[str, ...], measure: Callable[..., Any], *arguments: Any) -> Any:
        """Run `measure`, note its result at `path`, and return it; if it fails, note the reason and return None."""
        found, started = None, time.perf_counter()
        try:
            if self.is_late:
                raise NotRun(f"{self.minutes:g} minutes were over")
            noted = found = measure(*arguments)
        except NotRun as reason:
            self.not_run.append(" ".join(path))
            noted = {"not_run": str(reason)}
        except Exception as error:  # whatever it is, the other parts are measured
            self.failed.append(" ".join(path))
            noted = {"failed": explain(error)}
        table.show(" ".join(path), time.perf_counter() - started, write(noted))
        self.note(path, noted)
        return found

    def note(self, path: tuple[str, ...], found: Any) -> None:
        place = self.found
        for word in path[:-1]:
            place = place.setdefault(word, {})
        place[path[-1]] = found

    def finish(self) -> dict[str, Any]:
        """Everything, rounded."""
        return shorten(self.found | {"failed": self.failed, "not_run": self.not_run, "seconds": self.seconds})


def explain(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0][:LONGEST_REASON]
    return first if isinstance(error, AppError) else f"{type(error).__name__}: {first}"


def shorten(found: Any) -> Any:
    """The same with fewer digits."""
    if isinstance(found, dict):
        return {name: shorten(part) for name, part in found.items()}
    if isinstance(found, list | tuple):
        return [shorten(part) for part in found]
    return float(f"{found:.{DIGITS}g}") if isinstance(found, float) else found


def write(found: Any) -> str:
    return json.dumps(shorten(found), separators=(",", ":"))
