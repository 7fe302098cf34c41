"""One place chooses what runs a model, says so, and keeps it apart from what runs another."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from concurrent.futures import Future

import pytest
import torch

from dsvl2_app import DeepseekVL2Config, DeepseekVL2ForConditionalGeneration
from dsvl2_app.errors import SettingsError
from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.operations import Operations
from dsvl2_app.runtime import RUNNERS, choose, prepare, use_operations
from dsvl2_app.runtime.cpu import runner as cpu
from dsvl2_app.runtime.cpu.library import Library
from dsvl2_app.runtime.cpu.operations import CpuOperations
from dsvl2_app.runtime.cpu.runner import CpuRunner
from dsvl2_app.runtime.cuda.operations import CudaOperations
from dsvl2_app.runtime.cuda.runner import CudaRunner
from dsvl2_app.runtime.eager import EagerRunner
from tests.kernels import watch

Model = DeepseekVL2ForConditionalGeneration
IDS = torch.tensor([[5, 6, 7]])


@pytest.fixture
def model(load_model: Callable[[str], Model]) -> Model:
    """One of this test's own."""
    return copy.deepcopy(load_model("tiny"))


def decode(runner: EagerRunner) -> torch.Tensor:
    cache = KVCache(runner.model.config.language_config, 8)
    with torch.inference_mode():
        runner.prefill(runner.model.decoder.embed_tokens(IDS), cache)
    return runner.decode([8], [cache])


def test_a_cpu_runs_compiled_kernels_where_they_are_wanted(
    model: Model, library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "dsvl2_app.runtime"):
        plain, fast = choose(copy.deepcopy(model), "off"), choose(model, "on")
    assert isinstance(plain, CpuRunner) and isinstance(fast, CpuRunner)
    assert plain.operations.library is None and fast.operations.library is not None
    [first, second] = [record.getMessage() for record in caplog.records]
    assert first == "The model runs on cpu, on torch's operations, because no kernels are compiled yet or wanted."
    assert second.startswith("The model runs on cpu, on compiled kernels for")


def test_two_runners_of_one_process_have_kernels_of_their_own(model: Model, library: Library) -> None:
    plain, fast = choose(copy.deepcopy(model), "off"), choose(model, "on")
    ran = watch(plain.operations), watch(fast.operations)
    torch.testing.assert_close(decode(plain), decode(fast))
    assert "operations.linear" in ran[0] and not [name for name in ran[0] if name.startswith("products")]
    assert plain.compiled is None and fast.compiled.table is not None
    assert ran[1][-1] == "products.linear"  # the head


def test_kernels_that_come_later_are_for_their_runner_alone(model: Model, library: Library) -> None:
    built: Future[Library] = Future()
    waiting, other = choose(model, "auto", library=built), choose(copy.deepcopy(model), "off")
    before = decode(waiting)
    assert waiting.operations.library is None
    built.set_result(library)
    torch.testing.assert_close(decode(waiting), before)
    assert waiting.operations.library is library and waiting.compiled.table is not None
    assert other.operations.library is None and other.compiled is None


def test_kernels_that_cannot_be_built_are_done_without(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    built: Future[Library] = Future()
    runner = choose(model, "auto", library=built)
    with caplog.at_level(logging.INFO, "dsvl2_app.runtime"):
        built.set_exception(SettingsError("No compiler."))
    assert "Answers come more slowly than they could: No compiler." in caplog.text
    assert decode(runner).shape == (1, model.config.language_config.vocab_size)


def test_kernels_are_built_when_they_are_wanted(
    library: Library, no_kernels_meanwhile: Callable[[], Future[Library]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "build_meanwhile", no_kernels_meanwhile)
    device = torch.device("cpu")
    assert isinstance(prepare("auto", device).result(60), Library)
    assert isinstance(prepare("on", device).result(0), Library)
    assert prepare("off", device) is prepare("on", torch.device("cuda")) is None
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    assert isinstance(prepare("auto", device).exception(60), SettingsError)
    with pytest.raises(SettingsError, match="install gcc"):
        prepare("on", device)


def test_a_device_that_no_runner_knows_runs_the_layers(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RUNNERS, "cpu")
    runner = choose(model, "on")
    assert type(runner) is EagerRunner and type(model.lm_head.operations) is Operations
    assert decode(runner).isfinite().all()


def test_a_model_without_a_runner_may_have_the_operations_of_its_device(model: Model) -> None:
    assert type(model.lm_head.operations) is Operations
    use_operations(model, torch.device("cpu"))
    assert type(model.lm_head.operations) is CpuOperations
    use_operations(model, torch.device("cuda"))
    assert type(model.lm_head.operations) is CudaOperations
    use_operations(model, torch.device("mps"))
    assert type(model.lm_head.operations) is Operations


def test_a_piece_of_vision_is_short_on_a_cpu_and_long_on_a_gpu(model: Model) -> None:
    nano, tiny = (DeepseekVL2Config.preset(name).vision_config for name in ("nano", "tiny"))
    sizes = []
    for config in (tiny, nano):
        model.config.vision_config = config
        sizes.append(CpuRunner(model).tile_batch)
    assert 1 == sizes[0] < sizes[1] < CudaRunner.tile_batch
