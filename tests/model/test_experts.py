"""The router's rules, and the experts' two speeds against a plain loop."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dsvl2_app import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.experts import MLP, Experts, MixtureOfExperts, Router
from dsvl2_app.model.operations import FEW_TOKENS, Operations, swiglu
from dsvl2_app.model.sections import DecoderConfig
from dsvl2_app.runtime.cpu.operations import CpuOperations

WIDTH, EXPERTS, ACTIVE = 16, 6, 2


def configure(**values: Any) -> DecoderConfig:
    defaults = dict(
        hidden_size=WIDTH,
        moe_intermediate_size=5,
        n_routed_experts=EXPERTS,
        num_experts_per_tok=ACTIVE,
        n_shared_experts=2,
        topk_method="greedy",
    )
    return DecoderConfig(**(defaults | values))


def fill(module: Any, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return module


@pytest.fixture
def hidden() -> Tensor:
    return torch.randn(40, WIDTH, generator=torch.Generator().manual_seed(1))


BIASED = dict(scoring_func="sigmoid", topk_method="noaux_tc")


# -- router ------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("scoring", ["softmax", "sigmoid"])
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("scaling", [1.0, 2.5])
def test_weights_are_the_scores_of_the_best_experts(
    scoring: str, normalise: bool, scaling: float, hidden: Tensor
) -> None:
    config = configure(scoring_func=scoring, norm_topk_prob=normalise, routed_scaling_factor=scaling)
    router = fill(Router(config))
    weights, experts = router(hidden)
    logits = hidden @ router.weight.T
    scores = logits.softmax(-1) if scoring == "softmax" else logits.sigmoid()
    best, _ = scores.sort(descending=True)
    expected = best[:, :ACTIVE] / (best[:, :ACTIVE].sum(-1, keepdim=True) if normalise else 1) * scaling
    torch.testing.assert_close(weights.sort(descending=True).values, expected)
    torch.testing.assert_close(scores.gather(1, experts).sort(descending=True).values, best[:, :ACTIVE])
    if normalise:
        torch.testing.assert_close(weights.sum(-1), torch.full((40,), scaling))


@torch.no_grad()
def test_one_active_expert_is_not_normalised(hidden: Tensor) -> None:
    router = fill(Router(configure(num_experts_per_tok=1, norm_topk_prob=True)))
    weights, _ = router(hidden)
    assert weights.max() < 1


@torch.no_grad()
def test_bias_chooses_and_never_weighs(hidden: Tensor) -> None:
    router = fill(Router(configure(**BIASED)))
    router.bias.zero_()
    scores = (hidden @ router.weight.T).sigmoid()
    _, unbiased = router(hidden)
    router.bias[3] = 10.0
    weights, experts = router(hidden)
    assert (experts == 3).any(-1).all() and not (unbiased == 3).any(-1).all()
    torch.testing.assert_close(weights, scores.gather(1, experts))
    router.bias.add_(100.0)  # the same for all: no other choice
    assert torch.equal(router(hidden)[1].sort().values, experts.sort().values)


@torch.no_grad()
def test_routing_is_float32_in_a_bfloat16_model(hidden: Tensor) -> None:
    narrow = fill(Router(configure(**BIASED))).to(torch.bfloat16)
    wide = Router(configure(**BIASED)).requires_grad_(False)
    wide.weight.copy_(narrow.weight)
    wide.bias.copy_(narrow.bias)
    hidden = hidden.bfloat16()
    weights, experts = narrow(hidden)
    expected_weights, expected_experts = wide(hidden.float())
    assert weights.dtype == torch.float32
    assert torch.equal(experts, expected_experts) and torch.equal(weights, expected_weights)


@torch.no_grad()
def test_router_bias_stays_float32_when_loaded_in_bfloat16(reference_folder: Any) -> None:
    folder = reference_folder / "base" / "checkpoint"
    exact, narrow = (
        DeepseekVL2ForConditionalGeneration.from_pretrained(folder, dtype=dtype) for dtype in ("float32", "bfloat16")
    )
    for wide_layer, narrow_layer in zip(exact.decoder.layers[1:], narrow.decoder.layers[1:], strict=True):
        assert torch.equal(narrow_layer.mlp.router.bias, wide_layer.mlp.router.bias)


# -- experts -----------------------------------------------------------------------------------------------------


def plain_experts(experts: Experts, hidden: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
    rows = []
    for token, token_weights, numbers in zip(hidden, weights, chosen.tolist(), strict=True):
        outputs = []
        for weight, number in zip(token_weights, numbers, strict=True):
            gate, up = experts.gate_up[number].chunk(2)
            outputs.append(weight * (experts.down[number] @ (F.silu(gate @ token) * (up @ token))))
        rows.append(sum(outputs))
    return torch.stack(rows)


def stacks(experts: Experts) -> tuple[tuple[Tensor, None], tuple[Tensor, None]]:
    return (experts.gate_up, None), (experts.down, None)


def gather(experts: Experts, *given: Tensor) -> Tensor:
    return Operations().gather_experts(*given, *stacks(experts))


def group(experts: Experts, *given: Tensor) -> Tensor:
    return Operations().group_experts(*given, *stacks(experts))


@torch.no_grad()
@pytest.mark.parametrize("tokens", [1, FEW_TOKENS, FEW_TOKENS + 1, 40])
def test_few_and_many_equal_a_plain_loop(tokens: int, hidden: Tensor) -> None:
    config = configure()
    experts, router = fill(Experts(config)), fill(Router(config))
    arguments = (hidden[:tokens], *router(hidden[:tokens]))
    expected = plain_experts(experts, *arguments)
    for run in (Experts.__call__, gather, group):
        torch.testing.assert_close(run(experts, *arguments), expected, atol=1e-5, rtol=1e-5)
    for operations in (CpuOperations(), Operations()):
        experts.operations = operations
        torch.testing.assert_close(experts(*arguments), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_gathered_matrices_equal_the_views_used_on_a_cpu(hidden: Tensor) -> None:
    """What a GPU does with few tokens, written out here on the CPU."""
    config = configure()
    experts, router = fill(Experts(config)), fill(Router(config))
    tokens = hidden[:FEW_TOKENS]
    weights, chosen = router(tokens)
    inner = swiglu(torch.einsum("td,tkfd->tkf", tokens, experts.gate_up[chosen]))
    gathered = (torch.einsum("tkf,tkdf->tkd", inner, experts.down[chosen]) * weights[..., None]).sum(1)
    torch.testing.assert_close(gather(experts, tokens, weights, chosen), gathered, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_experts_that_nobody_chose_are_no_problem(hidden: Tensor) -> None:
    experts = fill(Experts(configure()))
    chosen = torch.tensor([[4, 1]]).expand(40, -1)
    weights = torch.full((40, 2), 0.5)
    expected = plain_experts(experts, hidden, weights, chosen)
    torch.testing.assert_close(group(experts, hidden, weights, chosen), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_linear_groups_takes_each_group_through_its_matrix() -> None:
    matrices = torch.randn(4, 3, 5)
    rows = torch.randn(6, 5)
    found = Operations().linear_groups(rows, matrices, None, torch.tensor([2, 0, 3, 1]))
    expected = torch.stack([matrices[e] @ row for e, row in zip((0, 0, 2, 2, 2, 3), rows, strict=True)])
    torch.testing.assert_close(found, expected)


def test_gradients_flow_through_many(hidden: Tensor) -> None:
    config = configure()
    experts, router = fill(Experts(config)), fill(Router(config))

    def gradients(run: Any) -> list[Tensor]:
        inputs = hidden.clone().requires_grad_()
        loss = run(inputs, *router(inputs)).square().sum()
        return list(torch.autograd.grad(loss, (inputs, experts.gate_up, experts.down, router.weight)))

    expected = gradients(lambda *arguments: plain_experts(experts, *arguments))
    assert all(gradient.any() for gradient in expected)
    torch.testing.assert_close(gradients(lambda *arguments: group(experts, *arguments)), expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("shared", [2, None])
def test_shared_experts_are_added_for_every_token(shared: int | None, hidden: Tensor) -> None:
    layer = fill(MixtureOfExperts(configure(n_shared_experts=shared)))
    batch = hidden.view(4, 10, WIDTH)
    expected = plain_experts(layer.experts, hidden, *layer.router(hidden))
    if shared:
        assert layer.shared_experts.down.in_features == 2 * 5
        expected = expected + layer.shared_experts(hidden)
    torch.testing.assert_close(layer(batch), expected.view_as(batch), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_mlp_gates_with_silu(hidden: Tensor) -> None:
    mlp = fill(MLP(WIDTH, 7))
    gate, up = mlp.gate_up.weight.chunk(2)
    expected = (F.silu(hidden @ gate.T) * (hidden @ up.T)) @ mlp.down.weight.T
    torch.testing.assert_close(mlp(hidden), expected)
