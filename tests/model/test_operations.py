"""Plain operations give what their formulas say, and the forms that a CPU prefers give the same."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from dsvl2_app.model.linear import Linear, quantise
from dsvl2_app.model.operations import PLAIN, Operations, use
from dsvl2_app.runtime.cpu.operations import CpuOperations
from tests.kernels import watch

PLAIN_GELU = "operations.linear_gelu"
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.fixture(params=["plain", "cpu"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def make(kind: str) -> tuple[Operations, list[str]]:
    """Operations, and the kernels of theirs that run. In bfloat16 a CPU has other forms than torch's own, and a test
    says that they ran."""
    operations = CpuOperations() if kind == "cpu" else Operations()
    return operations, watch(operations) if isinstance(operations, CpuOperations) else []


@pytest.mark.parametrize(("heads", "groups", "rope"), [(10, 10, 0), (6, 2, 0), (5, 1, 16), (4, 1, 7)])
def test_attend_one_is_attend_without_a_batch(heads: int, groups: int, rope: int) -> None:
    query = torch.randn(heads, 40 + rope)
    keys, values = (torch.randn(groups, 30, width)[:, :21] for width in (40 + rope, 24))
    parts = (query[:, 40:], keys[..., 40:]) if rope else None
    found = PLAIN.attend_one(query[:, :40], keys[..., :40], values, 0.2, parts)
    expected = PLAIN.attend(query[None, :, None], keys[None], values[None], None, 0.2)
    torch.testing.assert_close(found, expected[0, :, 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_linear_gelu_is_both_steps(kind: str, dtype: torch.dtype) -> None:
    operations, ran = make(kind)
    rows, weight, bias = (torch.randn(shape, dtype=dtype) for shape in ((2, 9, 24), (36, 24), (36,)))
    plain = torch.nn.functional.gelu(torch.nn.functional.linear(rows, weight, bias), approximate="tanh")
    with torch.inference_mode():
        found = operations.linear_gelu(rows, weight, bias)
    torch.testing.assert_close(found, plain, atol=4 * TOLERANCE[dtype], rtol=TOLERANCE[dtype])
    assert operations.linear_gelu(rows, weight.requires_grad_(), bias).grad_fn is not None
    is_fused = dtype == torch.bfloat16 and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    assert ran == (["blocks.linear_gelu" if is_fused else PLAIN_GELU, PLAIN_GELU] if kind == "cpu" else [])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("new", "total", "groups"), [(5, 5, 4), (1, 9, 4), (300, 300, 2), (200, 331, 4), (2, 140, 1)])
def test_attend_looks_back_only(kind: str, dtype: torch.dtype, new: int, total: int, groups: int) -> None:
    operations, ran = make(kind)
    queries, keys = torch.randn(2, 4, new, 24, dtype=dtype), torch.randn(2, groups, total, 24, dtype=dtype)
    values = torch.randn(2, groups, total, 16, dtype=dtype)
    wide = [part.double().repeat_interleave(4 // groups, dim=1) for part in (keys, values)]
    scores = queries.double() @ wide[0].mT / 5
    scores += torch.full((new, total), float("-inf")).triu(total - new + 1)
    expected = scores.softmax(-1) @ wide[1]
    with torch.inference_mode():
        found = operations.attend(queries, keys, values, None, 0.2)
    assert found.dtype == dtype
    assert ran == [f"{'blocks' if dtype == torch.bfloat16 and new > 1 else 'operations'}.attend"] * (kind == "cpu")
    assert (found - expected).norm() / expected.norm() < (1e-6 if dtype == torch.float32 else 2e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attend_all_is_softmax_attention(kind: str, dtype: torch.dtype) -> None:
    operations, ran = make(kind)
    parts = torch.randn(3, 2, 6, 49, 16, dtype=dtype).unbind()  # six heads: the last group is smaller
    queries, keys, values = (part.double() for part in parts)
    expected = ((queries @ keys.mT / 4).softmax(-1) @ values).transpose(1, 2)
    with torch.inference_mode():
        found = operations.attend_all(*parts)
    assert found.dtype == dtype
    assert ran == [f"{'blocks' if dtype == torch.bfloat16 else 'operations'}.attend_all"] * (kind == "cpu")
    assert (found - expected).norm() / expected.norm() < (1e-6 if dtype == torch.float32 else 2e-2)


def test_int8_is_within_half_a_step_of_every_weight() -> None:
    weight = torch.randn(5, 12, 64) * torch.rand(5, 12, 1) * 3
    weight[2, 3] = 0
    numbers, scale = quantise(weight)
    assert numbers.dtype == torch.int8 and scale.shape == (5, 12)
    assert ((numbers * scale[..., None] - weight).abs() <= scale[..., None] * 0.5001).all()


@pytest.mark.parametrize("operations", [CpuOperations(), Operations()])
def test_a_copy_of_a_model_belongs_to_no_runner(operations: Operations) -> None:
    model = torch.nn.Sequential(Linear(3, 2))
    use(model, operations)
    assert model[0].operations is operations and Linear(3, 2).operations is PLAIN
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(twin[0].operations) is Operations
        torch.testing.assert_close(twin(torch.ones(1, 3)), model(torch.ones(1, 3)))
