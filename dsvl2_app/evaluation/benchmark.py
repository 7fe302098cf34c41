"""`dsvl2 eval --task`: a benchmark's questions through a backend, several at once, and what was answered in a file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsvl2_app.backend import Backend, Stream, load
from dsvl2_app.commands import EVAL_BATCH
from dsvl2_app.errors import ImageError, PromptError, SettingsError
from dsvl2_app.evaluation.answers import Answers, Line
from dsvl2_app.evaluation.questions import Question, RowError
from dsvl2_app.evaluation.readers import BadRow, read_questions
from dsvl2_app.evaluation.tasks import TASKS, Scored, Task
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import ANSWER_TOKENS

MOST_NEW_TOKENS = 512  # VLMEvalKit's for DeepSeek-VL2
MOST_AT_ONCE = 32  # a backend lets that many wait
TOLD_EVERY = 100  # rows
ABOUT_ONE = (RowError, PromptError, ImageError)  # what goes wrong with one question and not with all


@dataclass
class Outcome:
    """What a run found: rows that were scored, now and by earlier runs, and those that were left out now."""

    lines: list[Line]
    left_out: list[BadRow] = field(default_factory=list[BadRow])

    def summarize(self, name: str, model: str) -> dict[str, Any]:
        """The JSON object at the end of a run; "score" is None where nothing was scored."""
        task = TASKS[name]
        scored = [Scored(line.id, line.kind, line.score, line.group) for line in self.lines]
        total = task.total(scored) if scored else {"score": None}
        counts = {"questions": len(scored), "left_out": len(self.left_out)}
        score, parts = total.pop("score"), {"parts": total} if total else {}
        said = {"model": model, "task": name, "metric": task.metric, "score": score, **counts}
        return {**said, **parts, "paper": dict(task.paper), "vlmevalkit": dict(task.vlmevalkit)}


def run(flags: argparse.Namespace) -> None:
    """Measure one benchmark. Raises SettingsError for flags that do not fit."""
    if flags.data is None:
        raise SettingsError("--task needs --data; name a file of the benchmark.")
    batch = EVAL_BATCH if flags.batch is None else flags.batch
    if not 1 <= batch <= MOST_AT_ONCE:
        raise SettingsError(f"--batch is {batch}; choose a number from 1 to {MOST_AT_ONCE}.")
    if flags.limit is not None and flags.limit < 1:
        raise SettingsError(f"--limit is {flags.limit}; choose 1 or more.")
    data, images = Path(flags.data), Path(flags.images) if flags.images else None
    with closing(load(Settings.choose(flags, os.environ))) as backend:
        about = {"task": flags.task, "model": backend.card.name, "source": backend.card.source, "data": str(data)}
        with Answers.open(Path(flags.out) if flags.out else None, about, flags.limit) as answers:
            rows = read_questions(data, images, flags.limit, answers.known)
            outcome = measure(backend, TASKS[flags.task], rows, answers, batch)
        summary = outcome.summarize(flags.task, backend.card.name)
    if not flags.json:
        print(describe(summary))
    print(json.dumps(summary), flush=True)


def measure(backend: Backend, task: Task, rows: Iterable[Question | BadRow], answers: Answers, batch: int) -> Outcome:
    """Ask all of them, `batch` at once, and keep each line in `answers` in the order of the rows."""
    outcome = Outcome(answers.lines)
    for number, found in enumerate(_answer_all(backend, task, rows, batch), 1):
        if isinstance(found, BadRow):
            outcome.left_out.append(found)
            print(found, file=sys.stderr)
        else:
            answers.add(found)
        if number % TOLD_EVERY == 0:
            print(f"{number} rows", file=sys.stderr)
    return outcome


def _answer_all(backend: Backend, task: Task, rows: Iterable[Question | BadRow], batch: int) -> Iterator[Line | BadRow]:
    """In the order of the rows. What stops the backend, such as a server that is gone, is raised."""
    asked: deque[tuple[Question | BadRow, Stream | None]] = deque()
    try:
        for row in rows:
            asked.append(_ask(backend, task, row))
            if len(asked) >= batch:
                yield _read(task, *asked.popleft())
        while asked:
            yield _read(task, *asked.popleft())
    finally:
        for _, stream in asked:
            if stream:
                stream.cancel()


def _ask(backend: Backend, task: Task, row: Question | BadRow) -> tuple[Question | BadRow, Stream | None]:
    """A question that the model cannot be asked, such as one longer than its context, is a bad row too."""
    if isinstance(row, BadRow):
        return row, None
    try:
        task.check(row)
        request = Request(task.ask(row), Sampling(max_new_tokens=MOST_NEW_TOKENS), allow=ANSWER_TOKENS)
        return row, backend.submit(request)
    except ABOUT_ONE as error:
        return BadRow(row.number, str(error)), None


def _read(task: Task, row: Question | BadRow, stream: Stream | None) -> Line | BadRow:
    if isinstance(row, BadRow) or stream is None:
        assert isinstance(row, BadRow)
        return row
    try:
        with stream:
            raw = "".join(step.text for step in stream)
    except ABOUT_ONE as error:
        return BadRow(row.number, str(error))
    extracted = task.extract(row, raw)
    truths = list(row.box) if row.box else list(row.truths)
    score, size = task.score(row, extracted), row.pictures[0].size
    return Line(row.number, row.id, row.kind, row.prompt, truths, raw, extracted, score, row.group, size)


def describe(summary: dict[str, Any]) -> str:
    """The summary as a line for people."""
    score = "nothing to score" if summary["score"] is None else f"{summary['metric']} {summary['score']:.2f}"
    sources = {"DeepSeek's paper": summary["paper"], "DeepSeek with VLMEvalKit": summary["vlmevalkit"]}
    published = [
        f"{source}: " + ", ".join(f"{model} {number:g}" for model, number in numbers.items())
        for source, numbers in sources.items()
        if numbers
    ]
    rows = f"{summary['questions']} questions, rows left out: {summary['left_out']}"
    return f"{summary['task']}: {score} over {rows}; {'; '.join(published)}"
