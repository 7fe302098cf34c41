"""`dsvl2 chat`: one question, or a conversation."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from dsvl2_app.errors import AppError, PromptError
from dsvl2_app.image.page_ranges import open_pages
from dsvl2_app.request import Event, Request, Sampling
from dsvl2_app.terminal.answer import answer, open_backend, summarise
from dsvl2_app.text.grounding import ALLOWED
from dsvl2_app.text.prompt import place_images


def run(flags: argparse.Namespace) -> None:
    if flags.question is not None and not flags.question.strip():
        raise PromptError("The question is empty; write one after the flags, in quotes.")
    sampling = Sampling(
        flags.temperature,
        flags.top_p,
        flags.repetition_penalty,
        max_new_tokens=flags.max_new_tokens,
        seed=flags.seed,
    )
    images = [page.opened() for file in flags.image for page in open_pages(file, flags.pages)]
    messages: list[dict[str, Any]] = [{"role": "system", "content": flags.system}] if flags.system else []
    with open_backend(flags) as backend:
        for question in _read_questions(flags.question):
            messages.append({"role": "user", "content": place_images(question, images)})
            request = Request(
                list(messages),
                sampling,
                ALLOWED,
                max_tiles=flags.max_tiles,
                grammar=backend.capabilities.grammar,
                owner="terminal",
            )
            try:
                text = _show(answer(backend, request), as_json=flags.json)
            except AppError as error:
                if flags.question is not None:
                    raise
                print(error, file=sys.stderr)  # the next line may be a better one
                messages.pop()
            else:
                messages.append({"role": "assistant", "content": text})
                images = []  # they stay in the conversation


def _read_questions(question: str | None) -> Iterator[str]:
    """The question of the command line, or else each line of stdin."""
    if question is not None:
        yield question
        return
    prompt = "> " if sys.stdin.isatty() else ""
    if prompt:
        with suppress(ImportError):  # Windows
            import readline  # noqa: F401  # arrow keys edit the line and bring earlier ones back
    while True:
        try:
            line = input(prompt)
        except EOFError:
            return
        except UnicodeDecodeError:
            raise PromptError(
                f"A question is not written in {sys.stdin.encoding}; convert it or set PYTHONIOENCODING."
            ) from None
        if line.strip():
            yield line


def _show(steps: Iterator[Event], *, as_json: bool) -> str:
    taken = []
    for step in steps:
        taken.append(step)
        if not as_json:
            print(step.text, end="", flush=True)
    summary = summarise(taken)
    print(json.dumps(summary) if as_json else "")
    return summary["text"]
