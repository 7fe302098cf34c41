"""Which model settings mean, on which device, in which format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dsvl2_app import DeepseekVL2Config, DeepseekVL2ForConditionalGeneration
from dsvl2_app.engine import loading
from dsvl2_app.engine.loading import choose_device, choose_dtype, load_engine
from dsvl2_app.errors import CheckpointError, SettingsError
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings

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


@pytest.fixture
def nano(monkeypatch: pytest.MonkeyPatch, reference_folder: Path, tmp_path: Path) -> Path:
    """A nano folder with a tokenizer and no weights."""
    folder = tmp_path / "nano"
    folder.mkdir()
    for name in ("processor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((reference_folder / "tiny" / "checkpoint" / name).read_bytes())
    monkeypatch.setattr(loading, "NANO", folder)
    return folder


# -- device and format -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_accelerator")
def test_devices_of_a_plain_machine() -> None:
    assert choose_device("auto") == choose_device("cpu") == CPU
    for name in ("cuda", "cuda:0", "cuda:3", "mps"):
        with pytest.raises(SettingsError, match=f"--device {name}: this machine has no such device; use"):
            choose_device(name)


def test_a_piece_of_vision_is_short_on_a_cpu_and_long_on_a_gpu() -> None:
    tiny, nano = (DeepseekVL2Config.preset(name) for name in ("tiny", "nano"))
    sizes = [loading.choose_tile_batch(tiny, CPU), loading.choose_tile_batch(nano, CPU)]
    assert 1 == sizes[0] < sizes[1] < loading.choose_tile_batch(tiny, torch.device("cuda"))


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


# -- checkpoints -------------------------------------------------------------------------------------------------


def test_a_folder(checkpoint: Path, model: DeepseekVL2ForConditionalGeneration) -> None:
    engine = load_engine(Settings(model=str(checkpoint), device="cpu"))
    card = engine.card
    assert (card.name, card.source, card.notice) == ("checkpoint", str(checkpoint), "")
    assert not card.bundled
    assert (card.dtype, card.device, card.context) == ("float32", "cpu", 4096)
    assert card.geometry == engine.processor.geometry
    assert card.parameters == sum(parameter.numel() for parameter in model.parameters())
    experts = [p for name, p in model.named_parameters() if ".experts." in name]
    per_expert = sum(p[0].numel() for p in experts)
    idle = model.config.language_config.n_routed_experts - model.config.language_config.num_experts_per_tok
    assert card.active_parameters == card.parameters - idle * per_expert


@pytest.mark.parametrize("variant", ["base"])
def test_a_format_that_was_asked_for(checkpoint: Path) -> None:
    engine = load_engine(Settings(model=str(checkpoint), dtype="bfloat16", device="cpu"))
    assert engine.card.dtype == "bfloat16" and engine.model.dtype == torch.bfloat16
    request = Request([{"role": "user", "content": "Hi"}], Sampling(max_new_tokens=3))
    assert [step.stage for step in engine.answer(request)] == ["prefill", "decode", "decode", "decode", "done"]


@pytest.mark.parametrize(("name", "total", "active"), [("tiny", 3.4, 1.0), ("small", 16.1, 2.8), ("base", 27.5, 4.5)])
def test_active_parameters_of_the_released_sizes(
    name: str, total: float, active: float, load_processor: Callable[[str], Any]
) -> None:
    """The published numbers, which leave out some of what ours count (vision, or embeddings)."""
    with torch.device("meta"):
        model = DeepseekVL2ForConditionalGeneration(DeepseekVL2Config.preset(name))
    card = loading._describe(model, load_processor("tiny"), name, "")
    assert round(card.parameters / 1e9, 1) == total
    assert abs(card.active_parameters / 1e9 - active) < 0.45


@pytest.mark.parametrize(
    ("settings", "kind", "sentence"),
    [
        ({"model": "/no/such/folder"}, CheckpointError, "neither a folder here nor a repository id"),
        ({"model": "nano", "device": "cuda:99"}, SettingsError, "--device cuda:99"),
    ],
)
def test_settings_that_cannot_be_met(settings: dict[str, str], kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        load_engine(Settings(**settings))


OCR = {
    "model_type": "deepseek_vl_v2",
    "candidate_resolutions": [[1024, 1024]],
    "language_config": {"hidden_size": 1280, "use_mla": False, "qk_rope_head_dim": 0},
    "projector_config": {"input_dim": 2048, "n_embed": 1280, "projector_type": "linear"},
    "vision_config": {"model_name": "deeplip_b_l", "image_size": 1024, "width": {"sam_vit_b": {"width": 768}}},
}


@pytest.mark.parametrize("with_processor", [True, False])
@pytest.mark.parametrize("load_format", ["auto", "dummy"])
@pytest.mark.parametrize("variant", ["tiny"])
def test_deepseek_ocr_is_named_first(with_processor: bool, load_format: str, checkpoint_copy: Path, nano: Path) -> None:
    """Whatever else its folder has or lacks."""
    (checkpoint_copy / "config.json").write_text(json.dumps(OCR), encoding="utf-8")
    if not with_processor:
        (checkpoint_copy / "processor_config.json").unlink()
    with pytest.raises(CheckpointError, match="describes DeepSeek-OCR"):
        load_engine(Settings(model=str(checkpoint_copy), load_format=load_format, device="cpu"))


@pytest.mark.parametrize("variant", ["tiny"])
def test_bundled_is_the_folder_and_not_the_name(checkpoint_copy: Path) -> None:
    folder = checkpoint_copy.rename(checkpoint_copy.with_name("nano"))
    assert not load_engine(Settings(model=str(folder), device="cpu")).card.bundled
    for model in ("nano", str(loading.NANO)):
        card = load_engine(Settings(model=model, device="cpu")).card
        assert card.bundled and (card.name, card.source) == ("nano", "assets/nano")


# -- random weights ----------------------------------------------------------------------------------------------


def test_nano_without_weights_says_that_it_is_random(nano: Path) -> None:
    engine = load_engine(Settings(device="cpu"))
    assert engine.card.name == "nano" and engine.card.source == "random weights" and not engine.card.bundled
    assert "random" in engine.card.notice
    assert engine.model.dtype == torch.float32  # narrow, on a CPU
    request = Request([{"role": "user", "content": "Hi"}], Sampling(max_new_tokens=8))
    steps = list(engine.answer(request))
    assert steps[-1].finish in ("length", "eos")
    assert all(step.token is None or step.token < len(engine.processor.tokenizer) for step in steps)


@pytest.mark.parametrize("variant", ["small"])
def test_the_shapes_of_a_folder_with_random_weights(checkpoint_copy: Path, nano: Path) -> None:
    (checkpoint_copy / "model.safetensors").unlink()
    engine = load_engine(Settings(model=str(checkpoint_copy), load_format="dummy", device="cpu"))
    assert engine.card.source == "random weights" and engine.card.name == "checkpoint"
    assert engine.model.config.language_config.kv_lora_rank == 32
    request = Request([{"role": "user", "content": "Hi"}], Sampling(temperature=1.0, seed=0, max_new_tokens=40))
    steps = list(engine.answer(request))
    assert any(step.text.strip() for step in steps)


def test_generate_and_the_engine_end_on_the_same_token(nano: Path) -> None:
    engine = load_engine(Settings(device="cpu"))
    tokenizer = engine.processor.tokenizer
    generation = engine.model.generation_config
    assert generation.eos_token_id == tokenizer.eos_token_id
    assert generation.pad_token_id == tokenizer.pad_token_id
