"""config.json: official defaults, what is refused, and the round trip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoConfig

from dsvl2_app import DeepseekVL2Config
from dsvl2_app.errors import CheckpointError
from dsvl2_app.image.geometry import RELEASED_CANDIDATES
from dsvl2_app.model.presets import PRESETS
from dsvl2_app.model.sections import DecoderConfig


def official(reference_folder: Path, variant: str = "small") -> dict[str, Any]:
    return json.loads((reference_folder / variant / "checkpoint" / "config.json").read_text(encoding="utf-8"))


def test_values_left_out_are_the_official_defaults() -> None:
    decoder = DeepseekVL2Config().language_config
    assert decoder.use_mla is True
    assert decoder.topk_method == "gready"  # the official spelling
    assert (decoder.kv_lora_rank, decoder.q_lora_rank) == (512, 1536)
    assert (decoder.qk_nope_head_dim, decoder.qk_rope_head_dim, decoder.v_head_dim) == (128, 64, 128)
    assert decoder.num_attention_heads == decoder.num_key_value_heads == 32
    assert decoder.num_hidden_layers == 30
    assert DeepseekVL2Config().vision_config.heads == 16
    assert DeepseekVL2Config().candidate_resolutions == ((384, 384),)


def test_reference_config_is_read(reference_folder: Path, variant: str) -> None:
    config = DeepseekVL2Config(**official(reference_folder, variant))
    config.check_supported()
    assert config.dtype == torch.float32
    assert config.get_text_config() is config.language_config
    assert config.language_config.use_mla is (variant != "tiny")
    assert config.language_config.head_dim == (16 if variant == "tiny" else 24)
    assert config.language_config.cache_width == (2 * 4 * 16 if variant == "tiny" else 32 + 8)
    assert config.geometry.tokens_per_tile == 196
    assert config.vision_config.patches == 27 and config.vision_config.mlp_width == 179


def test_saved_config_is_read_again(reference_folder: Path, variant: str, tmp_path: Path) -> None:
    config = DeepseekVL2Config(**official(reference_folder, variant))
    config.save_pretrained(tmp_path)
    for again in (DeepseekVL2Config.from_pretrained(tmp_path), AutoConfig.from_pretrained(tmp_path)):
        again.check_supported()
        assert isinstance(again, DeepseekVL2Config)
        for section in DeepseekVL2Config.sub_configs:
            assert getattr(again, section).to_dict() == getattr(config, section).to_dict()
        assert again.geometry == config.geometry
        assert again.dtype == config.dtype


@pytest.mark.parametrize("compares_sections", [False, True], ids=["as it is", "compares sections"])
def test_every_way_to_write_a_config_keeps_its_sections(
    compares_sections: bool, reference_folder: Path, variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where transformers compares sections with empty ones, as releases before 5.20 do."""
    if compares_sections:
        defaults = staticmethod(DeepseekVL2Config().to_dict)
        monkeypatch.setattr(DeepseekVL2Config, "default_config_fields", defaults, raising=False)
    config = DeepseekVL2Config(**official(reference_folder, variant), output_hidden_states=True)
    assert config.language_config.further["architectures"] == ["DeepseekV2ForCausalLM"]
    config.to_json_file(tmp_path / "diff.json")
    config.to_json_file(tmp_path / "all.json", use_diff=False)
    config.save_pretrained(tmp_path)
    files = [json.loads((tmp_path / name).read_text()) for name in ("diff.json", "all.json", "config.json")]
    printed = [json.loads(config.to_json_string(use_diff)) for use_diff in (True, False)]
    shown = json.loads(repr(config).removeprefix("DeepseekVL2Config "))
    for written in (*files, *printed, shown, config.to_dict(), config.to_diff_dict()):
        for name in DeepseekVL2Config.sub_configs:
            section = getattr(config, name).to_dict()
            del section["transformers_version"]
            assert written[name] == section
        assert (written["output_hidden_states"], written["dtype"]) == (True, "float32")
        assert written["transformers_version"] == transformers.__version__
    assert "problem_type" in config.to_dict() and "problem_type" not in config.to_diff_dict()


