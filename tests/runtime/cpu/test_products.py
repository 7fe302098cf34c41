"""Products of a few rows equal plain ones, for every shape and number format that they may meet."""

from __future__ import annotations

import platform
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from dsvl2_app.model.linear import narrow
from dsvl2_app.model.operations import PLAIN
from dsvl2_app.runtime.cpu.library import FLAGS, Library
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
@pytest.mark.parametrize("kind", [None, torch.int8, torch.uint8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(8, 64), (7, 48), (33, 37), (2, 5), (9, 1112), (3, 210)])
def test_linear(library: Library, dtype: torch.dtype, shape: tuple[int, int], kind: torch.dtype | None) -> None:
    kind = torch.int8 if kind == torch.uint8 and shape[1] % 2 else kind  # of which no two numbers are a byte
    for rows in (1, 2, 3, 5, 6, 7, 13, 16):
        hidden, weight = torch.randn(rows, 1, shape[1], dtype=dtype), torch.randn(shape, dtype=dtype)
        given = narrow(weight, kind) if kind else (weight,)
        compare(CpuOperations(library), "linear", hidden, *given, dtype=dtype)


@pytest.mark.parametrize("kind", [None, torch.int8, torch.uint8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tokens", [1, 3, 9, 16])
def test_linear_each(operations: CpuOperations, dtype: torch.dtype, tokens: int, kind: torch.dtype | None) -> None:
    hidden, weights = torch.randn(tokens, 40, dtype=dtype), torch.randn(6, 22, 40, dtype=dtype)
    experts = torch.randint(6, (tokens * 3,))  # some experts several times, some never
    stack = narrow(weights, kind) if kind else (weights, None)
    compare(operations, "linear_each", hidden, *stack, experts, dtype=dtype)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="asks a compiler for processors of this kind")
@pytest.mark.parametrize("flag", ["-mno-avx512bf16", "-march=haswell", "-march=x86-64-v2"])
@pytest.mark.parametrize("kind", [torch.int8, torch.uint8])
def test_every_instruction_set(flag: str, kind: torch.dtype) -> None:
    """On vectors of lesser processors than this one, and on plain ones."""
    if flag == "-march=haswell" and torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("this processor has no AVX2")
    operations, dtypes = CpuOperations(Library.build((*FLAGS, flag))), (torch.float32, torch.bfloat16)
    for rows, inputs, dtype in product((1, 2, 5, 13), (30, 64, 210, 1112), dtypes):
        hidden, weight = torch.randn(rows, 1, inputs, dtype=dtype), torch.randn(7, inputs, dtype=dtype)
        compare(operations, "linear", hidden, *narrow(weight, kind), dtype=dtype)


def test_int4_is_exact_where_sums_are(operations: CpuOperations) -> None:
    """Whole numbers and a scale that is a power of two, so that nothing is rounded: to the bit what torch has."""
    for rows, inputs in product((1, 3, 9), (64, 112, 1280)):
        weight = torch.randint(-8, 8, (11, inputs)).float()
        weight[:, ::32] = -8  # decides the scale
        stack, hidden = narrow(weight, torch.uint8), torch.randint(-9, 9, (rows, inputs)).bfloat16()
        with torch.inference_mode():
            found = operations.linear(hidden, *stack)
        assert torch.equal(found, PLAIN.linear(hidden.float(), *stack).bfloat16())


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
