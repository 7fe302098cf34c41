"""Checkpoint files in the official layout: read whole or refused in one sentence, and written back to the byte."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from dsvl2_app import DeepseekVL2Config, DeepseekVL2ForConditionalGeneration
from dsvl2_app.errors import CheckpointError, SettingsError
from dsvl2_app.hub import read_config
from dsvl2_app.model import weights
from dsvl2_app.model.weights import FILE_NAME, INDEX_NAME, has_weights, official_views

Model = DeepseekVL2ForConditionalGeneration


def read(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a checkpoint folder."""
    return {key: tensor for file in folder.glob("*.safetensors") for key, tensor in load_file(file).items()}


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    """Change the tensors of model.safetensors."""
    tensors = load_file(folder / FILE_NAME)
    change(tensors)
    save_file(tensors, folder / FILE_NAME)


def edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype, key
        assert torch.equal(found[key], tensor), key


# -- views -------------------------------------------------------------------------------------------------------


def test_views_cover_every_key_and_every_parameter(model: Model, checkpoint: Path) -> None:
    views = official_views(model)
    assert_same(views, load_file(checkpoint / FILE_NAME))
    assert sum(view.numel() for view in views.values()) == sum(p.numel() for p in model.parameters())


def test_views_share_their_memory_with_the_parameters(model: Model) -> None:
    """Loading writes through them, so that no tensor of the checkpoint exists twice."""
    memory = {p.untyped_storage().data_ptr() for p in model.parameters()}
    assert {view.untyped_storage().data_ptr() for view in official_views(model).values()} == memory


def test_released_keys_have_the_official_names() -> None:
    with torch.device("meta"):
        views = official_views(Model(DeepseekVL2Config.preset("base")))
    shapes = {key: tuple(view.shape) for key, view in views.items()}
    assert shapes["image_newline"] == shapes["view_seperator"] == (2560,)
    assert shapes["projector.layers.0.weight"] == (2560, 4 * 1152)
    assert shapes["vision.attn_pool.latent"] == (1, 1, 1152)
    assert shapes["vision.blocks.26.mlp.fc1.weight"] == (4304, 1152)
    assert shapes["language.lm_head.weight"] == shapes["language.model.embed_tokens.weight"] == (129280, 2560)
    assert shapes["language.model.layers.0.mlp.gate_proj.weight"] == (12288, 2560)
    assert shapes["language.model.layers.29.mlp.experts.71.up_proj.weight"] == (1536, 2560)
    assert shapes["language.model.layers.29.mlp.shared_experts.down_proj.weight"] == (2560, 3072)
    assert shapes["language.model.layers.29.mlp.gate.e_score_correction_bias"] == (72,)
    assert shapes["language.model.layers.29.self_attn.kv_b_proj.weight"] == (32 * 256, 512)
    assert not any(".experts.72." in key or ".layers.30." in key for key in shapes)


# -- loading -----------------------------------------------------------------------------------------------------