def test_a_section_alone_is_written_with_its_dtype(tmp_path: Path) -> None:
    section = DecoderConfig(dtype=torch.bfloat16, quantization={"dtype": torch.int8})
    section.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    shown = json.loads(repr(section).removeprefix("DecoderConfig "))
    for written in (saved, shown, json.loads(section.to_json_string(use_diff=False)), section.to_dict()):
        assert (written["dtype"], written["quantization"]) == ("bfloat16", {"dtype": "int8"})
    assert section.further["quantization"] == {"dtype": torch.int8}


def test_a_written_section_is_a_copy() -> None:
    section = DecoderConfig(auto_map={"AutoConfig": "ours"})
    section.to_dict()["auto_map"]["AutoConfig"] = "theirs"
    assert section.to_dict()["auto_map"] == {"AutoConfig": "ours"}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_supported(name: str) -> None:
    config = DeepseekVL2Config.preset(name)
    config.check_supported()
    assert len(config.candidate_resolutions) == len(RELEASED_CANDIDATES)
    assert config.vision_config.patches % 2 == 1  # the adaptor pads, as with the released models
    assert config.projector_config.n_embed == config.language_config.hidden_size
    assert config.projector_config.input_dim == config.vision_config.width
    assert config.dtype == torch.bfloat16


def test_presets_are_independent() -> None:
    DeepseekVL2Config.preset("tiny").language_config.hidden_size = 1
    assert DeepseekVL2Config.preset("tiny").language_config.hidden_size == 1280


YARN = {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096}


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("projector_config", "projector_type", "mlp_gelu"),
        ("projector_config", "token_pooling", True),
        ("vision_config", "global_pool", "avg"),
        (None, "tile_tag", "1D"),
        (None, "global_view_pos", "tail"),
        ("language_config", "rope_scaling", YARN),
        ("language_config", "hidden_act", "gelu"),
        ("language_config", "moe_layer_freq", 2),
        ("language_config", "n_group", 8),
        ("language_config", "tie_word_embeddings", True),
        ("language_config", "attention_bias", True),
        ("language_config", "scoring_func", "relu"),
        ("language_config", "topk_method", "group_limited_greedy"),
    ],
)
def test_what_would_be_ignored_is_refused(reference_folder: Path, section: str | None, name: str, value: Any) -> None:
    config = official(reference_folder)
    (config[section] if section else config)[name] = value
    for read in (DeepseekVL2Config(**config), DeepseekVL2Config.from_dict(config)):
        with pytest.raises(CheckpointError, match=f"there: {section + '.' if section else ''}{name} is .*must be"):
            read.check_supported("there")


def test_newer_spelling_of_rope_scaling_is_refused_too(reference_folder: Path) -> None:
    """transformers 5 writes `rope_parameters`, which holds the base as well."""
    config = official(reference_folder)
    config["language_config"]["rope_parameters"] = {"rope_theta": 10000.0, "rope_type": "yarn", **YARN}
    with pytest.raises(CheckpointError, match="rope"):
        DeepseekVL2Config(**config).check_supported()


def test_rope_scaling_is_refused_after_a_round_trip(reference_folder: Path, tmp_path: Path) -> None:
    config = official(reference_folder)
    config["language_config"]["rope_scaling"] = YARN
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    read = AutoConfig.from_pretrained(tmp_path)
    read.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="rope_scaling"):
        AutoConfig.from_pretrained(tmp_path).check_supported()


@pytest.mark.parametrize(
    "change",
    [
        {"projector_config": {"projector_type": "linear", "input_dim": 2048, "n_embed": 1280}},
        {"vision_config": {"model_name": "deeplip_b_l", "image_size": 1024, "width": {"sam_vit_b": {"width": 768}}}},
    ],
    ids=["projector", "encoder"],
)
def test_deepseek_ocr_is_named(reference_folder: Path, change: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r"describes DeepSeek-OCR.*choose a DeepSeek-VL2 checkpoint such as"):
        DeepseekVL2Config(**(official(reference_folder) | change)).check_supported()


def test_dense_layers_come_first() -> None:
    config = DecoderConfig(n_routed_experts=8, first_k_dense_replace=2)
    assert [config.is_dense(layer) for layer in range(4)] == [True, True, False, False]
    assert all(DecoderConfig().is_dense(layer) for layer in range(30))
