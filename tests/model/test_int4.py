"""Weights of four bits are near those they come from, and whole again wherever they are made or read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dsvl2_app.errors import SettingsError
from dsvl2_app.hub import read_config
from dsvl2_app.model import int4
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.linear import Embedding, Linear, narrow, quantise, turn_narrow
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration as Model
from dsvl2_app.model.operations import PLAIN
from dsvl2_app.model.weights import FILE_NAME, official_views, scale_views
from dsvl2_app.runtime.cpu.operations import CpuOperations


@pytest.mark.parametrize("inputs", [2, 32, 64, 112, 130, 896])
def test_a_weight_is_within_half_a_step_or_cut_off(inputs: int) -> None:
    weight = torch.randn(3, 5, inputs) * torch.rand(3, 5, 1) * 3
    weight[1, 2] = 0
    numbers, codes = int4.quantise(weight)
    room = int4.empty(weight)
    assert numbers.shape == room[0].shape == (3, 5, inputs // 2)
    assert codes.shape == room[1].shape == (3, 5, -(-inputs // 32))
    scales = int4.decode_scales(codes).repeat_interleave(32, -1)[..., :inputs]
    found = int4.dequantise(numbers, codes, torch.float32)
    inside = (weight >= -8.5 * scales) & (weight <= 7.5 * scales)
    assert ((found - weight).abs()[inside] <= scales[inside] * 0.5001).all()
    assert torch.equal(found[~inside] / scales[~inside], torch.where(weight[~inside] < 0, -8.0, 7.0))
    assert (found[1, 2] == 0).all()
    assert inputs < 64 or 0.05 < (found - weight).norm() / weight.norm() < 0.1


def test_a_scale_is_none_that_was_tried_and_is_worse() -> None:
    weight = torch.randn(200, 32)
    error = (int4.dequantise(*int4.quantise(weight), torch.float32) - weight).square().sum(-1)
    highest = int4.encode_scales(weight.abs().amax(-1) / 6)
    for lower in range(int4.TRIED):
        scale = int4.decode_scales(highest - lower)[:, None]
        other = (weight / scale).round().clamp(-8, 7) * scale
        assert (error <= (other - weight).square().sum(-1) + 1e-6).all()


def test_weights_are_exact_in_bfloat16_and_stay_when_made_again() -> None:
    stack = int4.quantise(torch.randn(40, 210) * torch.logspace(-5, 1, 40)[:, None])
    wide = int4.dequantise(*stack, torch.float32)
    assert torch.equal(wide, int4.dequantise(*stack, torch.bfloat16).float())
    assert torch.equal(wide, int4.dequantise(*int4.quantise(wide), torch.float32))


def test_codes_of_scales() -> None:
    codes = torch.arange(256)
    scales = int4.decode_scales(codes)
    assert float(scales[0]) == 2**-24 and (scales.diff() > 0).all()
    assert torch.equal(int4.encode_scales(scales).long(), codes)
    assert torch.equal(int4.encode_scales(scales * 1.01).long(), codes)  # the one below
    assert int4.encode_scales(torch.tensor([0.0, 1e9])).tolist() == [0, 255]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_plain_operations_take_it_as_the_weight_that_it_means(dtype: torch.dtype) -> None:
    stack, rows = narrow(torch.randn(4, 12, 70), torch.uint8), torch.randn(5, 70, dtype=dtype)
    wide, experts = int4.dequantise(*stack, dtype), torch.tensor([3, 0, 0, 2, 1])
    assert torch.equal(PLAIN.linear(rows, stack[0][1], stack[1][1]), PLAIN.linear(rows, wide[1]))
    assert torch.equal(PLAIN.linear_each(rows, *stack, experts), PLAIN.linear_each(rows, wide, None, experts))
    counts = torch.tensor([2, 0, 1, 2])
    assert torch.equal(PLAIN.linear_groups(rows, *stack, counts), PLAIN.linear_groups(rows, wide, None, counts))


def test_a_cpu_makes_many_weights_wide_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    stack, rows = narrow(torch.randn(37, 70), torch.uint8), torch.randn(2, 20, 70)
    sizes: list[int] = []
    whole = int4.dequantise

    def dequantise(numbers: Tensor, *rest: Any) -> Tensor:
        sizes.append(len(numbers))
        return whole(numbers, *rest)

    monkeypatch.setattr(int4, "dequantise", dequantise)
    monkeypatch.setattr(CpuOperations, "int4_at_once", 10 * 70)
    torch.testing.assert_close(CpuOperations().linear(rows, *stack), PLAIN.linear(rows, *stack))
    assert sizes == [10, 10, 10, 7, 37]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_embeddings_are_int8_with_int4_and_stay_with_int8(dtype: torch.dtype) -> None:
    ids = torch.tensor([[3, 0, 3], [4, 1, 2]])
    layers = [Embedding(5, 64).to(dtype) for _ in range(2)]
    wide = layers[0].weight.detach().clone()
    for layer, quantize in zip(layers, ("int4", "int8"), strict=True):
        turn_narrow(layer, quantize)
    assert layers[1].weight.dtype == dtype and layers[1].weight_scale is None
    found, step = layers[0](ids), wide.float().abs().amax(-1, keepdim=True) / 127
    assert layers[0].weight.dtype == torch.int8 and found.dtype == dtype and found.shape == (2, 3, 64)
    rounding = 0.5 if dtype == torch.float32 else 0.5 + 127 * 2**-7  # of a scale and a product, too
    assert ((found.float() - wide.float()[ids]).abs() <= (rounding + 1e-3) * step[ids]).all()


def test_an_odd_number_of_inputs_is_int8() -> None:
    odd, even = Linear(7, 4), Linear(8, 4)
    for layer in (odd, even):
        turn_narrow(layer, "int4")
    assert odd.weight.dtype == torch.int8 and even.weight.dtype == torch.uint8


@pytest.mark.parametrize("name", ["tiny", "small", "base"])
def test_int4_is_made_while_loading(reference_folder: Path, name: str, tmp_path: Path) -> None:
    folder = reference_folder / name / "checkpoint"
    model = Model.from_pretrained(folder, quantize="int4")
    packed = {key for key, parameter in model.named_parameters() if parameter.dtype == torch.uint8}
    assert {"lm_head.weight", "decoder.layers.1.mlp.experts.gate_up", "decoder.layers.0.mlp.down.weight"} < packed
    kept = ("vision.block", "vision.patch", "vision.pos", "vision.norm", "adaptor.", "decoder.embed")
    assert not any(key.startswith(kept) or "kv_b" in key for key in packed)
    assert model.decoder.embed_tokens.weight.dtype == torch.int8
    views, scales, files = official_views(model), scale_views(model), load_file(folder / FILE_NAME)
    embeddings = "language.model.embed_tokens.weight"
    numbers, scale = quantise(files[embeddings])
    assert torch.equal(views[embeddings], numbers)
    assert torch.equal(scales.pop(embeddings), scale.to(files[embeddings].dtype))
    for key in scales:
        numbers, scale = narrow(files[key], views[key].dtype)
        assert torch.equal(views[key], numbers) and torch.equal(scales[key], scale), key
    with pytest.raises(SettingsError, match="int4 weights are not written"):
        model.save_pretrained(tmp_path)
    with pytest.raises(SettingsError, match="int4 weights cannot be resized"):
        model.resize_token_embeddings(9)


def test_official_keys_become_int4(checkpoint: Path) -> None:
    expected, loaded = (Model.from_pretrained(checkpoint, quantize="int4") for _ in range(2))
    for parameter in loaded.parameters():
        parameter.data.zero_()
    loaded.load_state_dict(load_file(checkpoint / FILE_NAME))
    for (name, one), other in zip(loaded.named_parameters(), expected.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_random_int4_weights_have_the_same_spread(checkpoint: Path) -> None:
    model = Model.from_random(DeepseekVL2Config(**read_config(checkpoint)), quantize="int4")
    parameters = {name: each for name, each in model.named_parameters() if each.dtype == torch.uint8}
    packed = {name: each for name, each in parameters.items() if f"{name}_scale" in parameters and each.numel() > 500}
    assert packed
    for name, numbers in packed.items():
        wide = int4.dequantise(numbers, parameters[f"{name}_scale"], torch.float32)
        assert abs(float(wide.std()) - 0.02) < 0.005 and len(wide.unique()) == 16, name


def test_random_embeddings_have_the_same_spread(checkpoint: Path) -> None:
    model = Model.from_random(DeepseekVL2Config(**read_config(checkpoint)), dtype="float32", quantize="int4")
    embeds = model.get_input_embeddings()(torch.arange(100))
    assert embeds.dtype == torch.float32 and abs(float(embeds.std()) - 0.02) < 0.005
