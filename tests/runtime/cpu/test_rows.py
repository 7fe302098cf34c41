"""Norms and rotations of many tokens equal the plain layers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dsvl2_app.model.operations import PLAIN
from dsvl2_app.model.rotary import Rotary, rotary_angles
from dsvl2_app.runtime.cpu.library import Library
from dsvl2_app.runtime.cpu.operations import CpuOperations
from tests.kernels import watch
from tests.runtime.cpu.test_prefill import ROUNDING, distance, draw


@pytest.fixture
def operations(library: Library) -> CpuOperations:
    return CpuOperations(library)


@pytest.mark.parametrize("shape", [(1, 5, 16), (2, 31, 144), (7, 1280)])
@pytest.mark.parametrize("size", [1e-3, 1.0, 100.0])
def test_norms(operations: CpuOperations, shape: tuple[int, ...], size: float) -> None:
    hidden, weight, bias = draw(*shape) * size + size, draw(shape[-1]), draw(shape[-1])
    ran = watch(operations)
    with torch.inference_mode():
        found = operations.rms_norm(hidden, weight, 1e-6), operations.layer_norm(hidden, weight, bias, 1e-6)
        wide = hidden.double(), weight.double()
        expected = PLAIN.rms_norm(*wide, 1e-6), PLAIN.layer_norm(*wide, bias.double(), 1e-6)
    assert ran == ["rows.rms_norm", "rows.layer_norm"]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.bfloat16 and one.shape == other.shape
        assert distance(one, other, other) < ROUNDING


@pytest.mark.parametrize("name", ["rotate_halves", "rotate_pairs"])
@pytest.mark.parametrize(("batch", "heads", "groups", "tokens", "width"), [(1, 4, 1, 9, 32), (2, 3, 3, 1, 64)])
def test_rotations(
    operations: CpuOperations, name: str, batch: int, heads: int, groups: int, tokens: int, width: int
) -> None:
    """Of heads that lie where a projection put them."""
    queries = draw(batch, tokens, heads * width).unflatten(-1, (heads, width)).transpose(1, 2)
    keys = draw(batch, tokens, groups * width + 5)[..., 5:].unflatten(-1, (groups, width)).transpose(1, 2)
    rotary = rotary_angles(torch.randint(0, 5000, (batch, tokens)), width, 1e4)
    ran = watch(operations)
    with torch.inference_mode():
        found, expected = (getattr(each, name)(queries, keys, rotary) for each in (operations, PLAIN))
    assert ran == [f"rows.{name}"]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=2**-7, atol=1e-6)  # a product that is added is not rounded first


def test_what_is_left_to_torch(operations: CpuOperations) -> None:
    ran, wide = watch(operations), Rotary(torch.ones(1, 1, 3, 8), torch.zeros(1, 1, 3, 8))
    with torch.inference_mode():
        operations.rms_norm(torch.randn(3, 16), torch.ones(16), 1e-6)
        operations.rms_norm(draw(3, 17), draw(17), 1e-6)
        operations.rotate_halves(draw(1, 2, 3, 16), draw(1, 2, 3, 16), wide)
    weight: Tensor = draw(16).requires_grad_()
    operations.rms_norm(draw(3, 16), weight, 1e-6).sum().backward()
    assert weight.grad is not None and all(name.startswith("operations.") for name in ran)
