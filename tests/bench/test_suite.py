from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench import agreement, decode, load, memory, parity, peers, roofs, stages, suite
from bench.record import NotRun
from bench.suite import PLANS, Setup
from dsvl2_app.__main__ import main
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.errors import SettingsError
from dsvl2_app.settings import Settings

CPU, GB = torch.device("cpu"), 10**9


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every part, with less to do."""
    gc.freeze()  # collecting after each model then passes over all that was there before
    monkeypatch.setattr(roofs, "SIZES", roofs.Sizes(2**20, 64, 0.0))
    monkeypatch.setattr(decode, "CONTEXT", 20)
    monkeypatch.setattr(parity, "VARIANTS", ("tiny",))
    monkeypatch.setattr(parity, "CASES", ("a_text",))
    monkeypatch.setattr(peers, "measure", lambda *_: {"layers": 4})
    monkeypatch.setattr(agreement, "measure", lambda *_: {"int4": {"examples": {"top1": 1}}})
    read = {"seconds": 2.0, "bytes_per_second": 3.0, "ratio": 1.0, "what": "load"}
    monkeypatch.setattr(load, "measure", lambda *_: read)  # which starts processes
    monkeypatch.setattr(stages, "WRITING_PROMPT", 30)
    monkeypatch.setattr(stages, "WRITING_TOKENS", 6)
    monkeypatch.setattr(suite, "PROMPTS", (40, 60))
    monkeypatch.setattr(suite, "CHAT_TOKENS", 8)
    few = {"batches": (1, 2), "tiles": (1,), "steps": 2, "repeats": 1}
    for name, plan in list(PLANS.items()):
        chats = plan.chats and (2,)
        monkeypatch.setitem(PLANS, name, replace(plan, **few, chats=chats, eager_steps=min(1, plan.eager_steps)))
    yield
    gc.unfreeze()


def is_number(found: Any) -> bool:
    return isinstance(found, int | float) and found > 0


@pytest.mark.slow
@pytest.mark.usefixtures("small_parts")
def test_the_last_line_of_a_suite_is_json_with_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--suite", "cpu", "--models", "nano", "--compile", "off"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["suite"], found["device"], found["failed"], found["not_run"]) == ("cpu", "cpu", [], [])
    assert found["parity"] == {"tiny": {"answers": 1, "as_cpu": 1, "as_official": 1, "together": 1}}
    assert found["peers"] == {"layers": 4}
    assert found["roofs"].keys() == {"read", "copy", "matrix"}
    assert found["models"]["nano"].keys() == {"float32", "int8", "int4"}
    assert found["agreement"] == {"int4": {"examples": {"top1": 1}}}
    disk = found["models"]["nano"]["float32"].pop("disk")
    assert disk == {"seconds": 2, "bytes_per_second": 3, "ratio": 1}
    for one in found["models"]["nano"].values():
        assert one["load"]["parameters"] > 10**7 and is_number(one["peak_memory"] or 1)
        assert one["decode"].keys() == {"1", "2"}
        for step in one["decode"].values():
            assert step.keys() == {"seconds", "tokens_per_second", "mbu", "mbu_paired"}
            assert all(map(is_number, step.values()))
        assert one["picture"].keys() == {"prepare", "vision", "prefill", "decode", "total"}
        assert all(map(is_number, one["picture"].values())) and is_number(one["writing"]["tokens_per_second"])
        assert one["first_token"].keys() == {"cold", "follow-up", "same picture", "same picture, other owner"}
        assert all(39 <= one["prefill"][tokens]["tokens"] <= int(tokens) for tokens in ("40", "60"))
        assert is_number(one["prefill"]["60"]["mfu"]) and is_number(one["vision"]["1"]["mfu"])
        assert one["chats"]["2"].keys() == {"slowest", "total", "stall"}


@pytest.mark.slow
@pytest.mark.usefixtures("small_parts")
def test_a_format_that_fails_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[weakref.ref[Any]] = []

    def load(settings: Settings) -> Any:
        assert not any(model() for model in loaded), "the one before is still in memory"
        if settings.quantize == "int8":
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 1 GiB")
        engine = load_engine(settings)
        loaded.append(weakref.ref(engine.model))
        return engine

    def break_vision(*_: Any) -> None:
        raise ValueError("no tiles")

    monkeypatch.setattr(suite, "load_engine", load)
    monkeypatch.setattr(stages, "time_vision", break_vision)
    monkeypatch.setattr(suite.Suite, "measure_reuse", lambda self: {})
    found = suite.measure("gpu", Settings(device="cpu", compile="off"), ["nano"])
    assert len(loaded) == 2
    assert found["failed"] == [
        "models nano float32 vision 1",
        "models nano int8 load",
        "without_graphs nano int8 load",
    ]
    assert found["models"]["nano"]["int8"] == {"load": {"failed": "OutOfMemoryError: CUDA out of memory."}}
    assert is_number(found["models"]["nano"]["float32"]["decode"]["2"]["mbu_paired"])
    # what came later was measured all the same
    without = found["without_graphs"]["nano"]["float32"]
    assert without.keys() == {"load", "decode", "peak_memory"} and is_number(without["decode"]["1"]["seconds"])


@pytest.mark.usefixtures("small_parts")
def test_after_the_deadline_everything_is_listed_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Settings] = []
    monkeypatch.setattr(suite, "load_engine", loaded.append)
    found = suite.measure("gpu", Settings(device="cpu"), minutes=0)
    assert not loaded and not found["failed"]
    models = ("tiny", "small", "base")
    assert found["not_run"] == [
        *("parity tiny", "roofs"),
        *(f"models {model} bfloat16 load" for model in models),
        *(f"models {model} int8 load" for model in models),
        *(f"without_graphs {model} bfloat16 load" for model in models),
        *(f"without_graphs {model} int8 load" for model in models),
        "peers",
    ]
    assert found["roofs"] == {"not_run": "0 minutes were over"}


@pytest.mark.slow
@pytest.mark.usefixtures("small_parts")
def test_a_model_that_does_not_fit_is_not_even_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(suite, "load_engine", lambda settings: loaded.append(settings.quantize))
    monkeypatch.setattr(memory, "free_memory", lambda: 20 * GB)
    found = suite.measure("cpu", Settings(compile="off"), ["small"])
    reason = {"not_run": "needs 34.30 GB of memory, 20.00 GB are free"}
    assert found["models"]["small"]["bfloat16"] == {"disk": reason, "load": reason}
    assert loaded[:2] == ["int8", "int4"]  # and then nano's, for what they change


@pytest.mark.usefixtures("small_parts")
def test_a_full_disk_is_not_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite.shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * GB))
    settings = Setup("nano").choose_settings(Settings(), CPU)
    with pytest.raises(NotRun, match=r"needs 2\.05 GB of disk, 2\.00 GB are free"):
        suite.Suite(PLANS["cpu"], settings, CPU).measure_disk(settings)


@pytest.mark.slow
def test_bytes_are_those_of_the_loaded_model(count_loaded: Callable[[Settings], int]) -> None:
    for quantize in ("none", "int8"):
        settings = Setup("nano", quantize).choose_settings(Settings(compile="off"), CPU)
        assert suite.count_bytes(settings) == count_loaded(settings)


@pytest.fixture
def count_loaded() -> Callable[[Settings], int]:
    return lambda settings: sum(each.nbytes for each in load_engine(settings).model.parameters())


def test_a_gpu_suite_wants_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SettingsError, match="--device cuda: this machine has no such device"):
        suite.measure("gpu", Settings())


def test_random_weights_stand_in_for_released_ones() -> None:
    chosen = Setup("small", "int8").choose_settings(Settings(threads=3), CPU)
    assert (chosen.model, chosen.load_format, chosen.dtype) == ("small", "dummy", "bfloat16")
    assert (chosen.quantize, chosen.threads) == ("int8", 3)
