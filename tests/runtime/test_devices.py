"""On which device a model runs, and in which format."""

from __future__ import annotations

import pytest
import torch

from dsvl2_app import DeepseekVL2Config
from dsvl2_app.errors import SettingsError
from dsvl2_app.runtime.devices import choose_device, choose_device_map, choose_dtype

CPU = torch.device("cpu")


@pytest.fixture
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (24 * 10**9, 24 * 10**9))


@pytest.mark.usefixtures("no_accelerator")
def test_devices_of_a_plain_machine() -> None:
    assert choose_device("auto") == choose_device("cpu") == CPU
    for name in ("cuda", "cuda:0", "cuda:3", "mps"):
        with pytest.raises(SettingsError, match=f"--device {name}: this machine has no such device; use"):
            choose_device(name)


@pytest.mark.usefixtures("two_gpus")
def test_devices_of_a_machine_with_gpus() -> None:
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert choose_device("cpu") == CPU
    with pytest.raises(SettingsError, match="--device cuda:2"):
        choose_device("cuda:2")


def test_device_of_an_apple(monkeypatch: pytest.MonkeyPatch, no_accelerator: None) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("mps")


def test_format_is_the_checkpoints_except_for_narrow_models_on_a_cpu() -> None:
    narrow, wide = DeepseekVL2Config.preset("nano"), DeepseekVL2Config.preset("tiny")
    assert choose_dtype("auto", narrow, CPU) == "float32"
    assert choose_dtype("auto", narrow, torch.device("cuda")) is None
    assert choose_dtype("auto", wide, CPU) is None
    for name in ("float32", "bfloat16", "float16"):
        assert choose_dtype(name, narrow, CPU) == choose_dtype(name, wide, torch.device("cuda")) == name


@pytest.mark.usefixtures("two_gpus")
def test_weights_are_spread_over_all_gpus_unless_one_is_named_or_has_room_for_all() -> None:
    gpu = torch.device("cuda")
    for name in ("auto", "cuda"):
        assert choose_device_map(name, gpu, 20 * 10**9) == "auto"
        assert choose_device_map(name, gpu, 16 * 10**9) == torch.device("cuda:0")
    assert choose_device_map("cuda:1", torch.device("cuda:1"), 20 * 10**9) == torch.device("cuda:1")
    assert choose_device_map("cpu", CPU) == choose_device_map("auto", CPU) == CPU
