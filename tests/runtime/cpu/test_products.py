"""Products of a few rows equal plain ones, for every shape and number format that they may meet."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dsvl2_app.model.linear import quantise
from dsvl2_app.model.operations import PLAIN
from dsvl2_app.runtime.cpu.library import Library
from dsvl2_app.runtime.cpu.operations import CpuOperations
from tests.kernels import watch

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.fixture
def operations(library: Library) -> CpuOperations:
    return CpuOperations(library)


def compare(operations: CpuOperations, name: str, *given: Tensor | None, dtype: torch.dtype) -> None:
    ran = watch(operations)
    with torch.inference_mode():
        found, expected = (getattr(each, name)(*given) for each in (operations, PLAIN))
    assert ran == [f"products.{name}"]
    assert found.dtype == expected.dtype == dtype
    spread = expected.float().abs().max()
    torch.testing.assert_close(found.float() / spread, expected.float() / spread, atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 6, 7, 13, 16])
@pytest.mark.parametrize("shape", [(8, 64), (7, 48), (33, 37), (2, 5)])
def test_linear(operations: CpuOperations, dtype: torch.dtype, rows: int, shape: tuple[int, int], int8: bool) -> None:
    hidden, weight = torch.randn(rows, 1, shape[1], dtype=dtype), torch.randn(shape, dtype=dtype)
    compare(operations, "linear", hidden, *(quantise(weight) if int8 else (weight,)), dtype=dtype)


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tokens", [1, 3, 9, 16])
def test_linear_each(operations: CpuOperations, dtype: torch.dtype, tokens: int, int8: bool) -> None:
    hidden, weights = torch.randn(tokens, 40, dtype=dtype), torch.randn(6, 22, 40, dtype=dtype)
    experts = torch.randint(6, (tokens * 3,))  # some experts several times, some never
    stack = quantise(weights) if int8 else (weights, None)
    compare(operations, "linear_each", hidden, *stack, experts, dtype=dtype)


def test_many_rows_are_torchs(operations: CpuOperations) -> None:
    ran = watch(operations)
    with torch.inference_mode():
        operations.linear(torch.randn(17, 8), torch.randn(4, 8))
    assert ran == ["operations.linear"]


def test_gradients_go_through_torch(operations: CpuOperations) -> None:
    ran, weight = watch(operations), torch.randn(4, 8, requires_grad=True)
    operations.linear(torch.randn(1, 8), weight).sum().backward()
    assert weight.grad is not None and ran == ["operations.linear"]


def test_compiled_kernels_are_for_numbers_without_gradients(operations: CpuOperations) -> None:
    rows, weight = torch.randn(1, 8), nn.Parameter(torch.randn(4, 8))

    def runs(rows: Tensor, weight: Tensor) -> bool:
        return operations.choose("linear", rows, weight).__module__.endswith("products")

    assert not runs(rows, weight)
    with torch.no_grad():
        assert runs(rows, weight)
        fake = torch._subclasses.FakeTensorMode()
        assert not runs(fake.from_tensor(rows), weight) and not runs(rows, nn.Buffer(fake.from_tensor(rows)))
    with torch.inference_mode():
        assert runs(rows, weight)
