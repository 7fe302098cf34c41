"""What layers ask for in a prompt, against plain torch: on a GPU, else in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")

from dsvl2_app.model.linear import quantise
from dsvl2_app.model.operations import Operations, Stack, swiglu
from dsvl2_app.model.rotary import Rotary, rotary_angles
from dsvl2_app.runtime.cuda import groups, rows
from dsvl2_app.runtime.cuda.launcher import Launcher
from dsvl2_app.runtime.cuda.operations import CudaOperations

PLAIN = Operations()
EXPERTS, ACTIVE, WIDTH, INNER = 5, 3, 40, 24  # widths that no program's share divides


def draw_stacks(device: torch.device, narrow: bool) -> tuple[Stack, Stack]:
    gate_up, down = torch.randn(EXPERTS, 2 * INNER, WIDTH), torch.randn(EXPERTS, WIDTH, INNER)
    if narrow:
        (gate_up, up_scale), (down, down_scale) = quantise(gate_up), quantise(down)
        return (gate_up.to(device), up_scale.to(device)), (down.to(device), down_scale.to(device))
    return (gate_up.to(device), None), (down.to(device), None)


@pytest.fixture
def small_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several of everything, also where there is little to do."""
    sizes = {"PAIRS": 16, "FEW": 16, "MANY": 32, "OUTPUTS": {16: 16, 32: 16}, "WIDTH": 16, "SUMMED": 32}
    for name, size in {**sizes, "WARPS": {16: 4, 32: 4}}.items():
        monkeypatch.setattr(groups, name, size)
    monkeypatch.setattr(rows, "COLUMNS", 16)
    monkeypatch.setattr(rows, "NUMBERS", 32)


@pytest.mark.usefixtures("small_programs")
@torch.inference_mode()
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("tokens", [1, 6, 50])
def test_groups_are_the_plain_experts(tokens: int, narrow: bool, device: torch.device) -> None:
    gate_up, down = draw_stacks(device, narrow)
    hidden = torch.randn(tokens, WIDTH, device=device)
    experts = torch.rand(tokens, EXPERTS, device=device).topk(ACTIVE).indices
    weights = torch.rand(tokens, ACTIVE, device=device)
    found = groups.run_groups(Launcher(device), hidden, weights, experts, gate_up, down)
    expected = PLAIN.group_experts(hidden, weights, experts, gate_up, down)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.usefixtures("small_programs")
@torch.inference_mode()
@pytest.mark.parametrize("chosen", [[0, 1, 2], [2, 3, 4], [4]])  # some experts have all tokens, others none
def test_an_expert_that_nobody_chose_is_passed_over(chosen: list[int], device: torch.device) -> None:
    gate_up, down = draw_stacks(device, narrow=False)
    hidden = torch.randn(37, WIDTH, device=device)
    experts = torch.tensor(chosen, device=device).expand(37, len(chosen))
    weights = torch.rand(37, len(chosen), device=device)
    found = groups.run_groups(Launcher(device), hidden, weights, experts, gate_up, down)
    expected = PLAIN.group_experts(hidden, weights, experts, gate_up, down)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.usefixtures("small_programs")
@torch.inference_mode()
def test_pairs_are_sorted_by_expert(device: torch.device) -> None:
    experts = torch.randint(0, EXPERTS, (33, ACTIVE), device=device)
    order, starts = groups.sort_pairs(Launcher(device), experts, EXPERTS)
    assert sorted(order.tolist()) == [*range(99)]
    for expert in range(EXPERTS):
        pairs = order[starts[expert] : starts[expert + 1]]
        assert (experts.flatten()[pairs.long()] == expert).all()
    assert starts[-1] == 99


@torch.inference_mode()
@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_the_choice_of_experts_is_the_plain_one(
    sigmoid: bool, normalise: bool, biased: bool, device: torch.device
) -> None:
    hidden, weight = torch.randn(9, WIDTH, device=device), torch.randn(EXPERTS, WIDTH, device=device)
    bias = torch.randn(EXPERTS, device=device) if biased else None
    how = {"sigmoid": sigmoid, "normalise": normalise}
    weights, experts = groups.choose_each(Launcher(device), hidden @ weight.T, bias, ACTIVE, 1.5, **how)
    expected, others = PLAIN.choose_experts(hidden, weight, bias, ACTIVE, 1.5, **how)
    given = torch.zeros(2, 9, EXPERTS, device=device)
    given[0].scatter_(1, experts, weights)
    given[1].scatter_(1, others, expected)
    torch.testing.assert_close(given[0], given[1])


@pytest.mark.usefixtures("small_programs")
@torch.inference_mode()
def test_rows_are_activated_as_in_torch(device: torch.device) -> None:
    hidden = torch.randn(2, 3, WIDTH, device=device)
    torch.testing.assert_close(rows.swiglu(Launcher(device), hidden), swiglu(hidden))


