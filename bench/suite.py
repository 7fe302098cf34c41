"""`bench --suite gpu|cpu`: everything about several models in one run, the most important first.

Each model is loaded in each format, measured part by part, and freed before the next one is loaded. Models without a
local checkpoint get random weights, which take the same time.
"""

from __future__ import annotations

import gc
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import transformers

from bench import agreement, chats, decode, load, parity, peers, reuse, stages, table
from bench.memory import HEADROOM, check_room, peak_memory
from bench.record import NotRun, Record
from bench.roofs import Reader, RoofMeter
from dsvl2_app.backend.local import LocalBackend
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.linear import hold_narrow
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.runtime.cpu.library import find_compiler
from dsvl2_app.runtime.cuda.runner import CudaRunner
from dsvl2_app.runtime.devices import choose_device, choose_dtype
from dsvl2_app.settings import Settings

PROMPTS = (650, 2000)  # tokens
CHAT_TOKENS = 32

Part = tuple[tuple[str, ...], Callable[..., Any], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a suite measures."""

    device: str
    models: tuple[str, ...]
    minutes: float | None
    batches: tuple[int, ...]  # answers that decode together
    tiles: tuple[int, ...]  # encoded together
    steps: int  # of decode
    repeats: int  # of the rest
    chats: tuple[int, ...] = ()
    eager_steps: int = 0  # of decode without graphs
    disk: bool = False  # write checkpoints and read them
    narrow: tuple[str, ...] = ("int8",)  # formats beside the models' own
    agreement: bool = False  # what these change in nano's answers


PLANS = {
    "gpu": Plan(
        device="cuda",
        models=("tiny", "small", "base"),
        minutes=8,
        batches=(1, 8, 32),
        tiles=(1, 7, 16),
        steps=40,
        repeats=5,
        eager_steps=6,
    ),
    "cpu": Plan(
        device="cpu",
        models=("nano", "tiny", "small", "base"),
        minutes=None,
        batches=(1, 2, 4, 8, 16),
        tiles=(1, 4),
        steps=10,
        repeats=3,
        chats=(2, 8),
        disk=True,
        narrow=("int8", "int4"),
        agreement=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Setup:
    """A model in one format, and how it decodes."""

    model: str
    quantize: str = "none"
    graphs: bool = True

    def choose_settings(self, base: Settings, device: torch.device) -> Settings:
        """`base` with this model; of nano there is a checkpoint."""
        dtype = choose_dtype("auto", DeepseekVL2Config.preset(self.model), device) or "bfloat16"
        weights = "auto" if self.model == "nano" else "dummy"
        return replace(base, model=self.model, load_format=weights, dtype=dtype, quantize=self.quantize)


def measure(name: str, settings: Settings, models: Sequence[str] = (), minutes: float | None = None) -> dict[str, Any]:
    """`models` and `minutes` replace those of the suite's plan."""
    plan = PLANS[name]
    plan = replace(plan, models=tuple(models) or plan.models, minutes=plan.minutes if minutes is None else minutes)
    if settings.device == "auto":
        settings = replace(settings, device=plan.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = choose_device(settings.device)
    if settings.compile == "auto" and device.type == "cpu":
        settings = replace(settings, compile="on" if find_compiler() else "off")  # not meanwhile
    suite = Suite(plan, settings, device)
    suite.record.found |= {
        "suite": name,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "load_average": table.load_average(),
    }
    return suite.run()


class Suite:
    engine: Engine  # between `load` and `free`

    def __init__(self, plan: Plan, settings: Settings, device: torch.device) -> None:
        self.plan, self.settings, self.device = plan, settings, device
        self.record = Record(plan.minutes)
        self.meter = RoofMeter(device)
        self.reader = Reader(self.meter)

    def run(self) -> dict[str, Any]:
        for variant in parity.VARIANTS:
            self.record.take(("parity", variant), self.measure_parity, variant)
        self.record.take(("roofs",), self.measure_roofs)
        full = [Setup(model) for model in self.plan.models]
        narrow = [Setup(model, quantize) for quantize in self.plan.narrow for model in self.plan.models]
        on_gpu = self.device.type == "cuda"
        for setup in full:
            self.measure_model(setup)
        if on_gpu:
            self.measure_peer(peers.generate, peers.WHOLE_BYTES)
        for setup in narrow:
            self.measure_model(setup)
        for setup in (*full, *narrow) if self.plan.eager_steps else ():
            self.measure_model(replace(setup, graphs=False))
        if self.plan.agreement:
            self.record.take(("agreement",), self.measure_agreement)
        if not on_gpu:
            self.measure_peer(peers.measure, peers.LAYERS_BYTES)
        if self.meter.best.read:
            self.record.found["roofs"] |= asdict(self.meter.best)  # which may have risen
        if self.meter.impossible:
            self.record.failed.append("roofs")
            self.record.found["roofs"]["impossible"] = self.meter.impossible
        return self.record.finish()

    def measure_parity(self, variant: str) -> dict[str, int]:
        self.free()
        return parity.measure(self.settings, variant)

    def measure_agreement(self) -> dict[str, Any]:
        self.free()
        settings = Setup("nano").choose_settings(self.settings, self.device)
        return agreement.measure(settings, load_engine(settings))

    def measure_roofs(self) -> dict[str, Any]:
        self.meter.sample()
        return {"read": self.meter.best.read, "copy": self.meter.measure_copy(), "matrix": self.meter.best.matrix}

    def measure_model(self, setup: Setup) -> None:
        """Load it, and every part."""
        settings = setup.choose_settings(self.settings, self.device)
        weights = settings.dtype if setup.quantize == "none" else setup.quantize
        path = "models" if setup.graphs else "without_graphs", setup.model, weights
        if self.plan.disk and setup.quantize == "none":
            self.record.take((*path, "disk"), self.measure_disk, settings)
        if self.record.take((*path, "load"), self.load, settings):
            for name, part, arguments in self.list_parts(setup):
                self.record.take((*path, *name), part, *arguments)
            self.record.note((*path, "peak_memory"), self.read_peak())

    def measure_disk(self, settings: Settings) -> dict[str, Any]:
        """Reading a checkpoint, in a process of its own."""
        self.free()
        size, free = count_bytes(settings), shutil.disk_usage(tempfile.gettempdir()).free
        check_room(size, self.device)
        if free < size + HEADROOM:
            raise NotRun(f"needs {table.gigabytes(size + HEADROOM)} of disk, {table.gigabytes(free)} are free")
        found = load.measure(settings, None)
        return {name: found[name] for name in ("seconds", "bytes_per_second", "ratio")}

    def load(self, settings: Settings) -> dict[str, Any]:
        self.free()
        check_room(count_bytes(settings), self.device)
        self.meter.sample()
        self.free()  # what sampling took
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        seconds = self.meter.time(lambda: setattr(self, "engine", load_engine(settings)))
        while self.engine.warm_up():  # as a server that nobody has asked yet
            pass
        card, runner = self.engine.card, self.engine.runner.describe()
        return {"seconds": seconds, "parameters": card.parameters, "runner": runner}

    def list_parts(self, setup: Setup) -> Iterator[Part]:
        """Each with where its result belongs, and what to call it with."""
        plan, meter, engine = self.plan, self.meter, self.engine
        if not setup.graphs and isinstance(engine.runner, CudaRunner):
            engine.runner.graphs = None
        candidate = decode.Candidate(setup.model, engine, engine.runner)
        steps = plan.steps if setup.graphs else plan.eager_steps
        for batch in plan.batches:
            yield ("decode", str(batch)), self.pace, (candidate, batch, steps)
        if not setup.graphs:
            return
        yield ("picture",), stages.time_picture, (engine, plan.repeats, meter)
        yield ("writing",), stages.time_writing, (engine,)
        for tokens in PROMPTS:
            yield ("prefill", str(tokens)), stages.time_prefill, (engine, tokens, plan.repeats, meter)
        for tiles in plan.tiles:
            yield ("vision", str(tiles)), stages.time_vision, (engine, tiles, plan.repeats, meter)
        yield ("first_token",), self.measure_reuse, ()
        for count in plan.chats:
            yield ("chats", str(count)), self.measure_chats, (count,)

    def pace(self, candidate: decode.Candidate, batch: int, steps: int) -> dict[str, Any]:
        most = candidate.engine.max_batch
        if most is not None and most < batch:
            raise NotRun(f"there is room for {most}")
        return decode.pace(candidate, batch, steps, self.meter, self.reader)

    def measure_reuse(self) -> dict[str, float]:
        with closing(LocalBackend(self.engine)) as backend:
            return reuse.measure(backend, self.plan.repeats)["median"]

    def measure_chats(self, count: int) -> dict[str, Any]:
        with closing(LocalBackend(self.engine)) as backend:
            found = chats.measure(backend, count, CHAT_TOKENS)
        return {"slowest": min(found["tokens_per_second"]), "total": found["total"], "stall": found["longest_stall"]}

    def measure_peer(self, measure: Callable[..., dict[str, Any]], size: int) -> None:
        def run() -> dict[str, Any]:
            self.free()
            check_room(size, self.device)
            return measure(self.device, self.meter)

        self.record.take(("peers",), run)

    def read_peak(self) -> int | None:
        """Bytes; on a GPU of this model, on a CPU of the process so far."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) - self.reader.nbytes
        return peak_memory()

    def free(self) -> None:
        """The last model's memory."""
        vars(self).pop("engine", None)
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def count_bytes(settings: Settings) -> int:
    """Of a preset's weights."""
    with torch.device("meta"):
        model = DeepseekVL2ForConditionalGeneration(DeepseekVL2Config.preset(settings.model))
    model.to(getattr(torch, settings.dtype))
    if settings.quantize != "none":
        hold_narrow(model, settings.quantize)
    return sum(parameter.nbytes for parameter in model.parameters())
