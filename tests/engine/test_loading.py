"""Which model settings mean, on which device, in which format."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dsvl2_app import DeepseekVL2ForConditionalGeneration
from dsvl2_app.engine import loading
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.errors import CheckpointError, SettingsError
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings


@pytest.fixture
def nano(monkeypatch: pytest.MonkeyPatch, reference_folder: Path, tmp_path: Path) -> Path:
    """A nano folder with a tokenizer and no weights."""
    folder = tmp_path / "nano"
    folder.mkdir()
    for name in ("processor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((reference_folder / "tiny" / "checkpoint" / name).read_bytes())
    monkeypatch.setattr(loading, "NANO", folder)
    return folder


# -- checkpoints -------------------------------------------------------------------------------------------------


def test_a_folder(checkpoint: Path, model: DeepseekVL2ForConditionalGeneration) -> None:
    engine = load_engine(Settings(model=str(checkpoint), device="cpu", compile="off"))
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
    engine = load_engine(Settings(model=str(checkpoint), dtype="bfloat16", device="cpu", compile="off"))
    assert engine.card.dtype == "bfloat16" and engine.model.dtype == torch.bfloat16
    request = Request([{"role": "user", "content": "Hi"}], Sampling(max_new_tokens=3))
    assert [step.stage for step in engine.answer(request)] == ["prefill", "decode", "decode", "decode", "done"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "total", "active"), [("tiny", 3.4, 1.0), ("small", 16.1, 2.8), ("base", 27.5, 4.5)])
def test_active_parameters_of_the_released_sizes(name: str, total: float, active: float) -> None:
    """The published numbers, which leave out some of what ours count (vision, or embeddings)."""
    card = loading.look_ahead(Settings(model=name, load_format="dummy")).card
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
        load_engine(Settings(**settings, compile="off"))


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
        load_engine(Settings(model=str(checkpoint_copy), load_format=load_format, device="cpu", compile="off"))


@pytest.mark.parametrize("variant", ["tiny"])
def test_bundled_is_the_folder_and_not_the_name(checkpoint_copy: Path) -> None:
    folder = checkpoint_copy.rename(checkpoint_copy.with_name("nano"))
    assert not load_engine(Settings(model=str(folder), device="cpu", compile="off")).card.bundled
    for model in ("nano", str(loading.NANO)):
        card = load_engine(Settings(model=model, device="cpu", compile="off")).card
        assert card.bundled and (card.name, card.source) == ("nano", "assets/nano")


# -- random weights ----------------------------------------------------------------------------------------------


def test_nano_without_weights_says_that_it_is_random(nano: Path) -> None:
    engine = load_engine(Settings(device="cpu", compile="off"))
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
    engine = load_engine(Settings(model=str(checkpoint_copy), load_format="dummy", device="cpu", compile="off"))
    assert engine.card.source == "random weights" and engine.card.name == "checkpoint"
    assert engine.model.config.language_config.kv_lora_rank == 32
    request = Request([{"role": "user", "content": "Hi"}], Sampling(temperature=1.0, seed=0, max_new_tokens=40))
    steps = list(engine.answer(request))
    assert any(step.text.strip() for step in steps)


def test_generate_and_the_engine_end_on_the_same_token(nano: Path) -> None:
    engine = load_engine(Settings(device="cpu", compile="off"))
    tokenizer = engine.processor.tokenizer
    generation = engine.model.generation_config
    assert generation.eos_token_id == tokenizer.eos_token_id
    assert generation.pad_token_id == tokenizer.pad_token_id


LARGE = """
import re, sys, torch
from pathlib import Path
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.settings import Settings

engine = load_engine(Settings(model=sys.argv[1], load_format="dummy", compile="off"))
room = torch.ones(2**26, dtype=torch.uint8)
print(re.search(r"AnonHugePages: *([0-9]+)", Path("/proc/self/smaps_rollup").read_text())[1])
"""


# A program that asks for large pages itself.
ASKED = """
import mmap, re
from pathlib import Path

room = mmap.mmap(-1, 2**27, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
room.madvise(mmap.MADV_HUGEPAGE)
for place in range(0, 2**27, 4096):
    room[place] = 1
print(re.search(r"AnonHugePages: *([0-9]+)", Path("/proc/self/smaps_rollup").read_text())[1])
"""


def read_large_pages(program: str, *words: str) -> int:
    """KiB of them that the program's process has at its end."""
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["tiny"])
@pytest.mark.parametrize("asked", [None, "0"])
def test_memory_is_in_large_pages_unless_that_is_refused(
    asked: str | None, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not setting.exists() or "[madvise]" not in setting.read_text():
        pytest.skip("this system has no large pages, or gives them unasked")
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    if asked is not None:
        monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", asked)
    if read_large_pages(ASKED) < 60_000:
        pytest.skip("this machine has no large pages to spare")
    assert (read_large_pages(LARGE, str(checkpoint)) > 30_000) == (asked is None)