def test_loading_fills_parameters_where_they_are(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peak memory is one copy: no parameter is moved or replaced while it is read."""
    before: dict[str, int] = {}
    load = weights.load

    def watch(model: Model, folder: Path) -> None:
        assert not any(parameter.is_meta for parameter in model.parameters())
        before.update({name: parameter.data_ptr() for name, parameter in model.named_parameters()})
        load(model, folder)

    monkeypatch.setattr(weights, "load", watch)
    model = Model.from_pretrained(checkpoint)
    assert before == {name: parameter.data_ptr() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("variant", ["tiny"])
def test_files_are_reopened_so_that_mapped_pages_are_let_go(
    checkpoint: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(weights, "safe_open", lambda *args, **kw: opened.append(args) or safe_open(*args, **kw))
    monkeypatch.setattr(weights, "BYTES_PER_MAPPING", 100_000)
    monkeypatch.setattr(weights, "PIECE", 1000)
    loaded = Model.from_pretrained(checkpoint)
    assert len(opened) > 10
    assert_same(official_views(loaded), official_views(model))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_loading_rounds_to_the_dtype_asked_for(checkpoint: Path, dtype: torch.dtype) -> None:
    views = official_views(Model.from_pretrained(checkpoint, dtype=dtype))
    for key, tensor in load_file(checkpoint / FILE_NAME).items():
        exact = key.endswith("e_score_correction_bias")
        assert torch.equal(views[key], tensor if exact else tensor.to(dtype)), key


@pytest.fixture
def sharded(checkpoint: Path, model: Model, tmp_path: Path) -> Path:
    folder = tmp_path / "sharded"
    model.save_pretrained(folder, max_shard_size="300KB")
    assert len(list(folder.glob("*.safetensors"))) > 3
    return folder


@pytest.mark.parametrize("name", ["tiny", "small", "base"])
def test_int8_is_made_while_loading(reference_folder: Path, name: str, tmp_path: Path) -> None:
    folder = reference_folder / name / "checkpoint"
    model = Model.from_pretrained(folder, quantize="int8")
    narrow = {key for key, parameter in model.named_parameters() if parameter.dtype == torch.int8}
    assert {"lm_head.weight", "decoder.layers.1.mlp.experts.gate_up", "decoder.layers.0.mlp.down.weight"} < narrow
    kept = ("vision.block", "vision.patch", "vision.pos", "vision.norm", "adaptor.", "decoder.embed")
    assert not any(key.startswith(kept) or "kv_b" in key for key in narrow)

    views, scales = official_views(model), weights.scale_views(model)
    for key, tensor in read(folder).items():
        if key in scales:
            error = (views[key].float() * scales[key][..., None] - tensor.float()).abs()
            assert (error <= scales[key][..., None] * 0.5001).all(), key
        else:
            assert torch.equal(views[key], tensor.to(views[key].dtype)), key
    with pytest.raises(SettingsError, match="without --quantize"):
        model.save_pretrained(tmp_path)


@pytest.mark.slow
def test_sharded_checkpoints_load(sharded: Path, model: Model) -> None:
    assert has_weights(sharded)
    assert_same(official_views(Model.from_pretrained(sharded)), official_views(model))


@pytest.mark.parametrize("variant", ["tiny"])
def test_missing_key(checkpoint_copy: Path) -> None:
    rewrite(checkpoint_copy, lambda tensors: tensors.pop("image_newline"))
    with pytest.raises(CheckpointError, match=r"lacks image_newline; use files and config\.json of one model"):
        Model.from_pretrained(checkpoint_copy)


@pytest.mark.parametrize("variant", ["tiny"])
def test_unexpected_keys_are_counted(checkpoint_copy: Path) -> None:
    extra = {f"stranger.{number}": torch.zeros(1) for number in range(8)}
    rewrite(checkpoint_copy, lambda tensors: tensors.update(extra))
    with pytest.raises(CheckpointError, match=r"has stranger\.0, .* and 3 more that the configuration has no place"):
        Model.from_pretrained(checkpoint_copy)


@pytest.mark.parametrize("variant", ["tiny"])
def test_missing_and_unexpected_key_together(checkpoint_copy: Path) -> None:
    rewrite(checkpoint_copy, lambda tensors: tensors.update(stranger=tensors.pop("view_seperator")))
    with pytest.raises(CheckpointError, match="lacks view_seperator and has stranger"):
        Model.from_pretrained(checkpoint_copy)


@pytest.mark.parametrize("variant", ["tiny"])
def test_wrong_shape(checkpoint_copy: Path) -> None:
    rewrite(checkpoint_copy, lambda tensors: tensors.update({"vision.norm.weight": torch.zeros(47)}))
    with pytest.raises(CheckpointError, match=r"vision\.norm\.weight in .* is \(47,\) where .* asks for \(48,\)"):
        Model.from_pretrained(checkpoint_copy)


@pytest.mark.parametrize("variant", ["tiny"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5])
def test_truncated_file(checkpoint_copy: Path, kept: float) -> None:
    path = checkpoint_copy / FILE_NAME
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CheckpointError, match="download"):
        Model.from_pretrained(checkpoint_copy)


@pytest.mark.parametrize("variant", ["tiny"])
def test_no_weights(checkpoint_copy: Path) -> None:
    (checkpoint_copy / FILE_NAME).unlink()
    assert not has_weights(checkpoint_copy)
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor .*index\.json; .*--load-format dummy"):
        Model.from_pretrained(checkpoint_copy)


@pytest.mark.parametrize("variant", ["tiny"])
def test_missing_shard(sharded: Path) -> None:
    lost = sorted(sharded.glob("*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(CheckpointError, match=lost.name):
        Model.from_pretrained(sharded)


@pytest.mark.parametrize("variant", ["tiny"])
def test_key_that_the_index_promises_and_no_shard_holds(sharded: Path) -> None:
    shard = sorted(sharded.glob("*.safetensors"))[1]
    tensors = load_file(shard)
    lost = sorted(tensors)[0]
    del tensors[lost]
    save_file(tensors, shard)
    with pytest.raises(CheckpointError, match=lost):
        Model.from_pretrained(sharded)


@pytest.mark.parametrize("variant", ["tiny"])
def test_key_in_a_shard_that_the_index_does_not_name(sharded: Path) -> None:
    shard = sorted(sharded.glob("*.safetensors"))[1]
    save_file({**load_file(shard), "stranger": torch.zeros(1)}, shard)
    with pytest.raises(CheckpointError, match="stranger"):
        Model.from_pretrained(sharded)


@pytest.mark.parametrize("variant", ["tiny"])
@pytest.mark.parametrize("index", ["", "{", "{}", "[]", '{"weight_map": []}', '{"weight_map": {"a": 1}}'])
def test_unusable_index(sharded: Path, index: str) -> None:
    (sharded / INDEX_NAME).write_text(index, encoding="utf-8")
    with pytest.raises(CheckpointError):
        Model.from_pretrained(sharded)


# -- files that mean harm ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["tiny"])
@pytest.mark.parametrize(
    "name", ["../{}", "{folder}/{}", "within/{}", "..", "C:{}", "model.bin", "{}\0", "", 5, None, ["a"]]
)
def test_an_index_leads_nowhere_else(sharded: Path, name: Any) -> None:
    """Not even to a file that would fit."""
    index = json.loads((sharded / INDEX_NAME).read_text())
    key, shard = next(iter(index["weight_map"].items()))
    (sharded / "within").mkdir()
    for place in (sharded.parent, sharded / "within"):
        (place / shard).write_bytes((sharded / shard).read_bytes())
    index["weight_map"][key] = name.format(shard, folder=sharded.parent) if isinstance(name, str) else name
    (sharded / INDEX_NAME).write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=rf"says that {re.escape(key)} is in .* no \.safetensors file beside it"):
        Model.from_pretrained(sharded)


class Harm:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("variant", ["tiny"])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors", "model.pt"])
def test_pickled_weights_are_not_opened(name: str, checkpoint_copy: Path, tmp_path: Path) -> None:
    (checkpoint_copy / FILE_NAME).unlink()
    (checkpoint_copy / name).write_bytes(pickle.dumps({"image_newline": Harm(tmp_path / "harm")}))
    with pytest.raises(CheckpointError, match="cannot be read" if name == FILE_NAME else "has neither"):
        Model.from_pretrained(checkpoint_copy)
    assert not (tmp_path / "harm").exists()
    pickle.loads((checkpoint_copy / name).read_bytes())
    assert (tmp_path / "harm").exists()  # it would have


# -- a configuration that does not fit --------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["tiny"])
def test_config_of_another_size(checkpoint_copy: Path) -> None:
    edit_json(checkpoint_copy / "config.json", lambda config: config["language_config"].update(hidden_size=128))
    with pytest.raises(CheckpointError, match="where the configuration asks for"):
        Model.from_pretrained(checkpoint_copy)


@pytest.mark.parametrize("variant", ["tiny"])
@pytest.mark.parametrize("section", ["vision_config", "language_config"])
@pytest.mark.parametrize("value", [5, "text", [1]], ids=str)
def test_config_with_a_section_of_another_kind(checkpoint_copy: Path, section: str, value: Any) -> None:
    edit_json(checkpoint_copy / "config.json", lambda config: config.update({section: value}))
    with pytest.raises(CheckpointError, match=section):
        Model.from_pretrained(checkpoint_copy)


# -- saving ------------------------------------------------------------------------------------------------------


def test_saved_tensors_are_the_official_ones(model: Model, checkpoint: Path, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    assert [file.name for file in tmp_path.glob("*.safetensors*")] == [FILE_NAME]
    assert_same(read(tmp_path), load_file(checkpoint / FILE_NAME))
    with safe_open(tmp_path / FILE_NAME, framework="pt") as file:
        assert file.metadata() == {"format": "pt"}


@pytest.mark.parametrize("variant", ["tiny"])
def test_shards_hold_every_tensor_once(sharded: Path, checkpoint: Path) -> None:
    index = json.loads((sharded / INDEX_NAME).read_text(encoding="utf-8"))
    files = sorted(sharded.glob("*.safetensors"))
    assert [file.name for file in files] == [
        f"model-{number:05d}-of-{len(files):05d}.safetensors" for number in range(1, len(files) + 1)
    ]
    for file in files:
        tensors = load_file(file)
        assert sum(tensor.nbytes for tensor in tensors.values()) <= 300_000
        assert {key for key, name in index["weight_map"].items() if name == file.name} == tensors.keys()
    assert_same(read(sharded), load_file(checkpoint / FILE_NAME))


@pytest.mark.parametrize("variant", ["tiny"])
def test_a_tensor_larger_than_a_shard_is_a_shard(model: Model, checkpoint: Path, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, max_shard_size=1)
    expected = load_file(checkpoint / FILE_NAME)
    assert len(list(tmp_path.glob("*.safetensors"))) == len(expected)
    assert_same(read(tmp_path), expected)


def test_saving_replaces_its_own_files_only(checkpoint: Path, tmp_path: Path) -> None:
    model = Model.from_pretrained(checkpoint)
    (tmp_path / "model_of_others.safetensors").touch()
    model.save_pretrained(tmp_path, max_shard_size="300KB")
    model.save_pretrained(tmp_path)
    assert {file.name for file in tmp_path.glob("model*")} == {FILE_NAME, "model_of_others.safetensors"}


def test_bfloat16_checkpoints_come_back_to_the_byte(checkpoint_copy: Path, tmp_path: Path) -> None:
    """The router's bias, float32 in memory, goes back to bfloat16 where it came from there."""
    rewrite(checkpoint_copy, lambda tensors: tensors.update({k: t.bfloat16() for k, t in tensors.items()}))
    edit_json(checkpoint_copy / "config.json", lambda config: config.update(torch_dtype="bfloat16"))
    model = Model.from_pretrained(checkpoint_copy)
    assert model.dtype == torch.bfloat16
    for number, size in enumerate(("5GB", "100KB")):
        folder = tmp_path / str(number)
        model.save_pretrained(folder, max_shard_size=size)
        assert_same(read(folder), load_file(checkpoint_copy / FILE_NAME))
        assert DeepseekVL2Config.from_pretrained(folder).dtype == torch.bfloat16
    index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in read(folder).values())


