"""One question about one picture, through the backend that the app uses: vision, prefill, decode.

MFU is what the work must cost, divided by its time and by the machine's matrix rate in the model's dtype; MBU the bytes
that must move per new token, divided by its time and by the rate at which the machine reads memory.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench import costs, table
from bench.roofs import RoofMeter
from dsvl2_app.backend import Backend
from dsvl2_app.engine.engine import Engine
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.request import Request, Sampling, Timings
from dsvl2_app.text.prompt import place_images

PICTURE_SIZE = 1000, 400
QUESTION = "Describe this picture in every detail, from the left to the right."


@dataclass(frozen=True, slots=True)
class Answer:
    """What one answer took. `gaps` are the seconds between two tokens."""

    timings: Timings
    first_token: float
    gaps: tuple[float, ...]


def measure(engine: Engine, backend: Backend, meter: RoofMeter, tokens: int, repeats: int) -> dict[str, Any]:
    """The best of several answers, stage by stage, with the roofs measured in between; and how much longer the first
    token of the very first one took, before which nothing ran."""
    config, dtype = engine.model.config, engine.model.dtype
    sampling = Sampling(max_new_tokens=tokens, min_new_tokens=tokens)
    answers = []
    for number in range(repeats):
        answers.append(ask(backend, number, sampling))
        show_stages(f"answer {number + 1}", answers[-1].timings)
        meter.sample()
    timings = [answer.timings for answer in answers]
    matrix_roof = meter.best.matrix[str(dtype).removeprefix("torch.")]
    weight_bytes = engine.model.lm_head.weight.element_size()
    result = {
        "picture": PICTURE_SIZE,
        "repeats": repeats,
        "vision": judge_vision(config, min(timings, key=lambda each: each.vision), matrix_roof),
        "prefill": judge_prefill(config, min(timings, key=lambda each: each.prefill), matrix_roof),
        "first_token": compare_first([answer.first_token for answer in answers]),
        "decode": judge_decode(config, answers, dtype, weight_bytes, meter.best.read),
    }
    show(result)
    return result


def compare_first(seconds: list[float]) -> dict[str, float]:
    """`seconds` of the best, `first` of the answer that came first, and `first_ratio` of that to the median of the
    others, if there are any."""
    first, *others = seconds
    ratio = {"first_ratio": first / statistics.median(others)} if others else {}
    return {"seconds": min(seconds), "first": first, **ratio}


def ask(backend: Backend, seed: int, sampling: Sampling) -> Answer:
    """Stream an answer about a new random picture, which is in no cache."""
    picture = draw_noise(seed)
    messages = [{"role": "user", "content": place_images(QUESTION, [picture])}]
    moments, timings, first = [], Timings(), None
    submitted = time.perf_counter()
    with backend.submit(Request(messages, sampling)) as stream:
        for step in stream:
            timings = step.timings
            if step.stage == "decode":
                first = first or time.perf_counter() - submitted
                moments.append(timings.decode)
    return Answer(timings, first or 0.0, tuple(late - early for early, late in pairwise(moments)))


def draw_noise(seed: int, size: tuple[int, int] = PICTURE_SIZE) -> Image.Image:
    numbers = np.random.default_rng(seed).integers(256, size=(*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(numbers)


def judge_vision(config: DeepseekVL2Config, timings: Timings, roof: float) -> dict[str, Any]:
    tiles = timings.encoded_tiles
    return {
        "seconds": timings.vision,
        "tiles": tiles,
        "seconds_per_tile": timings.vision / tiles,
        "mfu": tiles * costs.tile_flops(config) / timings.vision / roof,
    }


def judge_prefill(config: DeepseekVL2Config, timings: Timings, roof: float) -> dict[str, Any]:
    tokens = timings.prompt_tokens
    return {
        "seconds": timings.prefill,
        "tokens": tokens,
        "tokens_per_second": tokens / timings.prefill,
        "mfu": costs.prefill_flops(config.language_config, tokens) / timings.prefill / roof,
    }


def judge_decode(
    config: DeepseekVL2Config, answers: list[Answer], dtype: torch.dtype, weight_bytes: int, roof: float
) -> dict[str, Any] | None:
    """The answer with the lowest median time per token; None if none has a second token."""
    answers = [answer for answer in answers if answer.gaps]
    if not answers:
        return None
    quickest = min(answers, key=lambda answer: statistics.median(answer.gaps))
    seconds = statistics.median(quickest.gaps)
    context = quickest.timings.prompt_tokens + quickest.timings.new_tokens // 2
    moved = costs.decode_bytes(config.language_config, context, dtype, weight_bytes)
    return {
        "seconds_per_token": seconds,
        "fastest": min(quickest.gaps),
        "slowest": max(quickest.gaps),
        "tokens": quickest.timings.new_tokens,
        "tokens_per_second": 1 / seconds,
        "bytes_per_token": moved,
        "mbu": moved / seconds / roof,
    }


def show_stages(name: str, timings: Timings) -> None:
    stages = {"vision": timings.vision, "prefill": timings.prefill, "decode": timings.decode}
    words = (f"{stage} {seconds:.2f} s" for stage, seconds in stages.items())
    table.show(name, sum(stages.values()), *words)


def show(result: dict[str, Any]) -> None:
    vision, prefill, decode = (result[name] for name in ("vision", "prefill", "decode"))
    first = result["first_token"]
    compared = f"{first['first_ratio']:.2f} of later" if "first_ratio" in first else ""
    table.show("first token", first["seconds"], f"after a start {first['first']:.2f} s", compared)
    table.show(f"vision, {vision['tiles']} tiles, each", vision["seconds_per_tile"], "", f"MFU {vision['mfu']:.2f}")
    rate = f"{prefill['tokens_per_second']:,.0f} tokens/s"
    table.show(f"prefill, {prefill['tokens']:,} tokens", prefill["seconds"], rate, f"MFU {prefill['mfu']:.2f}")
    if decode:
        rate = f"{decode['tokens_per_second']:.1f} tokens/s"
        table.show("decode, median token", decode["seconds_per_token"], rate, f"MBU {decode['mbu']:.2f}")
    else:
        table.show("decode", None, "the answers were too short")
