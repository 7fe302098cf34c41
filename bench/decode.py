"""Steps of the decoder at several batch sizes, against other ways to run them, with the read roof in between."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

import torch
from torch import Tensor

from bench import costs, table
from bench.roofs import Reader, RoofMeter, run_beside
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration as Model
from dsvl2_app.runtime import Runner, choose
from dsvl2_app.settings import Settings

BATCHES = (1, 2, 4, 8, 16)
CONTEXT = 1000  # tokens that every answer has behind it
STEPS = 12
WARM_UPS = 3
WAITING = 8  # steps


@dataclass(frozen=True, slots=True)
class Candidate:
    name: str
    engine: Engine
    runner: Runner  # the engine's, or another one of the same weights

    def count_bytes(self, batch: int) -> int:
        """That a step must move."""
        model = self.engine.model
        config = model.config.language_config
        head = model.lm_head
        size = sum(each.nbytes for each in head.parameters()) / (head.in_features * head.out_features)
        return costs.decode_bytes(config, CONTEXT, model.dtype, size, batch)


def measure(settings: Settings, engine: Engine, meter: RoofMeter, against: tuple[str, ...]) -> dict[str, Any]:
    """Tokens per second and share of the read roof; `against` names "plain", "int8" and "int4"."""
    candidates = [Candidate(engine.card.dtype, engine, engine.runner)]
    if "plain" in against:
        candidates.append(Candidate("plain torch", engine, choose(share_weights(engine.model), "off")))
    for quantize in ("int8", "int4"):
        if quantize in against and settings.quantize == "none":
            narrow = load_engine(replace(settings, quantize=quantize, compile="on"))
            candidates.append(Candidate(quantize, narrow, narrow.runner))
    results = []
    for batch in BATCHES:
        with ExitStack() as together:
            fastest = race([together.enter_context(stepping(candidate, batch)) for candidate in candidates], meter)
        for candidate, seconds in zip(candidates, fastest, strict=True):
            results.append(
                {
                    "weights": candidate.name,
                    "batch": batch,
                    "seconds": seconds,
                    "tokens_per_second": batch / seconds,
                    "mbu": candidate.count_bytes(batch) / seconds / meter.best.read,
                }
            )
            rate = f"{batch / seconds:.1f} tokens/s"
            table.show(f"decode {candidate.name}, {batch} at once", seconds, rate, f"MBU {results[-1]['mbu']:.2f}")
    return {"context": CONTEXT, "steps": results}


@contextmanager
def stepping(candidate: Candidate, batch: int) -> Iterator[Callable[[], Any]]:
    """One step for `batch` answers; what the caches hold is noise, which costs the same."""
    engine, caches = candidate.engine, [fill_cache(candidate.engine, CONTEXT) for _ in range(batch)]
    vocabulary = engine.vocabulary or engine.model.config.language_config.vocab_size
    tokens = cycle(torch.randint(3, vocabulary, (10_000,)).tolist())  # so that experts change

    def step() -> Tensor:
        for cache in caches:
            cache.truncate(CONTEXT)
        return candidate.runner.decode([next(tokens) for _ in caches], caches)

    try:
        yield step
    finally:
        with torch.inference_mode():
            for cache in caches:
                candidate.runner.release(cache)


def share_weights(model: Model) -> Model:
    """The same model once more, on the same weights, for another runner."""
    return copy.deepcopy(model, {id(weight): weight for weight in model.parameters()})


@torch.inference_mode()
def fill_cache(engine: Engine, length: int) -> KVCache:
    config = engine.model.config.language_config
    cache = KVCache(config, length + 1)
    shapes = [(1, 1, length, config.kv_lora_rank), (1, 1, length, config.qk_rope_head_dim)]
    if not config.use_mla:
        shapes = [(1, config.num_key_value_heads, length, config.head_dim)] * 2
    for layer in range(config.num_hidden_layers):
        first, second = (torch.randn(each, dtype=engine.model.dtype, device=engine.model.device) for each in shapes)
        cache.update(first, second, layer)
    return cache


def race(steps: list[Callable[[], Any]], meter: RoofMeter) -> list[float]:
    """The fastest time of each, in seconds. They run in turns, so that other load on the machine hits all alike."""
    fastest = [float("inf")] * len(steps)
    for round_ in range(STEPS):
        for number, step in enumerate(steps):
            meter.wait()
            started = time.perf_counter()
            step()
            meter.wait()
            if round_:  # the first one warms up
                fastest[number] = min(fastest[number], time.perf_counter() - started)
        meter.sample(matrices=False)
    return fastest


def pace(candidate: Candidate, batch: int, steps: int, meter: RoofMeter, reader: Reader) -> dict[str, Any]:
    """The median step, as a share of the best read, and of what reading reached right before and after each step. A GPU
    has steps waiting, as when it serves."""
    waiting = WAITING if candidate.runner.samples_ahead else 1
    with stepping(candidate, batch) as step:

        def run() -> float:
            return meter.time(lambda: [step() for _ in range(waiting)]) / waiting

        for _ in range(WARM_UPS):
            step()
        taken = run_beside(run, reader.read, steps)
    moved, median = candidate.count_bytes(batch), statistics.median(seconds for seconds, _ in taken)
    return {
        "seconds": median,
        "tokens_per_second": batch / median,
        "mbu": moved / median / meter.best.read,
        "mbu_paired": statistics.median(moved / seconds / rate for seconds, rate in taken),
    }
