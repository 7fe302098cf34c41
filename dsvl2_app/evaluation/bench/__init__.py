"""`python -m dsvl2_app bench`: how fast this machine runs the model, as shares of what the machine could do.

A table while it runs; the last line is one JSON object. What is measured is a module each: `answer` (loading, vision,
prefill and decode through the worker that the app uses) and `load` (reading a checkpoint, in a fresh process). They
compare times with `costs`, what the work must cost by the configuration, and `roofs`, what the machine can do.
"""

from __future__ import annotations

import argparse
import json
import os

from dsvl2_app.errors import SettingsError
from dsvl2_app.evaluation.bench import answer, load
from dsvl2_app.settings import Settings, add_model_flags


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--what", choices=("answer", "load"), default="answer", help="(default: answer)")
    parser.add_argument("--tokens", type=int, default=64, metavar="N", help="answer: tokens to generate (default: 64)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="answer: measure so often (default: 3)")
    parser.add_argument("--folder", help="load: write the checkpoint here and keep it (default: temporary)")
    add_model_flags(parser)


def run(flags: argparse.Namespace) -> None:
    """Measure speed and memory on this machine, as shares of what the machine could do."""
    if flags.repeats < 1:
        raise SettingsError(f"--repeats is {flags.repeats}; measure at least once.")
    if flags.what == "load":
        result = load.measure(Settings.choose(flags, {"DSVL2_MODEL": "tiny", **os.environ}), flags.folder)
    else:
        result = answer.measure(Settings.choose(flags, os.environ), flags.tokens, flags.repeats)
    print(json.dumps(result), flush=True)
