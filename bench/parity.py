"""Whether a device writes what the CPU writes, and what the official code wrote, on the reference checkpoints.

They lie beside the tests (`tests/reference`), which an installed package does not have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from safetensors.torch import load_file

from bench.record import NotRun
from dsvl2_app.backend.local import LocalBackend
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.request import Event, Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import place_images

FOLDER = Path(__file__).parents[1] / "tests" / "reference"
VARIANTS = ("tiny", "small", "base")
CASES = ("a_text", "b_wide", "c_tall_ref", "d_two_images", "f_multi_turn")
GROUNDING = frozenset({"<|ref|>", "<|/ref|>", "<|grounding|>"})


def measure(settings: Settings, variant: str) -> dict[str, int]:
    """How many of the answers are the same, token by token, in float32."""
    if not FOLDER.is_dir():
        raise NotRun("the reference checkpoints lie in the repository, beside the tests")
    checkpoint = str(FOLDER / variant / "checkpoint")
    there = replace(settings, model=checkpoint, load_format="auto", dtype="float32", quantize="none")
    plain = replace(there, device="cpu", compile="off")
    official = [read_answer(variant, case) for case in CASES]
    requests = write_requests(variant, len(official[0]))
    on_cpu = write_answers(load_engine(plain), requests)
    engine = load_engine(there)
    on_device = write_answers(engine, requests)
    engine.forget()
    return {
        "answers": len(CASES),
        "as_cpu": sum(map(list.__eq__, on_device, on_cpu)),
        "as_official": sum(map(list.__eq__, on_device, official)),
        "together": sum(map(list.__eq__, write_together(engine, requests), official)),
    }


def write_requests(variant: str, tokens: int) -> list[Request]:
    """Each its own visitor's, for so many tokens."""
    sampling = Sampling(max_new_tokens=tokens)
    return [Request(read_conversation(variant, case), sampling, allow=GROUNDING, owner=case) for case in CASES]


def write_answers(engine: Engine, requests: Sequence[Request]) -> list[list[int]]:
    """The likeliest tokens, one answer after the other."""
    return [read_tokens(engine.answer(request)) for request in requests]


def write_together(engine: Engine, requests: Sequence[Request]) -> list[list[int]]:
    """The same with all answers at once, so that they share steps."""
    with closing(LocalBackend(engine)) as backend:
        return [read_tokens(stream) for stream in [backend.submit(request) for request in requests]]


def read_tokens(steps: Iterable[Event]) -> list[int]:
    return [step.token for step in steps if step.token is not None]


def read_answer(variant: str, case: str) -> list[int]:
    """What the official code wrote."""
    return load_file(FOLDER / variant / "cases" / f"{case}.safetensors")["generated_ids"][0].tolist()


def read_conversation(variant: str, case: str) -> list[dict[str, Any]]:
    path = FOLDER / variant / "cases" / f"{case}.json"
    turns = json.loads(path.read_text(encoding="utf-8"))["conversation"]
    return [{"role": turn["role"], "content": place_images(turn["content"], open_images(turn))} for turn in turns]


def open_images(turn: dict[str, Any]) -> list[Image.Image]:
    return [Image.open(FOLDER / name).convert("RGB") for name in turn.get("images", ())]
