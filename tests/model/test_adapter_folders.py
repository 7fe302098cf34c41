"""Folders of adapters: with our names of layers or the official ones, opened as a model, served, and written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils.other import get_pattern_key
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForImageTextToText

from dsvl2_app import DeepseekVL2ForConditionalGeneration as Model
from dsvl2_app import DeepseekVL2Processor
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.errors import CheckpointError, SettingsError
from dsvl2_app.model import adapters
from dsvl2_app.model.adapter_names import Layer, join
from dsvl2_app.model.weights import official_views
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings

NANO = Path(__file__).parents[2] / "assets" / "nano"
IDS = torch.arange(100, 124)[None]
LAYERS = ["q_proj", "kv_b_proj", "gate_up", "down", "qkv", "fc1", "adaptor.mlp.0", "lm_head"]
EXPERTS = ["experts.gate_up", "experts.down"]
CLOSE = dict(atol=2e-3, rtol=1e-3)


def load() -> Model:
    return Model.from_pretrained(NANO, dtype="float32")


def logits(model: torch.nn.Module) -> Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


def adapt(**options: Any) -> PeftModel:
    torch.manual_seed(1)
    config = LoraConfig(**{"r": 3, "lora_alpha": 5, "target_modules": LAYERS, **options})
    adapted = get_peft_model(load(), config)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    return adapted.eval()


def write_official(folder: Path, modules: dict[str, tuple[int, int]], **options: Any) -> dict[str, Tensor]:
    """An adapter as the official code would leave it, layer -> rank and alpha; returns what it adds to the weights."""
    views, generator = official_views(load()), torch.Generator().manual_seed(3)
    ranks, alphas = ({name: pair[i] for name, pair in modules.items()} for i in (0, 1))
    config = LoraConfig(target_modules=[*modules], rank_pattern=ranks, alpha_pattern=alphas, **options)
    config.base_model_name_or_path = str(NANO)
    config.save_pretrained(folder)
    state, deltas = {}, {}
    for name, (rank, alpha) in modules.items():
        rows, columns = views[f"{name}.weight"].shape
        a = torch.randn(rank, columns, generator=generator)
        b = torch.randn(rows, rank, generator=generator) * 0.02
        state |= {f"base_model.model.{name}.lora_A.weight": a, f"base_model.model.{name}.lora_B.weight": b}
        scale = alpha / (rank**0.5 if options.get("use_rslora") else rank)
        deltas[f"{name}.weight"] = scale * b @ a
    save_file(state, folder / "adapter_model.safetensors")
    return deltas


DENSE, MIXED = "language.model.layers.0", "language.model.layers.1"
OFFICIAL = {
    f"{DENSE}.self_attn.q_proj": (2, 4),
    f"{DENSE}.mlp.gate_proj": (2, 4),
    f"{DENSE}.mlp.up_proj": (3, 4),  # another rank and so another scale
    f"{DENSE}.mlp.down_proj": (2, 4),
    f"{MIXED}.mlp.shared_experts.up_proj": (2, 4),  # the other half has none
    f"{MIXED}.mlp.experts.0.gate_proj": (2, 4),
    f"{MIXED}.mlp.experts.0.up_proj": (2, 4),
    f"{MIXED}.mlp.experts.0.down_proj": (2, 4),
    f"{MIXED}.mlp.experts.5.up_proj": (4, 4),
    f"{MIXED}.mlp.experts.5.down_proj": (1, 4),
    f"{MIXED}.self_attn.kv_b_proj": (2, 3),
    "vision.blocks.1.attn.qkv": (2, 4),
    "vision.blocks.0.mlp.fc2": (2, 4),
    "projector.layers.2": (2, 4),
    "language.lm_head": (2, 4),
}


@pytest.mark.slow
@pytest.mark.parametrize("rslora", [False, True])
def test_official_names_add_to_the_official_weights(tmp_path: Path, rslora: bool) -> None:
    deltas = write_official(tmp_path, OFFICIAL, use_rslora=rslora)
    model, before = load(), {key: view.clone() for key, view in official_views(load()).items()}
    adapters.load(model, tmp_path)
    adapted = logits(model)
    adapters.merge(model)
    after = official_views(model)
    for key, weight in before.items():
        torch.testing.assert_close(after[key], weight + deltas.get(key, 0), atol=1e-5, rtol=1e-5, msg=key)
    torch.testing.assert_close(logits(model), adapted, **CLOSE)


@pytest.mark.slow
def test_dora_of_both_halves_is_dora_of_the_fused_layer(tmp_path: Path) -> None:
    adapted = adapt(use_dora=True)
    adapters.save_official(adapted, tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["use_dora"]
    model = load()
    adapters.load(model, tmp_path)
    torch.testing.assert_close(logits(model), logits(adapted), **CLOSE)
    one = Layer(torch.ones(1, 2), torch.ones(2, 1), 1.0, torch.ones(2))
    with pytest.raises(ValueError, match="up_proj"):
        join(one, None)


@pytest.mark.slow
@pytest.mark.parametrize("experts", [[], EXPERTS, ["experts.down"], ["experts.gate_up"]])
def test_ours_is_written_with_official_names_and_read_back(tmp_path: Path, experts: list[str]) -> None:
    adapted = adapt(target_parameters=experts, alpha_pattern={"q_proj": 7}, rank_pattern={"fc1": 2})
    adapters.save_official(adapted, tmp_path)
    state = load_file(tmp_path / "adapter_model.safetensors")
    config = LoraConfig.from_pretrained(tmp_path)
    names = {key.removesuffix(".weight") for key in official_views(load())}
    added: dict[str, Tensor] = {}
    for key, a in state.items():
        if not key.endswith(".lora_A.weight"):
            continue
        name = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        assert name in names and name in config.target_modules
        rank = config.rank_pattern.get(get_pattern_key(config.rank_pattern, name), config.r)
        alpha = config.alpha_pattern.get(get_pattern_key(config.alpha_pattern, name), config.lora_alpha)
        assert a.shape[0] == rank
        added[f"{name}.weight"] = alpha / rank * state[key.replace("lora_A", "lora_B")] @ a
    merged = official_views(adapted.merge_and_unload())
    for key, weight in official_views(load()).items():
        torch.testing.assert_close(weight + added.get(key, 0), merged[key], atol=1e-5, rtol=1e-5, msg=key)
    model = load()
    adapters.load(model, tmp_path)
    adapters.merge(model)
    for key, weight in official_views(model).items():
        torch.testing.assert_close(weight, merged[key], atol=1e-5, rtol=1e-5, msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("quantize", ["none", "int8"])
def test_an_adapter_is_served_as_the_model_that_it_makes(tmp_path: Path, quantize: str) -> None:
    adapted = adapt(target_parameters=EXPERTS)
    adapted.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    whole = tmp_path / "whole"
    adapted.merge_and_unload().save_pretrained(whole)
    DeepseekVL2Processor.from_pretrained(NANO).save_pretrained(whole)
    engines = [
        load_engine(Settings(model=str(path), quantize=quantize, compile="off"))
        for path in (tmp_path / "adapter", whole)
    ]
    request = Request([{"role": "user", "content": "How many?"}], Sampling(max_new_tokens=12))
    first, second = ([step.token for step in engine.answer(request)] for engine in engines)
    assert first == second
    assert engines[0].card.name == "adapter" and engines[0].card.parameters == engines[1].card.parameters
    for one, other in zip(*(official_views(engine.model).values() for engine in engines), strict=True):
        torch.testing.assert_close(one, other, atol=1 if quantize == "int8" else 1e-5, rtol=0)


@pytest.mark.slow
def test_an_adapter_that_is_pickled_is_not_opened(tmp_path: Path) -> None:
    """Nor is the hub asked for one of the folder's name."""
    adapt(target_modules=["q_proj"]).save_pretrained(tmp_path)
    (tmp_path / "adapter_model.safetensors").unlink()
    for name in ("", "adapter_model.bin"):
        if name:
            torch.save({}, tmp_path / name)
        with pytest.raises(
            CheckpointError, match=r"has no adapter_model\.safetensors; save the adapter in that format"
        ):
            adapters.load(load(), tmp_path)


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    adapt(target_modules=["q_proj"]).save_pretrained(tmp_path / "good")
    config, weights = tmp_path / "good" / "adapter_config.json", tmp_path / "good" / "adapter_model.safetensors"

    def spoil(name: str, change: Any) -> Path:
        folder = tmp_path / name
        shutil.copytree(tmp_path / "good", folder)
        change(folder)
        return folder

    def rewrite(**values: Any) -> Any:
        def change(folder: Path) -> None:
            (folder / config.name).write_text(json.dumps(json.loads(config.read_text()) | values))

        return change

    def other_shape(folder: Path) -> None:
        save_file(
            {key: value[..., :-1].contiguous() for key, value in load_file(weights).items()}, folder / weights.name
        )

    def extra(folder: Path) -> None:
        save_file(
            load_file(weights) | {"base_model.model.decoder.nothing.lora_A.weight": torch.ones(1)},
            folder / weights.name,
        )

    for name, change, words in (
        ("shape", other_shape, "size mismatch"),
        ("extra", extra, "decoder.nothing.lora_A"),
        ("targets", rewrite(target_modules=["nothing"]), "nothing"),
        ("damaged", lambda folder: (folder / weights.name).write_bytes(b"?"), "does not fit|cannot be read"),
    ):
        with pytest.raises(CheckpointError, match=words):
            adapters.load(load(), spoil(name, change))
    for name, change in (
        ("homeless", rewrite(base_model_name_or_path=None)),
        ("moved", rewrite(base_model_name_or_path="/no/where")),
    ):
        with pytest.raises(CheckpointError, match="is an adapter, whose model could not be found"):
            load_engine(Settings(model=str(spoil(name, change)), compile="off"))


