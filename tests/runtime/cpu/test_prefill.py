"""What a prompt needs compiled equals softmax attention and the layers' own experts, for every shape it may meet."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from dsvl2_app.model.experts import Experts
from dsvl2_app.model.linear import turn_narrow
from dsvl2_app.model.operations import PLAIN
from dsvl2_app.runtime.cpu.library import FLAGS, Library
from dsvl2_app.runtime.cpu.operations import CpuOperations
from dsvl2_app.runtime.cpu.prefill import WIDTHS, ManyTokens
from tests.kernels import watch

ROUNDING = 5e-3  # of bfloat16, as a norm


@pytest.fixture(scope="module")
def panels(library: Library) -> Library:
    """Where there are matrix units too, kernels are compiled as if there were none."""
    if not library.has_panels:
        library = Library.build((*FLAGS, "-mno-amx-tile", "-mno-amx-bf16", "-mno-amx-int8"))
    if not library.has_panels:
        pytest.skip("this processor does not multiply bfloat16 in pairs")
    return library


@pytest.fixture
def operations(panels: Library) -> CpuOperations:
    return CpuOperations(panels)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape).bfloat16()


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def distance(found: Tensor, expected: Tensor, size: Tensor) -> float:
    return float((found.double() - expected.double()).norm() / size.double().norm())


def check_attention(
    library: Library, queries: Tensor, keys: Tensor, values: Tensor, scale: float, *, causal: bool
) -> None:
    """Errors are compared with what shares of numbers come to that do not cancel each other."""
    with torch.inference_mode():
        found = ManyTokens(library).attend(queries, keys, values, scale, causal=causal)
    expected, size = (attend_exactly(queries, keys, each, scale, causal=causal) for each in (values, values.abs()))
    assert found.shape == expected.shape and found.dtype == torch.bfloat16
    assert distance(found, expected, size) < ROUNDING


def attend_exactly(queries: Tensor, keys: Tensor, values: Tensor, scale: float, *, causal: bool) -> Tensor:
    """[B, T, H, V] in float64."""
    share = queries.shape[1] // keys.shape[1]
    keys, values = (part.double().repeat_interleave(share, dim=1) for part in (keys, values))
    scores = queries.double() @ keys.mT * scale
    if causal:
        new, total = scores.shape[-2:]
        scores += torch.full((new, total), float("-inf")).triu(total - new + 1)
    return (scores.softmax(-1) @ values).transpose(1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("heads", "groups", "new", "total", "width", "value"),
    [
        (3, 3, 729, 729, 72, 72),  # a tile
        (4, 2, 17, 130, 64, 64),
        (2, 2, 33, 33, 192, 128),  # latent attention, expanded
        (2, 1, 2, 3, 10, 7),
        (1, 1, 16, 16, 16, 16),
        (5, 5, 47, 96, 128, 100),
        (1, 1, 2, 49, 6, 1),
    ],
)
def test_attention_of_many_queries(
    panels: Library, heads: int, groups: int, new: int, total: int, width: int, value: int, causal: bool
) -> None:
    queries, keys, values = draw(2, heads, new, width), draw(2, groups, total, width), draw(2, groups, total, value)
    check_attention(panels, queries, keys, values, 0.15, causal=causal)


def test_attention_reads_heads_where_they_lie(panels: Library) -> None:
    """Three parts of one projection, and a cache with room for more tokens."""
    parts = draw(2, 50, 3 * 4 * 24).unflatten(-1, (3, 4, 24)).permute(2, 0, 3, 1, 4)
    room = draw(2, 4, 80, 24)[:, :, :50]
    check_attention(panels, parts[0], room, parts[2], 0.2, causal=True)


@pytest.mark.parametrize("size", [1e-3, 30.0])
def test_attention_of_even_and_of_sharp_scores(panels: Library, size: float) -> None:
    queries, keys, values = draw(1, 2, 40, 64) * size, draw(1, 2, 200, 64), draw(1, 2, 200, 64)
    check_attention(panels, queries, keys, values, 1.0, causal=True)


def make_experts(count: int, width: int, inner: int, quantize: str = "none") -> Experts:
    config = SimpleNamespace(n_routed_experts=count, hidden_size=width, moe_intermediate_size=inner)
    experts = Experts(config).requires_grad_(False)
    for weight in experts.parameters():
        weight.normal_(0, weight.shape[-1] ** -0.5)
    experts.bfloat16()
    if quantize != "none":
        turn_narrow(experts, quantize)
    return experts


def compare(operations: CpuOperations, experts: Experts, hidden: Tensor, weights: Tensor, chosen: Tensor) -> None:
    """With the plain form, which sorts tokens by expert too."""
    stacks = (experts.gate_up, experts.gate_up_scale), (experts.down, experts.down_scale)
    experts.operations, ran = operations, watch(operations)
    with torch.inference_mode():
        found, expected = experts(hidden, weights, chosen), PLAIN.group_experts(hidden, weights, chosen, *stacks)
    assert ran == ["prefill.run_experts"]
    assert found.dtype == torch.bfloat16
    assert distance(found, expected, expected) < 2 * ROUNDING  # both round


@pytest.mark.parametrize("quantize", ["none", "int8", "int4"])
@pytest.mark.parametrize(
    ("tokens", "active", "count", "width", "inner"),
    [(17, 3, 8, 64, 32), (100, 2, 5, 96, 160), (40, 1, 64, 32, 96), (350, 1, 1, 32, 64), (61, 6, 6, 48, 16)],
)
def test_experts_of_many_tokens(
    operations: CpuOperations, tokens: int, active: int, count: int, width: int, inner: int, quantize: str
) -> None:
    multiple = WIDTHS[{"int8": torch.int8, "int4": torch.uint8}.get(quantize, torch.bfloat16)]
    width, inner = (-(-size // multiple) * multiple for size in (width, inner))  # 48 and 16 are none of int8's
    chosen = torch.rand(tokens, count).topk(active, sorted=False).indices
    experts, weights = make_experts(count, width, inner, quantize), torch.rand(tokens, active)
    compare(operations, experts, draw(tokens, width), weights, chosen)


def test_a_group_larger_than_panels_and_experts_without_tokens(operations: CpuOperations) -> None:
    chosen, weights = torch.full((700, 1), 2), torch.ones(700, 1)
    compare(operations, make_experts(4, 32, 16), draw(700, 32), weights, chosen)


def test_what_the_kernels_do_not_know_takes_the_plain_way(operations: CpuOperations) -> None:
    ran, experts, few = watch(operations), make_experts(2, 24, 16), torch.zeros(20, 1, dtype=torch.long)
    experts.operations = operations
    odd, wide = draw(3, 1, 1, 4, 7), torch.randn(3, 1, 1, 4, 8)
    with torch.inference_mode():
        experts(draw(20, 24), torch.rand(20, 1), few)
        operations.attend_all(*odd)
        operations.attend_all(*wide)
        operations.attend(*odd, None, 0.2)
        operations.attend(*draw(3, 1, 1, 4, 8), torch.ones(4, 4, dtype=torch.bool), 0.2)
    assert ran == [
        "operations.run_experts",
        *("blocks.attend_all", "operations.attend_all"),
        *("blocks.attend", "operations.attend"),
    ]


def test_gradients_take_the_plain_way(operations: CpuOperations) -> None:
    experts, ran = make_experts(3, 32, 16), watch(operations)
    experts.operations = operations
    experts.down.requires_grad_()
    experts(draw(20, 32), torch.rand(20, 1), torch.zeros(20, 1, dtype=torch.long)).sum().backward()
    assert experts.down.grad is not None and ran == ["operations.run_experts"]
