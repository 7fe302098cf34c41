"""`dsvl2 eval`: how often a model answers right, asked through the backend that the app uses.

A suite's table grows row by row, a benchmark's answers go to a file; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
from contextlib import closing

from dsvl2_app.backend import Backend, load
from dsvl2_app.command_flags import EVAL_CASES, EVAL_SUITES
from dsvl2_app.commands import import_listed
from dsvl2_app.errors import SettingsError
from dsvl2_app.evaluation import benchmark
from dsvl2_app.evaluation.report import HEADING, Messages, Report
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import ANSWER_TOKENS

MOST_NEW_TOKENS = 300  # the longest true answers are half of that
OF_SUITES, OF_TASKS = (
    ("suite", "cases", "things"),
    ("data", "images", "circular", "limit", "batch", "processes", "out"),
)


def run(flags: argparse.Namespace) -> None:
    """Measure what the flags of `dsvl2 eval` ask for."""
    for name in OF_SUITES if flags.task else OF_TASKS:
        if getattr(flags, name) is not None:
            raise SettingsError(f"--{name} does not go {'with' if flags.task else 'without'} --task.")
    if flags.task:
        benchmark.run(flags)
    else:
        run_suite(flags, flags.suite or "nano", EVAL_CASES if flags.cases is None else flags.cases)


def run_suite(flags: argparse.Namespace, name: str, cases: int) -> None:
    suite = import_listed(EVAL_SUITES[name])
    if not 1 <= cases <= suite.MOST_CASES:
        raise SettingsError(f"--cases is {cases}; choose a number from 1 to {suite.MOST_CASES}.")
    rows = suite.choose_rows(flags.things)
    settings = Settings.choose(flags, os.environ)
    with closing(load(settings)) as backend:
        if not flags.json:
            print(HEADING, flush=True)
        scores = []
        for score in suite.evaluate(lambda messages: ask(backend, messages), cases, rows):
            scores.append(score)
            if not flags.json:
                print(score.line, flush=True)
        report = Report(tuple(scores))
        print(json.dumps({"model": backend.card.name, "suite": name, **report.as_dict()}), flush=True)


def ask(backend: Backend, messages: Messages) -> str:
    """The greedy answer."""
    request = Request(messages, Sampling(max_new_tokens=MOST_NEW_TOKENS), allow=ANSWER_TOKENS)
    return "".join(step.text for step in backend.submit(request))