@pytest.mark.slow
@pytest.mark.parametrize("names", ["ours", "official"])
def test_a_folder_of_an_adapter_opens_as_the_adapted_model(tmp_path: Path, names: str) -> None:
    adapted = adapt(target_parameters=EXPERTS)
    expected = logits(adapted)
    if names == "official":
        adapters.save_official(adapted, tmp_path)
    else:
        with pytest.warns(UserWarning, match="embedding layers"):  # it keeps the head itself too
            adapted.save_pretrained(tmp_path)
    for opened in (
        Model.from_pretrained(tmp_path, dtype="float32"),
        AutoModelForImageTextToText.from_pretrained(tmp_path, dtype="float32"),
    ):
        torch.testing.assert_close(logits(opened), expected, **CLOSE)
        assert opened.peft_config["default"].r == 3 and not opened.training
        with pytest.raises(SettingsError, match="merge it first"):
            opened.save_pretrained(tmp_path / "whole")
        adapters.merge(opened)
        opened.save_pretrained(tmp_path / "whole")
        torch.testing.assert_close(logits(Model.from_pretrained(tmp_path / "whole")), expected, **CLOSE)
    later = load()
    later.load_adapter(tmp_path)
    torch.testing.assert_close(logits(later), expected, **CLOSE)
    words = [DeepseekVL2Processor.from_pretrained(folder).tokenizer.get_vocab() for folder in (tmp_path, NANO)]
    assert words[0] == words[1]