def test_a_bias_that_needs_float32_keeps_it(reference_folder: Path, tmp_path: Path) -> None:
    folder = reference_folder / "base" / "checkpoint"
    Model.from_pretrained(folder, dtype="bfloat16").save_pretrained(tmp_path)
    expected = load_file(folder / FILE_NAME)
    for key, tensor in read(tmp_path).items():
        exact = key.endswith("e_score_correction_bias")
        assert tensor.dtype == (torch.float32 if exact else torch.bfloat16)
        assert torch.equal(tensor, expected[key] if exact else expected[key].bfloat16())


@pytest.mark.parametrize("variant", ["tiny"])
def test_saving_replaces_what_was_there(model: Model, sharded: Path, checkpoint: Path) -> None:
    model.save_pretrained(sharded)
    assert [file.name for file in sharded.glob("*.safetensors*")] == [FILE_NAME]
    Model.from_pretrained(sharded).save_pretrained(sharded)  # onto the files it came from
    assert_same(read(sharded), load_file(checkpoint / FILE_NAME))


@pytest.mark.parametrize(("size", "count"), [("5GB", 1), ("1.5 MB", 2), ("1500KIB", 2), (1_500_000, 2)])
def test_shard_sizes(size: int | str, count: int, load_model: Callable[[str], Model], tmp_path: Path) -> None:
    load_model("tiny").save_pretrained(tmp_path, max_shard_size=size)
    assert len(list(tmp_path.glob("*.safetensors"))) == count


