"""`python -m bench.two_gpus`: what two GPUs give that one does not; at most eight minutes, and the last line is JSON.

A model spread over both, by accelerate and by hand, against the same on one; a copy of a model on each behind one
queue; nano trained on both. Each part runs in a process of its own, so that one that fails or takes too long leaves the
others alone, and writes down what it has found as it goes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import copies, parity, spread, training
from bench.record import Record, write

ROOT = Path(__file__).parents[1]
PART_SECONDS = {"spread": 150, "parity": 90, "copies": 100, "train": 230}  # at most


def main(argv: Sequence[str]) -> dict[str, Any]:
    """Measure what the flags name. With --part this process is the one of that part."""
    options = _parse(argv)
    record = Record(options.minutes)
    if options.part:
        _run(options.part, options, record)
    else:
        parts = ["parity", *(f"spread {name}" for name in options.models)]
        parts += [*(f"copies {name}" for name in options.copies), "train"]
        for part in parts:
            record.take((part,), _run_apart, part, argv, record)
            _keep(record, options.out)
    found = record.finish()
    _keep(record, options.out)
    print(json.dumps(found, separators=(",", ":")), flush=True)
    return found


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.two_gpus", description=__doc__)
    parser.add_argument("--devices", nargs=2, default=["cuda:0", "cuda:1"])
    parser.add_argument("--models", nargs="*", default=["small", "base"], help="spread over both")
    parser.add_argument("--variants", nargs="*", default=parity.VARIANTS, help="of the reference checkpoints")
    parser.add_argument("--copies", nargs="*", default=["small", "tiny"], help="on each")
    parser.add_argument("--chats", type=int, default=32)
    parser.add_argument("--dtype", default="auto", help="of a model that is spread")
    parser.add_argument("--tokens", type=int, default=32, help="of an answer, where a model is spread")
    parser.add_argument("--steps", type=int, default=160, help="of training")
    parser.add_argument("--rows", type=int, default=96, help="of a batch of training")
    parser.add_argument("--workers", type=int, default=14, help="processes that render, for each GPU")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--part", help="one alone, in this process")
    parser.add_argument("--out", help="a file for what is found, written as it is found")
    return parser.parse_args(argv)


def _run_apart(part: str, argv: Sequence[str], record: Record) -> Any:
    """What a process of its own finds; where it fails or is late, what it had found, and why."""
    left = 60 * (record.minutes or 0) - record.seconds
    with tempfile.TemporaryDirectory(prefix="dsvl2-") as folder:
        file = Path(folder) / "found.json"
        command = [sys.executable, "-u", "-m", "bench.two_gpus", *argv, "--part", part, "--out", str(file)]
        try:
            done = subprocess.run(command, cwd=ROOT, timeout=min(left, PART_SECONDS[part.split()[0]]))
            problem = f"status {done.returncode}" if done.returncode else ""
        except subprocess.TimeoutExpired as error:
            problem = f"stopped after {error.timeout:.0f} s"
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    record.failed += [f"{part} {each}" for each in found.pop("failed", [])]
    if problem:
        record.failed.append(part)
        found["problem"] = problem
    return found


def _run(part: str, options: argparse.Namespace, record: Record) -> None:
    """Every step of a part is kept as soon as it is there."""
    kind, _, name = part.partition(" ")
    if kind == "parity":
        steps = [(variant, spread.measure_parity, (variant, options.devices)) for variant in options.variants]
    elif kind == "spread":
        one = spread.Spread(name, options.devices, options.tokens, options.dtype)
        steps = [*((place, one.measure, (place,)) for place in spread.PLACEMENTS), ("alike", one.compare, ())]
    elif kind == "copies":
        many = copies.Copies(name, options.devices, options.chats, 4 * options.tokens)
        steps = [*((setup, many.measure, (setup,)) for setup in copies.SETUPS), ("ratios", many.compare, ())]
    else:
        run = training.Training(options.devices, options.steps, options.rows, options.workers)
        steps = [*((setup, run.measure, (setup,)) for setup in training.SETUPS), ("ratios", run.compare, ())]
    for step, measure, arguments in steps:
        record.take((step,), measure, *arguments)
        _keep(record, options.out)


def _keep(record: Record, out: str | None) -> None:
    if out:
        Path(out).write_text(write(record.found | {"failed": record.failed}), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