@pytest.mark.slow
def test_peft_takes_official_names_of_layers_that_are_not_fused(tmp_path: Path) -> None:
    simple = {name: pair for name, pair in OFFICIAL.items() if "mlp." not in name}
    write_official(tmp_path / "simple", simple)
    config = LoraConfig.from_pretrained(tmp_path / "simple")
    config.target_modules = ["q_proj", "kv_b_proj", "qkv", "lm_head", "adaptor.mlp.2"]
    config.rank_pattern, config.alpha_pattern, config.r, config.lora_alpha = {}, {"kv_b_proj": 3}, 2, 4
    config.save_pretrained(tmp_path / "simple")
    ours = load()
    adapters.load(ours, tmp_path / "simple")
    with pytest.warns(UserWarning, match="missing adapter keys"):  # of layers whose names the file does not have
        tuned = PeftModel.from_pretrained(load(), tmp_path / "simple")
    torch.testing.assert_close(logits(tuned), logits(ours), **CLOSE)
    write_official(tmp_path / "fused", {f"{DENSE}.self_attn.q_proj": (2, 4), f"{DENSE}.mlp.gate_proj": (2, 4)})
    config.target_modules, config.alpha_pattern = ["q_proj", "gate_proj"], {}
    config.save_pretrained(tmp_path / "fused")
    with pytest.raises(CheckpointError, match="load_adapter"):
        PeftModel.from_pretrained(load(), tmp_path / "fused")


@pytest.mark.slow
def test_int8_weights_take_an_adapter_of_layers_but_not_of_experts(tmp_path: Path) -> None:
    adapt(target_modules=["q_proj", "gate_up"]).save_pretrained(tmp_path / "layers")
    base = Model.from_pretrained(NANO, quantize="int8", dtype="float32")
    plain = logits(base)
    opened = Model.from_pretrained(tmp_path / "layers", quantize="int8", dtype="float32")
    assert (logits(opened) - plain).abs().max() > 1e-2
    assert torch.equal(logits(opened), logits(PeftModel.from_pretrained(base, tmp_path / "layers")))
    adapt(target_modules=[], target_parameters=EXPERTS).save_pretrained(tmp_path / "experts")
    with pytest.raises(SettingsError, match="int8"):
        Model.from_pretrained(tmp_path / "experts", quantize="int8")


@pytest.mark.parametrize(("layer", "quantize", "kind"), [("lm_head", "int8", "int8"), ("embed_tokens", "int4", "int8")])
def test_narrow_weights_are_not_replaced_by_an_adapter(tmp_path: Path, layer: str, quantize: str, kind: str) -> None:
    adapt(target_modules=["q_proj"], modules_to_save=[layer]).save_pretrained(tmp_path)
    with pytest.raises(SettingsError, match=f"replaces {layer}, which is {kind}; load it without quantize"):
        Model.from_pretrained(tmp_path, quantize=quantize)
