"""`dsvl2 plan` against what is really allocated: weights, keys and values, features, and the most that work takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch.profiler import ProfilerActivity, profile

from bench import costs
from dsvl2_app.checkpoints.machine import Place, read_gpus
from dsvl2_app.checkpoints.plan import Plan, plan
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.request import Event, Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import place_images
from tests.checkpoints.conftest import ROOT, Run

RAM = [Place("cpu", 10**12)]
NEW = 8  # tokens of an answer
GB = 10**9


def plan_preset(
    name: str, places: list[Place], *, dtype: str | None = None, quantize: str = "none", **more: Any
) -> Plan:
    config = DeepseekVL2Config.preset(name)
    return plan(
        DeepseekVL2ForConditionalGeneration.on_meta(config, dtype, quantize), places, **{"context": 4096} | more
    )


def ask(engine: Engine, words: int) -> list[Event]:
    picture = Image.fromarray(np.random.default_rng(0).integers(256, size=(400, 1000, 3), dtype=np.uint8))
    messages = [{"role": "user", "content": place_images("one two three four " * words, [picture])}]
    return list(engine.answer(Request(messages, Sampling(max_new_tokens=NEW, min_new_tokens=NEW))))


def measure_peak(run: Callable[[], Any]) -> tuple[int, Any]:
    """Bytes that PyTorch's allocator had given out at once, at most, beyond those before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        result = run()
    kineto = profiler.profiler.kineto_results
    changes = sorted((each.start_ns(), each.nbytes()) for each in kineto.events() if each.name() == "[memory]")
    return int(np.cumsum([change for _, change in changes]).max()), result


def check_engine(engine: Engine, words: int, quantize: str = "none") -> None:
    """One answer from nothing takes what the plan says, part by part and at its peak."""
    engine.forget()
    peak, events = measure_peak(lambda: ask(engine, words))
    timings, weights = events[-1].timings, sum(parameter.nbytes for parameter in engine.model.parameters())
    context = timings.prompt_tokens + NEW
    dtype = str(engine.model.dtype).removeprefix("torch.")
    meta = DeepseekVL2ForConditionalGeneration.on_meta(engine.model.config, dtype, quantize)
    found = plan(meta, RAM, context=context)
    (load,) = found.loads
    assert load.weights == weights
    assert found.per_token * (context - 1) == timings.cache_bytes  # the last token is never fed
    assert load.total == pytest.approx(weights + peak, rel=0.05)


@pytest.fixture(scope="module")
def nano() -> Engine:
    return load_engine(Settings(compile="off"))


@pytest.mark.slow
@pytest.mark.parametrize("words", [3, 150, 400])
def test_nano_takes_what_is_planned(words: int, nano: Engine) -> None:
    check_engine(nano, words)


