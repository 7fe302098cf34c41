"""nano trained on two devices, and on one with twice the accumulation, which learns from the same batches."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SETUPS = ("two", "one")
SKIPPED = 3  # entries of each stage of a log, before its rate is steady
LOG_EVERY = 5  # steps

Log = Sequence[Mapping[str, Any]]


class Training:
    def __init__(self, devices: Sequence[str], steps: int, rows: int, workers: int) -> None:
        """`workers` of each batch in a step. One device has half of the machine's cores."""
        self.on_gpu = devices[0].startswith("cuda")
        self.flags = ["--steps", str(steps), "--rows", str(rows), "--tiles", str(8 * rows), "--workers", str(workers)]
        self.flags += ["--log-every", str(min(LOG_EVERY, max(1, steps // 6)))]
        if not self.on_gpu:
            self.flags += ["--cpu", "--no-bf16", "--length", "512"]
        self.logs: dict[str, Log] = {}

    def measure(self, setup: str) -> dict[str, Any]:
        environment = {**os.environ, "OMP_NUM_THREADS": "4" if self.on_gpu else "1", "TQDM_DISABLE": "1"}
        if self.on_gpu:
            environment["CUDA_VISIBLE_DEVICES"] = "0,1" if setup == "two" else "0"
        cores = sorted(os.sched_getaffinity(0))
        with tempfile.TemporaryDirectory(prefix="dsvl2-") as folder:
            os.sched_setaffinity(0, cores if setup == "two" else cores[: max(1, len(cores) // 2)])
            try:
                done = subprocess.run([*self.command(setup), "--out", folder], cwd=ROOT, env=environment)
            finally:
                os.sched_setaffinity(0, cores)
            file = Path(folder) / "log.jsonl"
            lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        self.logs[setup] = [json.loads(line) for line in lines]
        if done.returncode:
            raise RuntimeError(f"training ended with status {done.returncode} after {len(lines)} entries")
        return {"samples_per_second": rate(self.logs[setup]), "entries": len(lines)}

    def command(self, setup: str) -> list[str]:
        train = ["-m", "dsvl2_app", "train", *self.flags]
        if setup == "one":
            return [sys.executable, *train, "--accumulate", "2"]
        if self.on_gpu:
            options = "--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"
            return [sys.executable, "-m", "accelerate.commands.launch", *options.split(), *train]
        return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *train]

    def compare(self) -> dict[str, Any]:
        two, one = self.logs["two"], self.logs["one"]
        return {"two_over_one": rate(two) / rate(one), "curves": compare_curves(two, one)}


def rate(log: Log) -> float:
    """Samples/s, over all stages but the beginning of each, when its first batches are on their way."""
    samples = seconds = 0.0
    for _, stage in groupby(log, key=lambda entry: entry["stage"]):
        entries = [*stage]
        steady = entries[min(SKIPPED, max(0, len(entries) - 2)) :]
        samples += steady[-1]["samples"] - steady[0]["samples"]
        seconds += steady[-1]["seconds"] - steady[0]["seconds"]
    return samples / max(seconds, 0.1)


def compare_curves(log: Log, other: Log) -> dict[str, Any]:
    """The losses at the same steps, how far they are apart in the mean, and how far a curve itself moves from one entry
    to the next; whether both had seen the same samples."""
    pairs = [(one, another) for one, another in zip(log, other, strict=False) if one["steps"] == another["steps"]]
    losses = [(one["values"]["loss"], another["values"]["loss"]) for one, another in pairs]
    return {
        "losses": losses,
        "apart": statistics.mean(abs(one - another) for one, another in losses),
        "moves": statistics.mean(abs(late[1] - early[1]) for early, late in pairwise(losses)),
        "same_samples": all(one["samples"] == another["samples"] for one, another in pairs),
    }
