"""Options of loading and saving: each does what it says, or is refused in a sentence that names it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BitsAndBytesConfig, GenerationConfig

from dsvl2_app import DeepseekVL2Config, DeepseekVL2ForConditionalGeneration
from dsvl2_app.errors import CheckpointError, SettingsError
from dsvl2_app.model.linear import Linear
from dsvl2_app.model.modeling import DeepseekVL2Model
from dsvl2_app.model.weights import FILE_NAME, INDEX_NAME, official_views

Model = DeepseekVL2ForConditionalGeneration
GENERATION_FILE = "generation_config.json"


@pytest.fixture
def checkpoint(reference_folder: Path) -> Path:
    return reference_folder / "tiny" / "checkpoint"


@pytest.fixture
def model(load_model: Callable[[str], Model]) -> Model:
    """The shared one: not to be changed."""
    return load_model("tiny")


def same(found: nn.Module, expected: nn.Module) -> bool:
    return all(map(torch.equal, found.parameters(), expected.parameters()))


# -- loading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"load_in_4bit": True},
        {"load_in_8bit": True},
        {"quantization_config": {"load_in_4bit": True}},
        {"variant": "fp16"},
        {"gguf_file": "model.gguf"},
        {"key_mapping": {"a": "b"}},
        {"tp_plan": "auto"},
        {"ignore_mismatched_sizes": True},
        {"use_safetensors": False},
        {"offload_folder": "offload"},
        {"dtpye": "float16"},
        {"attn_implementation": "flash_attention_2"},
        {"attn_implementation": {"": "nope"}},
        {"quantize": "int3"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_that_are_not_honoured_are_refused_by_name(options: dict[str, Any], checkpoint: Path) -> None:
    with pytest.raises(SettingsError, match=next(iter(options))) as refusal:
        Model.from_pretrained(checkpoint, **options)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 250


def test_who_asks_for_another_quantisation_is_told_of_ours(checkpoint: Path) -> None:
    config = BitsAndBytesConfig(load_in_4bit=True)  # whose repr has lines
    with pytest.raises(SettingsError, match=r"quantization_config=BitsAndBytesConfig.*quantize='int8'") as refusal:
        Model.from_pretrained(checkpoint, quantization_config=config)
    assert "\n" not in str(refusal.value)


def test_options_that_change_nothing_are_taken(checkpoint: Path, model: Model) -> None:
    """Auto classes, pipelines and the official samples pass these."""
    options = {"trust_remote_code": True, "low_cpu_mem_usage": True, "use_safetensors": True, "variant": None}
    adapter = {"adapter_kwargs": {"revision": None}}
    assert same(Model.from_pretrained(checkpoint, **options, **adapter, load_in_4bit=None), model)


def test_from_random_refuses_what_it_does_not_know() -> None:
    config = DeepseekVL2Config.preset("nano")
    with pytest.raises(SettingsError, match="quantize is 'int3'; choose 'none', 'int8' or 'int4'"):
        Model.from_random(config, quantize="int3")
    with pytest.raises(TypeError, match="dtpye"):
        Model.from_random(config, dtpye="float16")


def test_a_checkpoint_in_a_subfolder(checkpoint: Path, tmp_path: Path, model: Model) -> None:
    shutil.copytree(checkpoint, tmp_path / "inner" / "model")
    assert same(Model.from_pretrained(tmp_path, subfolder="inner/model"), model)
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        Model.from_pretrained(tmp_path, subfolder="other")


def test_what_did_not_fit_is_handed_out(checkpoint: Path, model: Model) -> None:
    loaded, found = Model.from_pretrained(checkpoint, output_loading_info=True)
    assert same(loaded, model)
    assert found == {"missing_keys": set(), "unexpected_keys": set(), "mismatched_keys": set(), "error_msgs": []}


@pytest.mark.parametrize("official", [False, True])
def test_a_state_dict_takes_the_place_of_the_files(official: bool, checkpoint: Path, model: Model) -> None:
    tensors = load_file(checkpoint / FILE_NAME) if official else model.state_dict()
    loaded = Model.from_pretrained(None, config=model.config, state_dict=tensors)
    assert same(loaded, model)
    assert not {each.data_ptr() for each in loaded.parameters()} & {each.data_ptr() for each in model.parameters()}
    key = "image_newline" if official else "adaptor.tile_newline"
    with pytest.raises(CheckpointError, match="state_dict lacks image_newline"):
        Model.from_pretrained(checkpoint, state_dict={name: each for name, each in tensors.items() if name != key})
    with pytest.raises(SettingsError, match="needs config and state_dict"):
        Model.from_pretrained(None, state_dict=tensors)


@torch.no_grad()
def test_options_of_the_configuration(checkpoint: Path, model: Model) -> None:
    flags = {"use_cache": False, "output_hidden_states": True, "attn_implementation": "eager", "return_dict": False}
    loaded = Model.from_pretrained(checkpoint, **flags)
    assert loaded.config.use_cache is False and loaded.config._attn_implementation == "eager"
    ids = torch.arange(5, 15)[None]
    logits, states = loaded(input_ids=ids)
    torch.testing.assert_close(logits, model(input_ids=ids).logits, atol=2e-5, rtol=0)
    assert len(states) == len(model.decoder.layers) + 1


def test_the_meta_device_is_refused(checkpoint: Path) -> None:
    with torch.device("meta"), pytest.raises(SettingsError, match="meta device"):
        Model.from_pretrained(checkpoint)


def test_a_quantised_checkpoint_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = Path(shutil.copytree(checkpoint, tmp_path / "checkpoint"))
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {"quant_method": "fp8"}
    (checkpoint / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CheckpointError, match="quantization_config"):
        Model.from_pretrained(checkpoint)


def test_generation_settings_come_back(checkpoint: Path, tmp_path: Path) -> None:
    loaded = Model.from_pretrained(checkpoint)
    assert loaded.generation_config.eos_token_id == loaded.config.language_config.eos_token_id
    loaded.generation_config.update(max_new_tokens=7, repetition_penalty=1.3, eos_token_id=[1, 5])
    loaded.save_pretrained(tmp_path)
    found = Model.from_pretrained(tmp_path).generation_config
    assert (found.max_new_tokens, found.repetition_penalty, found.eos_token_id) == (7, 1.3, [1, 5])

    (tmp_path / GENERATION_FILE).write_text(json.dumps({"max_new_tokens": 9}), encoding="utf-8")
    found = Model.from_pretrained(tmp_path).generation_config
    assert (found.max_new_tokens, found.eos_token_id) == (9, loaded.config.language_config.eos_token_id)
    given = GenerationConfig(max_new_tokens=3)
    assert Model.from_pretrained(tmp_path, generation_config=given).generation_config is given
    (tmp_path / GENERATION_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=GENERATION_FILE):
        Model.from_pretrained(tmp_path)


# -- saving --------------------------------------------------------------------------------------------------------


def test_only_the_main_process_writes(model: Model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "other", is_main_process=False)
    assert not (tmp_path / "other").exists()
    model.save_pretrained(tmp_path / "main", is_main_process=True)
    assert (tmp_path / "main" / FILE_NAME).exists()


@pytest.mark.parametrize("official", [False, True])
def test_a_state_dict_is_saved_in_the_place_of_the_weights(
    official: bool, checkpoint: Path, model: Model, tmp_path: Path
) -> None:
    tensors = load_file(checkpoint / FILE_NAME) if official else model.state_dict()
    doubled = {name: 2 * each for name, each in tensors.items()}
    model.save_pretrained(tmp_path, state_dict=doubled)
    for key, tensor in load_file(tmp_path / FILE_NAME).items():
        assert torch.equal(tensor, 2 * official_views(model)[key]), key
    doubled.popitem()
    with pytest.raises(CheckpointError, match="state_dict lacks"):
        model.save_pretrained(tmp_path, state_dict=doubled)


@pytest.mark.parametrize(
    "options",
    [
        {"push_to_hub": True},
        {"variant": "fp16"},
        {"safe_serialization": False},
        {"save_original_format": False},
        {"max_shardsize": "5GB"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_saving_refuses_what_it_does_not_do(options: dict[str, Any], model: Model, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=next(iter(options))):
        model.save_pretrained(tmp_path / "folder", **options)
    assert not (tmp_path / "folder").exists()
    model.save_pretrained(tmp_path, push_to_hub=False, safe_serialization=True, variant=None)


def test_a_model_with_an_adapter_is_not_saved_as_a_whole(checkpoint: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    loaded = Model.from_pretrained(checkpoint)
    peft.inject_adapter_in_model(peft.LoraConfig(target_modules=["q_proj"], r=2), loaded)
    with pytest.raises(SettingsError, match="adapter"):
        loaded.save_pretrained(tmp_path)


def test_weights_that_another_library_packed_are_not_saved(checkpoint: Path, tmp_path: Path) -> None:
    """As torchao does; a checkpoint has plain tensors."""

    class Packed(Tensor):
        pass

    loaded = Model.from_pretrained(checkpoint)
    loaded.lm_head.weight = nn.Parameter(loaded.lm_head.weight.detach().as_subclass(Packed))
    with pytest.raises(SettingsError, match="of the kind Packed"):
        loaded.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


# -- load_state_dict -----------------------------------------------------------------------------------------------


def zeroed(model: Model) -> Model:
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    return model


@pytest.mark.parametrize("name", ["tiny", "base"])
def test_load_state_dict_takes_official_keys_and_ours(
    name: str, reference_folder: Path, load_model: Callable[[str], Model]
) -> None:
    folder = reference_folder / name / "checkpoint"
    expected, loaded = load_model(name), zeroed(Model.from_pretrained(folder))
    tensors = load_file(folder / FILE_NAME)
    assert not any(loaded.load_state_dict(dict(tensors)))
    assert same(loaded, expected)
    assert not any(zeroed(loaded).load_state_dict(expected.state_dict()))
    assert same(loaded, expected)

    lost = next(key for key in tensors if "experts.1.up_proj" in key)
    del tensors[lost]
    assert loaded.load_state_dict(tensors, strict=False).missing_keys == [lost]
    with pytest.raises(RuntimeError, match=lost):
        loaded.load_state_dict(tensors)
    with pytest.raises(RuntimeError, match=r"image_newline is \(3,\) and must be"):
        loaded.load_state_dict({**tensors, "image_newline": torch.zeros(3)}, strict=False)
    with pytest.raises(RuntimeError, match="stranger"):
        loaded.load_state_dict({**tensors, "stranger": torch.zeros(3)})


def test_shards_whose_borders_run_through_a_parameter(checkpoint: Path, model: Model, tmp_path: Path) -> None:
    """As Trainer resumes: one file after the other."""
    model.save_pretrained(tmp_path, max_shard_size="60KB")
    assert (tmp_path / INDEX_NAME).exists()
    loaded = zeroed(Model.from_pretrained(checkpoint))
    for shard in tmp_path.glob("*.safetensors"):
        assert not loaded.load_state_dict(load_file(shard), strict=False).unexpected_keys
    assert same(loaded, model)


def test_official_keys_become_int8(checkpoint: Path) -> None:
    expected = Model.from_pretrained(checkpoint, quantize="int8")
    loaded = zeroed(Model.from_pretrained(checkpoint, quantize="int8"))
    loaded.load_state_dict(load_file(checkpoint / FILE_NAME))
    assert same(loaded, expected)


# -- other sizes and parts -----------------------------------------------------------------------------------------


def resized(model: Model, rows: int, **options: Any) -> Tensor:
    """The head's logits of two tokens afterwards."""
    model.resize_token_embeddings(rows, **options)
    assert model.get_input_embeddings().weight.shape[0] == model.get_output_embeddings().weight.shape[0] == rows
    assert isinstance(model.lm_head, Linear)
    with torch.no_grad():
        return model(input_ids=torch.tensor([[5, 6]])).logits


