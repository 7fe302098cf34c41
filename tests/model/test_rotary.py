"""Rotary angles stay exact in any dtype."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from dsvl2_app import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.rotary import Rotary, rotary_angles, rotate_halves, rotate_pairs

LAST = 4095  # the last position of the released context


def test_angles_are_positions_times_frequencies() -> None:
    positions = torch.tensor([[0, 1, 257, LAST]])
    rotary = rotary_angles(positions, 64, 10000.0)
    frequencies = 10000.0 ** (-torch.arange(0, 64, 2, dtype=torch.float64) / 64)
    exact = positions[0, :, None].double() * frequencies
    assert rotary.cos.dtype == rotary.sin.dtype == torch.float32
    torch.testing.assert_close(rotary.cos[0, 0].double(), exact.cos(), atol=1e-3, rtol=0)
    torch.testing.assert_close(rotary.sin[0, 0].double(), exact.sin(), atol=1e-3, rtol=0)


@torch.no_grad()
def seen_rotary(model: DeepseekVL2ForConditionalGeneration, positions: Tensor) -> Rotary:
    """The angles that the first layer is given."""
    seen: list[Rotary] = []
    hook = model.decoder.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    embeds = torch.zeros(*positions.shape, model.config.language_config.hidden_size, dtype=model.dtype)
    model.decoder(embeds, positions=positions)
    hook.remove()
    return seen[0]


@pytest.mark.slow
def test_bfloat16_models_keep_float32_angles(checkpoint: Path, model: DeepseekVL2ForConditionalGeneration) -> None:
    positions = torch.tensor([[0, 256, 257, 258, LAST - 1, LAST]])
    exact = seen_rotary(model, positions)
    load = DeepseekVL2ForConditionalGeneration.from_pretrained
    for other in (load(checkpoint, dtype="bfloat16"), load(checkpoint).to(torch.bfloat16), load(checkpoint).half()):
        assert other.dtype != torch.float32
        found = seen_rotary(other, positions)
        assert found.cos.dtype == torch.float32
        assert torch.equal(found.cos, exact.cos) and torch.equal(found.sin, exact.sin)


@pytest.mark.slow
def test_no_two_positions_share_their_angles(checkpoint: Path) -> None:
    model = DeepseekVL2ForConditionalGeneration.from_pretrained(checkpoint, dtype="bfloat16")
    rotary = seen_rotary(model, torch.arange(LAST + 1)[:, None])
    assert len(torch.cat(rotary, dim=-1)[:, 0].unique(dim=0)) == LAST + 1


def test_loaded_models_count_positions_in_whole_numbers(model: DeepseekVL2ForConditionalGeneration) -> None:
    """Nothing rotary is a parameter or a buffer, so no `.to(dtype)` can round it."""
    assert not [name for name, _ in model.named_buffers()]
    assert not [name for name, _ in model.named_parameters() if "rot" in name or "inv_freq" in name]


@pytest.mark.parametrize("rotate", [rotate_halves, rotate_pairs])
def test_rotation_is_a_complex_multiplication(rotate: object) -> None:
    x = torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    rotary = rotary_angles(torch.arange(5).expand(2, -1), 8, 100.0)
    turn = torch.complex(rotary.cos, rotary.sin)
    pairs = x.unflatten(-1, (2, 4)).transpose(-1, -2) if rotate is rotate_halves else x.unflatten(-1, (4, 2))
    turned = torch.view_as_complex(pairs.contiguous()) * turn
    torch.testing.assert_close(rotate(x, rotary), torch.cat((turned.real, turned.imag), dim=-1))


@pytest.mark.parametrize("rotate", [rotate_halves, rotate_pairs])
def test_products_depend_on_distance_alone(rotate: object) -> None:
    query, key = torch.randn(2, 1, 1, 1, 16, generator=torch.Generator().manual_seed(0))

    def product(at: int, to: int) -> Tensor:
        turned = [rotate(x, rotary_angles(torch.tensor([[p]]), 16, 100.0)) for x, p in ((query, at), (key, to))]
        return (turned[0] * turned[1]).sum()

    torch.testing.assert_close(product(7, 3), product(507, 503), atol=1e-4, rtol=1e-4)
    assert abs(product(7, 3) - product(7, 4)) > 1e-3
    torch.testing.assert_close(rotate(query, rotary_angles(torch.tensor([[9]]), 16, 100.0)).norm(), query.norm())


def test_rotation_keeps_the_dtype_and_rounds_once() -> None:
    x = torch.randn(1, 1, 4, 8).bfloat16()
    rotary = rotary_angles(torch.arange(1000, 1004)[None], 8, 10000.0)
    for rotate in (rotate_halves, rotate_pairs):
        assert torch.equal(rotate(x, rotary), rotate(x.float(), rotary).bfloat16())
