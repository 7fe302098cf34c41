"""What `chat` and `ground` share: a model that answers, and progress while it does."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any

from rich.console import Console

from dsvl2_app.backend import Backend, load
from dsvl2_app.request import Event, Request
from dsvl2_app.settings import Settings

# What people and models write is text, not rich's markup.
OUTPUT: dict[str, Any] = {"markup": False, "highlight": False, "emoji": False}


@contextmanager
def open_backend(flags: argparse.Namespace) -> Iterator[Backend]:
    """The backend that the flags name; the notice of its model, if it has one, is printed to stderr."""
    with closing(load(Settings.choose(flags, os.environ))) as backend:
        if backend.card.notice:
            print(backend.card.notice, file=sys.stderr)
        yield backend


def answer(backend: Backend, request: Request) -> Iterator[Event]:
    """The events of one answer. If stderr is a terminal, a status line there shows progress until the first word."""
    console = Console(stderr=True, **OUTPUT)
    with backend.submit(request) as stream:
        steps = iter(stream)
        if console.is_terminal:
            with console.status("Waiting") as status:
                for step in steps:
                    if step.stage in ("decode", "done"):
                        break
                    status.update(_describe(step))
                    yield step
            yield step
        yield from steps


def _describe(step: Event) -> str:
    what = {"vision": "Looking at the pictures: tile", "prefill": "Reading: token"}.get(step.stage, "Waiting: number")
    return f"{what} {step.done:,} of {step.total:,}"


def summarise(steps: Iterable[Event]) -> dict[str, Any]:
    """The answer's text, how it ended and its timings, as values for JSON."""
    steps = list(steps)
    text = "".join(step.text for step in steps)
    return {"text": text, "finish": steps[-1].finish, "timings": asdict(steps[-1].timings)}
