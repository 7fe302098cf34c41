"""Median times of vision, prefill, the first token and the next ones, on an engine that serves one request.

A GPU works asynchronously, so each stage is timed until the device has finished.
"""

from __future__ import annotations

import random
import statistics
import string
import time
from bisect import bisect_right
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from typing import Any

import torch

from bench import costs
from bench.answer import QUESTION, draw_noise
from bench.roofs import Multiplier, RoofMeter, run_beside
from dsvl2_app.engine.engine import Engine
from dsvl2_app.request import Request, Sampling
from dsvl2_app.text.prompt import Message, place_images

WARM_UPS = 2  # of some things a GPU records what it does the second time
WRITING_PROMPT, WRITING_TOKENS = 1000, 48


@torch.inference_mode()
def time_vision(engine: Engine, tiles: int, repeats: int, meter: RoofMeter) -> dict[str, Any]:
    """Encoder and adaptor for so many tiles at once."""
    model, side = engine.model, engine.model.config.geometry.tile
    pixels = torch.randn(tiles, 3, side, side, dtype=model.dtype, device=model.device)

    def encode() -> float:
        return meter.time(lambda: engine.runner.encode(pixels))

    for _ in range(WARM_UPS):
        encode()
    found = compare_with_roof(encode, tiles * costs.tile_flops(model.config), engine, repeats, meter)
    return {"seconds_per_tile": found.pop("seconds") / tiles, **found}


def time_prefill(engine: Engine, tokens: int, repeats: int, meter: RoofMeter) -> dict[str, Any]:
    """A text of so many tokens, or one less where none has exactly as many."""
    messages = write_text(engine, tokens)

    def prefill() -> float:
        return split_first_token(engine, messages, meter)["prefill"]

    for _ in range(WARM_UPS):
        prefill()
    tokens = engine.plan(messages).tokens
    flops = costs.prefill_flops(engine.model.config.language_config, tokens)
    found = compare_with_roof(prefill, flops, engine, repeats, meter)
    return {"tokens": tokens, "tokens_per_second": tokens / found["seconds"], **found}


def compare_with_roof(
    run: Callable[[], float], flops: int, engine: Engine, repeats: int, meter: RoofMeter
) -> dict[str, float]:
    """The median seconds of a stage of so many operations, as a share of the best matrix rate, and of what products
    reached right before and after each."""
    dtype = engine.model.dtype
    taken = run_beside(run, Multiplier(meter, dtype).multiply, repeats)
    meter.refresh()
    seconds = statistics.median(seconds for seconds, _ in taken)
    return {
        "seconds": seconds,
        "mfu": flops / seconds / meter.best.matrix[str(dtype).removeprefix("torch.")],
        "mfu_paired": statistics.median(flops / seconds / rate for seconds, rate in taken),
    }


def time_picture(engine: Engine, repeats: int, meter: RoofMeter) -> dict[str, float]:
    """The first token about pictures that no cache knows, stage by stage."""
    pictures = (draw_noise(5000 + number) for number in range(repeats + WARM_UPS))
    questions = [[{"role": "user", "content": place_images(QUESTION, [picture])}] for picture in pictures]
    return time_first_token(engine, questions, meter)


def time_writing(engine: Engine) -> dict[str, float]:
    """Tokens of one answer, with all that is done for them beside the model's steps."""
    sampling = Sampling(max_new_tokens=WRITING_TOKENS, min_new_tokens=WRITING_TOKENS)
    request = Request(write_text(engine, WRITING_PROMPT), sampling)
    moments = [time.perf_counter() for step in engine.answer(request) if step.stage == "decode"]
    half = WRITING_TOKENS // 2  # the first ones may still wait for what is built when first needed
    seconds = statistics.median(late - early for early, late in pairwise(moments[half:]))
    return {"seconds_per_token": seconds, "tokens_per_second": 1 / seconds}


def time_first_token(engine: Engine, conversations: list[list[Message]], meter: RoofMeter) -> dict[str, float]:
    """The median seconds of each stage, and of all together; the first conversations warm up."""
    taken = [split_first_token(engine, messages, meter) for messages in conversations][WARM_UPS:]
    stages = {stage: statistics.median(each[stage] for each in taken) for stage in taken[0]}
    return stages | {"total": statistics.median(sum(each.values()) for each in taken)}


def split_first_token(engine: Engine, messages: list[Message], meter: RoofMeter) -> dict[str, float]:
    """Seconds of prepare, vision, prefill, and decode for its first token, with empty caches."""
    engine.forget()
    meter.wait()
    moments = {"start": time.perf_counter()}
    with closing(engine.answer(Request(messages, Sampling(max_new_tokens=1)))) as steps:
        for step in steps:
            # of a picture the first step comes before all work, of a text after the first piece of prefill
            moments.setdefault("prepare", time.perf_counter() - step.timings.prefill)
            if step.done == step.total:
                meter.wait()
                moments[step.stage] = time.perf_counter()
            if step.stage == "decode":
                break
    return {late[0]: late[1] - early[1] for early, late in pairwise(moments.items())}


def write_text(engine: Engine, tokens: int) -> list[Message]:
    """A conversation of so many tokens; its text is noise, so that tokens go to different experts."""
    letters = "".join(random.Random(0).choices(string.ascii_letters + string.digits + " ", k=4 * tokens))

    def say(length: int) -> list[Message]:
        return [{"role": "user", "content": letters[:length]}]

    lengths = range(1, len(letters) + 1)
    return say(bisect_right(lengths, tokens, key=lambda length: engine.plan(say(length)).tokens))