@pytest.mark.usefixtures("small_programs")
@torch.inference_mode()
@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize(("heads", "key_heads"), [(10, 10), (4, 1), (1, 1)])
def test_heads_are_turned_as_in_torch(pairs: bool, heads: int, key_heads: int, device: torch.device) -> None:
    queries = torch.randn(2, 7, heads, 20, device=device).transpose(1, 2)[..., 8:]  # as a layer cuts them out
    keys = torch.randn(2, key_heads, 7, 12, device=device)
    rotary = turn_at(torch.arange(14, device=device).view(2, 7))
    found = rows.turn(Launcher(device), queries, keys, rotary, pairs=pairs)
    expected = (PLAIN.rotate_pairs if pairs else PLAIN.rotate_halves)(queries, keys, rotary)
    torch.testing.assert_close(found, expected)


def turn_at(positions: Tensor) -> Rotary:
    return rotary_angles(positions, 12, 10_000.0)


def test_what_learns_or_is_no_bfloat16_is_left_to_torch(device: torch.device) -> None:
    operations = CudaOperations()
    hidden = torch.randn(6, WIDTH, device=device, dtype=torch.bfloat16)
    assert not operations._supports(hidden)  # with gradients
    with torch.inference_mode():
        assert operations._supports(hidden) == (device.type == "cuda")
        assert not operations._supports(hidden.float())


SHAPES = {"tiny": (64, 6, 1280, 896), "small": (64, 6, 2048, 1408), "base": (72, 6, 2560, 1536)}


@pytest.mark.gpu
@torch.inference_mode()
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("tokens", [7, 640, 2000])
@pytest.mark.parametrize("preset", SHAPES)
def test_experts_of_released_shapes_in_bfloat16(preset: str, tokens: int, narrow: bool, device: torch.device) -> None:
    count, active, width, inner = SHAPES[preset]
    hidden = torch.randn(tokens, width, dtype=torch.bfloat16, device=device)
    router = torch.randn(count, width, dtype=torch.bfloat16, device=device) / width**0.5
    how = {"sigmoid": False, "normalise": False}
    gate_up, down = torch.randn(count, 2 * inner, width, device=device), torch.randn(count, width, inner, device=device)
    stacks = [quantise(each / each.shape[2] ** 0.5) for each in (gate_up, down)]
    if not narrow:
        stacks = [((weight * scale[..., None]).bfloat16(), None) for weight, scale in stacks]
    operations = CudaOperations()
    weights, experts = operations.choose_experts(hidden, router, None, active, 1.0, **how)
    expected, others = PLAIN.choose_experts(hidden, router, None, active, 1.0, **how)
    assert (experts.sort().values == others.sort().values).float().mean() > 0.999  # but for ties
    torch.testing.assert_close(weights.sum(-1), expected.sum(-1), atol=1e-3, rtol=1e-3)
    found = operations.run_experts(hidden, weights, experts, *stacks)
    plain = PLAIN.group_experts(hidden, weights, experts, *stacks)
    assert (found - plain).norm() < 1e-2 * plain.norm()
    assert torch.equal(found, operations.run_experts(hidden, weights, experts, *stacks))


@pytest.mark.gpu
@torch.inference_mode()
def test_rows_in_bfloat16(device: torch.device) -> None:
    operations = CudaOperations()
    hidden = torch.randn(3, 729, 1152, dtype=torch.bfloat16, device=device)
    weight = torch.randn(4304, 1152, dtype=torch.bfloat16, device=device) / 34
    bias = torch.randn(4304, dtype=torch.bfloat16, device=device)
    found, expected = (each.linear_gelu(hidden, weight, bias) for each in (operations, PLAIN))
    assert (found - expected).norm() < 1e-2 * expected.norm()
    queries = torch.randn(1, 650, 10, 128, dtype=torch.bfloat16, device=device).transpose(1, 2)
    rotary = rotary_angles(torch.arange(650, device=device)[None], 128, 10_000.0)
    for found, expected in zip(
        operations.rotate_halves(queries, queries, rotary), PLAIN.rotate_halves(queries, queries, rotary), strict=True
    ):
        assert (found - expected).norm() < 1e-2 * expected.norm()


@pytest.mark.gpu
@torch.inference_mode()
@pytest.mark.parametrize(("new", "total"), [(650, 650), (1, 1), (1, 650), (40, 650)])
def test_latent_attention_keeps_its_values_narrow(new: int, total: int, device: torch.device) -> None:
    queries = torch.randn(1, 16, new, 192, dtype=torch.bfloat16, device=device)
    keys = torch.randn(1, 16, total, 192, dtype=torch.bfloat16, device=device)
    values = torch.randn(1, total, 16, 256, dtype=torch.bfloat16, device=device).transpose(1, 2)[..., 128:]
    found, expected = (each.attend(queries, keys, values, None, 0.1) for each in (CudaOperations(), PLAIN))
    assert found.shape == expected.shape == (1, 16, new, 128)
    assert (found - expected).norm() < 1e-2 * expected.norm()
