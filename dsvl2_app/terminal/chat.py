"""`python -m dsvl2_app chat`: one question, or a conversation."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from dsvl2_app.errors import AppError, PromptError
from dsvl2_app.image.load import load_image
from dsvl2_app.request import Event, Request, Sampling
from dsvl2_app.terminal.answer import add_answer_flags, answer, open_worker, summarise
from dsvl2_app.text.grounding import ALLOWED
from dsvl2_app.text.prompt import place_images


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "question", nargs="?", help="<image> in it says where a picture goes; without a question, each line is one"
    )
    parser.add_argument("--image", action="append", default=[], metavar="FILE", help="once for each picture")
    parser.add_argument("--system", default="", metavar="TEXT", help="said to the model first")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0: the likeliest (default: 0)")
    parser.add_argument("--top-p", type=float, default=1.0, metavar="P", help="share of tokens to choose from")
    parser.add_argument("--repetition-penalty", type=float, default=1.0, metavar="R", help="above 1 avoids repeating")
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed repeats an answer")
    add_answer_flags(parser)


def run(flags: argparse.Namespace) -> None:
    """Ask about pictures; the answer streams."""
    if flags.question is not None and not flags.question.strip():
        raise PromptError("The question is empty; write one after the flags, in quotes.")
    sampling = Sampling(
        flags.temperature,
        flags.top_p,
        flags.repetition_penalty,
        max_new_tokens=flags.max_new_tokens,
        seed=flags.seed,
    )
    images = [load_image(file) for file in flags.image]
    messages: list[dict[str, Any]] = [{"role": "system", "content": flags.system}] if flags.system else []
    with open_worker(flags) as worker:
        for question in _read_questions(flags.question):
            messages.append({"role": "user", "content": place_images(question, images)})
            request = Request(
                list(messages), sampling, ALLOWED, max_tiles=flags.max_tiles, grammar=True, owner="terminal"
            )
            try:
                text = _show(answer(worker, request), as_json=flags.json)
            except AppError as error:
                if flags.question is not None:
                    raise
                print(error, file=sys.stderr)  # the next line may be a better one
                messages.pop()
            else:
                messages.append({"role": "assistant", "content": text})
                images = []  # they stay in the conversation


def _read_questions(question: str | None) -> Iterator[str]:
    """The one given, else the lines of stdin until it ends."""
    if question is not None:
        yield question
        return
    prompt = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            line = input(prompt)
        except EOFError:
            return
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