@pytest.mark.parametrize("size", ["many", "5", "GB", "5XB", "1.2.3GB"])
def test_unreadable_shard_sizes(size: str, load_model: Callable[[str], Model], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="max_shard_size"):
        load_model("tiny").save_pretrained(tmp_path, max_shard_size=size)


def test_saved_config_is_an_official_one(model: Model, checkpoint: Path, tmp_path: Path) -> None:
    """Every value of the official file is there again, and nothing that only this code knows."""
    model.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    official = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    assert saved["architectures"] == official["architectures"]
    assert saved["dtype"] == official["torch_dtype"]
    assert saved["candidate_resolutions"] == official["candidate_resolutions"]
    for section in ("vision_config", "projector_config", "language_config"):
        kept = {key: value for key, value in official[section].items() if key != "torch_dtype"}
        assert kept.items() <= saved[section].items()
    assert not [key for key in saved["language_config"] if "unsupported" in key]


# -- random weights ----------------------------------------------------------------------------------------------


def test_random_weights_look_like_a_fresh_model(checkpoint: Path) -> None:
    model = Model.from_random(DeepseekVL2Config(**read_config(checkpoint)), seed=3)
    for name, parameter in model.requires_grad_(False).named_parameters():
        if "norm" in name and name.endswith("weight"):
            assert (parameter == 1).all(), name
        elif name.endswith("bias"):
            assert (parameter == 0).all(), name
        elif parameter.numel() > 500:
            assert abs(float(parameter.std()) - 0.02) < 0.005, name
            rows = parameter.flatten(0, -2)
            assert len(rows.unique(dim=0)) == len(rows), name


def test_random_int8_weights_have_the_same_spread(checkpoint: Path) -> None:
    model = Model.from_random(DeepseekVL2Config(**read_config(checkpoint)), quantize="int8")
    parameters = dict(model.named_parameters())
    narrow = {name: each for name, each in parameters.items() if each.dtype == torch.int8 and each.numel() > 500}
    assert narrow
    for name, numbers in narrow.items():
        wide = numbers.float() * parameters[f"{name}_scale"][..., None]
        assert abs(float(wide.std()) - 0.02) < 0.005, name
        assert int(numbers.abs().max()) <= 127 and len(numbers.unique()) > 50, name