@pytest.mark.parametrize("more", [-7, 9])
def test_another_vocabulary(more: int, checkpoint: Path, model: Model, tmp_path: Path) -> None:
    loaded, size = Model.from_pretrained(checkpoint), model.config.language_config.vocab_size
    with torch.no_grad():
        before = model(input_ids=torch.tensor([[5, 6]])).logits
    after = resized(loaded, size + more, mean_resizing=False)
    kept = min(size, size + more)
    assert after.shape[-1] == size + more
    assert torch.equal(loaded.lm_head.weight[:kept], model.lm_head.weight[:kept])
    torch.testing.assert_close(after[..., :kept], before[..., :kept])  # other rows, another order of sums
    fresh = loaded.decoder.embed_tokens.weight.detach()[size:]
    assert not fresh.numel() or 0.01 < float(fresh.std()) < 0.03
    values = [each.detach().clone() for each in loaded.parameters()]
    loaded.post_init()  # fills what is new, and nothing is
    assert all(map(torch.equal, loaded.parameters(), values))
    loaded.save_pretrained(tmp_path)
    again = Model.from_pretrained(tmp_path)
    assert again.config.language_config.vocab_size == size + more and same(again, loaded)


def test_int8_weights_keep_their_size(checkpoint: Path) -> None:
    with pytest.raises(SettingsError, match="int8 weights cannot be resized"):
        Model.from_pretrained(checkpoint, quantize="int8").resize_token_embeddings(9)


def test_a_body_without_a_head(checkpoint: Path, model: Model, tmp_path: Path) -> None:
    body = DeepseekVL2Model.from_pretrained(checkpoint)
    assert same(body, model.base_model)
    body.save_pretrained(tmp_path)
    assert same(DeepseekVL2Model.from_pretrained(tmp_path), body)
    with pytest.raises(CheckpointError, match=r"lacks language\.lm_head\.weight"):
        Model.from_pretrained(tmp_path)
