"""`dsvl2 eval --task`: a benchmark's questions through a backend, several at once, and what was answered in a file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dsvl2_app.backend import Backend, Stream, load
from dsvl2_app.command_flags import EVAL_BATCH
from dsvl2_app.errors import ImageError, PromptError, SettingsError
from dsvl2_app.evaluation.answers import Answers, Line, take_in_parts
from dsvl2_app.evaluation.choices import ROTATED, rotate_options
from dsvl2_app.evaluation.gallery import write_report
from dsvl2_app.evaluation.pictures import keep
from dsvl2_app.evaluation.questions import Question, RowError
from dsvl2_app.evaluation.readers import BadRow, Rows
from dsvl2_app.evaluation.shares import Share, launch
from dsvl2_app.evaluation.showing import shown_rows
from dsvl2_app.evaluation.tasks import TASKS, Scored, Task, make_circular
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import ANSWER_TOKENS

MOST_NEW_TOKENS = 512  # VLMEvalKit's for DeepSeek-VL2
MOST_AT_ONCE = 32  # a backend lets that many wait
ABOUT_ONE = (RowError, PromptError, ImageError)  # what goes wrong with one question and not with all


@dataclass
class Outcome:
    """What a run found: rows that were scored, now and by earlier runs, and those that were left out now."""

    lines: list[Line]
    left_out: list[BadRow] = field(default_factory=list[BadRow])

    def summarize(self, name: str, task: Task, model: str) -> dict[str, Any]:
        """The JSON object at the end of a run; "score" is None where nothing was scored."""
        self.lines.sort(key=lambda line: line.number)
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
    for name in ("limit", "processes"):
        if getattr(flags, name) is not None and getattr(flags, name) < 1:
            raise SettingsError(f"--{name} is {getattr(flags, name)}; choose 1 or more.")
    share = Share.find()
    if flags.out is None and (share.count > 1 or (flags.processes or 1) > 1):
        raise SettingsError("Several processes need --out, a folder in which they put their answers together.")
    if share.count == 1 and (flags.processes or 1) > 1:
        launch(flags.processes, flags.argv)
    else:
        run_share(flags, share, batch)


def run_share(flags: argparse.Namespace, share: Share, batch: int) -> None:
    """Ask this process's share of the rows; the first process says what all of them found."""
    data, images, out = (Path(path) if path else None for path in (flags.data, flags.images, flags.out))
    assert data is not None
    with closing(load(share.settle(Settings.choose(flags, os.environ)))) as backend:
        about = {"task": flags.task, "model": backend.card.name, "source": backend.card.source, "data": str(data)}
        task = TASKS[flags.task]
        if flags.circular:
            about["circular"], task = "yes", make_circular(task)
        if out and share.is_first:
            take_in_parts(out, about)
        share.gather([])
        with Answers.open(out, about, flags.limit, None if share.count == 1 else share.index) as answers:
            rows = Rows(data, images, flags.limit)
            chosen = _keep(choose_rows(rows, share, answers.known, bool(flags.circular)), out)
            done = sum(share.has(number) for number in answers.known)
            with shown_rows(lambda: -(-rows.count() // share.count), done, share.is_first) as move:
                outcome = measure(backend, task, chosen, answers, batch, move)
        outcome.left_out = share.gather(outcome.left_out)
        if not share.is_first:
            return
        if out:
            take_in_parts(out, about)
            with Answers.open(out, about, flags.limit) as answers:
                outcome.lines = answers.lines
        summary = outcome.summarize(flags.task, task, backend.card.name)
    if out:
        (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        write_report(out, summary, outcome.lines, outcome.left_out)
    if not flags.json:
        print(describe(summary))
    print(json.dumps(summary), flush=True)


def choose_rows(data: Rows, share: Share, known: Container[int], circular: bool) -> Iterator[Question | BadRow]:
    """Those of a share that are not known yet; with `circular` every rotation of them. There all rows are read again,
    because how many rotations a row has is known from its options alone."""
    if not circular:
        return data.read(lambda number: share.has(number) and number not in known)
    rows = (turned for row in data.read(share.has) for turned in _turn(row))
    return (row for row in rows if isinstance(row, BadRow) or row.number not in known)


def _turn(row: Question | BadRow) -> Iterator[Question | BadRow]:
    if isinstance(row, BadRow) or len(row.truths) != 1 or row.truths[0] not in row.options:
        yield row
        return
    for turn, (options, truth) in enumerate(rotate_options(row.options, row.truths[0])):
        yield replace(row, number=row.number + turn * ROTATED, options=options, truths=(truth,))


def measure(
    backend: Backend,
    task: Task,
    rows: Iterator[Question | BadRow],
    answers: Answers,
    batch: int,
    move: Callable[[], None],
) -> Outcome:
    """Ask all of them, `batch` at once, and keep each line in `answers` in the order of the rows."""
    outcome = Outcome(answers.lines)
    for found in _answer_all(backend, task, rows, batch):
        if isinstance(found, BadRow):
            outcome.left_out.append(found)
            print(found, file=sys.stderr)
        else:
            answers.add(found)
        move()
    return outcome


def _keep(rows: Iterable[Question | BadRow], out: Path | None) -> Iterator[Question | BadRow]:
    """The same, with small copies of their pictures beside the answers."""
    for row in rows:
        if out and isinstance(row, Question):
            keep(out, row)
        yield row


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