@pytest.mark.slow
@pytest.mark.parametrize("quantize", ["none", "int8", "int4"])
def test_layers_of_tiny_take_what_is_planned(quantize: str, tmp_path: Path) -> None:
    """Two of each kind: the others are as wide."""
    config = DeepseekVL2Config.preset("tiny")
    config.language_config.num_hidden_layers = config.vision_config.layers = 2
    config.save_pretrained(tmp_path)
    settings = Settings(model=str(tmp_path), load_format="dummy", compile="off", quantize=quantize)
    check_engine(load_engine(settings), 150, quantize)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "quantize"), [("tiny", "none"), ("small", "none"), ("small", "int8"), ("small", "int4"), ("base", "none")]
)
def test_weights_are_what_is_allocated(name: str, quantize: str) -> None:
    """In a fresh process, and address space alone: nothing is written, so that pages take no memory."""
    code = f"""
import psutil
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.placing import allocate
model = DeepseekVL2ForConditionalGeneration.on_meta(DeepseekVL2Config.preset({name!r}), None, {quantize!r})
before = psutil.Process().memory_info().vms
allocate(model, {{"": "cpu"}})
print(psutil.Process().memory_info().vms - before, sum(parameter.nbytes for parameter in model.parameters()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    taken, weights = map(int, done.stdout.split())
    planned = plan_preset(name, RAM, quantize=quantize, context=64).loads[0].weights
    assert planned == weights == pytest.approx(taken, rel=0.05)


@pytest.mark.slow
def test_features_of_a_picture_are_counted(nano: Engine) -> None:
    nano.forget()
    geometry = nano.model.config.geometry
    side = geometry.tile
    tall = Image.new("RGB", (side, 9 * side))
    messages = [{"role": "user", "content": place_images("What?", [tall])}]
    list(nano.answer(Request(messages, Sampling(max_new_tokens=1))))
    assert plan_preset("nano", RAM, dtype="float32").picture == nano.pictures.kept.nbytes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nano", "tiny", "small", "base"])
@pytest.mark.parametrize("quantize", ["none", "int8", "int4"])
def test_a_token_reads_every_active_weight_and_its_conversation(name: str, quantize: str) -> None:
    config = DeepseekVL2Config.preset(name).language_config
    found = plan_preset(name, RAM, quantize=quantize, context=1000)
    size = {"none": None, "int8": 1, "int4": 17 / 32}[quantize]
    counted = costs.decode_bytes(config, 1000, torch.bfloat16, size)
    spread = {"none": 0.005, "int8": 0.12, "int4": 0.3}[quantize]  # kv_b_proj and routers are wide
    assert found.loads[0].read == pytest.approx(counted, rel=spread)
    assert found.seconds(50e9, share=1) == pytest.approx(found.loads[0].read / 50e9)
    assert found.seconds(50e9) > found.seconds(50e9, share=1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "measured"), [("tiny", 1856), ("small", 565), ("base", 360)])
def test_tokens_per_second_are_those_that_a_gpu_reached(name: str, measured: float) -> None:
    """One conversation of 1,000 tokens on an H200, whose memory is read at 4.43 TB/s (docs/performance.md)."""
    found = plan_preset(name, [Place(0, 141 * GB)], context=1000)
    assert 1 / found.seconds(4.43e12) == pytest.approx(measured, rel=0.06)


@pytest.mark.slow
def test_several_gpus_share_weights_and_conversations() -> None:
    alone = plan_preset("small", [Place(0, 80 * GB)])
    found = plan_preset("small", [Place(0, 24 * GB), Place(1, 24 * GB)])
    assert (alone.runner, found.runner) == ("graphs", "layers")
    assert sum(load.weights for load in found.loads) == alone.loads[0].weights
    assert sum(load.layers for load in found.loads) == 27 and min(load.layers for load in found.loads) > 8
    assert sum(load.conversations for load in found.loads) == pytest.approx(found.per_conversation, abs=8)
    assert found.fits and all(load.weights < 20 * GB for load in found.loads)
    assert sum(load.read for load in found.loads) == pytest.approx(alone.loads[0].read)


@pytest.mark.slow
def test_what_does_not_fit_onto_a_gpu_is_brought_from_ram() -> None:
    found = plan_preset("base", [Place(0, 24 * GB), Place("cpu", 64 * GB)])
    gpu, ram = found.loads
    assert gpu.weights + ram.weights == pytest.approx(55e9, rel=0.01)
    assert found.fits and gpu.weights < 0.9 * 24 * GB
    assert gpu.brought == pytest.approx(ram.weights, rel=0.02)  # vision and embeddings may be among them
    assert (gpu.layers, ram.layers, ram.conversations) == (30, 0, 0)
    assert found.seconds(4.43e12) == pytest.approx(5.4, rel=0.05)  # measured with 24 GB free of an H200


@pytest.mark.slow
def test_a_single_gpu_reserves_rows_for_conversations() -> None:
    found = plan_preset("tiny", [Place(0, 24 * GB)])
    rows = found.loads[0].conversations / found.per_conversation - 1  # one more is being read
    assert rows == min(32, (24 * GB - found.loads[0].weights) // 4 // found.per_conversation)
    assert found.most_chats == rows


@pytest.mark.slow
def test_more_chats_take_more_until_it_is_full() -> None:
    one = plan_preset("nano", RAM)
    many = plan_preset("nano", RAM, chats=one.most_chats)
    assert many.fits and not plan_preset("nano", RAM, chats=one.most_chats + 1).fits
    assert many.loads[0].conversations == one.most_chats * one.per_conversation


@pytest.mark.slow
def test_the_cache_is_counted_to_its_limit() -> None:
    with_cache, without = (plan_preset("nano", RAM, cache=size).loads[0] for size in (2**30, 0))
    assert with_cache.total - without.total == 2**30


def test_gpus_are_written_as_numbers_and_sizes() -> None:
    assert [place.room for place in read_gpus("2x24GB, 80GiB")] == [24 * GB, 24 * GB, 80 * 2**30]
    assert [place.name for place in read_gpus("2x1.5gb")] == ["GPU 0", "GPU 1"]


@pytest.mark.slow
def test_the_command_tells_it_as_json_and_as_a_table(run: Run) -> None:
    told = json.loads(run("plan", "tiny", "--gpus", "2x24GB", "--bandwidth", "1008", "--json").out)
    assert (told["runner"], told["dtype"], told["fits"]) == ("graphs", "bfloat16", True)
    assert [(place["name"], place["weights"]) for place in told["places"]] == [("GPU 0", 6_741_002_880), ("GPU 1", 0)]
    assert told["weights"] == 6_741_002_880
    assert 0 < told["tokens_per_second"] < told["tokens_per_second_at_most"]
    done = run("plan", "small", "--gpus", "24GB")
    assert done.status == 0
    assert "It does not fit: GPU 0 lacks" in done.out and "--bandwidth GB/S tells tokens/s" in done.out


@pytest.mark.slow
def test_this_machine_is_measured(run: Run) -> None:
    told = json.loads(run("plan", "nano", "--context", "1000", "--chats", "2", "--json").out)
    assert [place["name"] for place in told["places"]] == ["RAM"]
    assert told["places"][0]["room"] == pytest.approx(psutil.virtual_memory().available, rel=0.3)
    assert told["bandwidth"] > 1e8
    assert told["bytes_per_conversation"] == 1000 * told["bytes_per_token"] == 1000 * 6 * (96 + 16) * 4


@pytest.mark.slow
def test_a_folder_is_planned_by_its_configuration(checkpoint: Path, model: Any, run: Run) -> None:
    told = json.loads(run("plan", str(checkpoint), "--json", "--bandwidth", "1").out)
    assert told["weights"] == sum(parameter.nbytes for parameter in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["tinny"], "--model is 'tinny'"),
        (["tiny", "--gpus", "many"], "--gpus has 'many', but a size is written as 24GB"),
        (["tiny", "--gpus", "0x24GB"], "--gpus is '0x24GB', but must be numbers and sizes"),
        (["tiny", "--gpus", "24GB", "--ram", "all"], "--ram has 'all'"),
        (["tiny", "--ram", "64GB"], "--ram is the memory beside --gpus"),
        (["tiny", "--gpus", "24GB", "--device", "cpu"], "cannot be given together"),
        (["tiny", "--context", "9999"], "--context is 9999, but must be a whole number from 1 to 4096"),
        (["tiny", "--chats", "0"], "--chats is 0"),
        (["tiny", "--bandwidth", "-1"], "--bandwidth is -1, but must be GB/s"),
        (["tiny", "--quantize", "int3"], "--quantize is 'int3'"),
        (["base", "--gpus", "2x8GB"], "does not fit into the memory given"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(argv: list[str], sentence: str, run: Run) -> None:
    done = run("plan", *argv)
    assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert sentence in done.err
