from __future__ import annotations

import pytest
import torch
from torch import nn

from nano.muon import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 8, 40), (2, 64, 10)])
def test_orthogonalised_matrices_keep_their_directions_and_lose_their_scales(shape: tuple[int, ...]):
    matrices = (
        torch.randn(shape, generator=torch.Generator().manual_seed(0))
        * torch.tensor([1e-3, 1, 50])[: shape[0], None, None]
    )
    given, orthogonal = torch.linalg.svd(matrices, full_matrices=False), orthogonalise(matrices).float()
    values = torch.linalg.svdvals(orthogonal)
    assert values.min() > 0.4 and values.max() < 1.35  # the iteration's own fixed band around 1
    assert ((given.U @ given.Vh) * orthogonal).sum((1, 2)).div(min(shape[1:])).min() > 0.6


def test_a_step_moves_each_kind_of_parameter_and_forgets_none():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    matrices = [model[0].weight, model[2].weight]
    optimizer = Muon(matrices, [model[0].bias, model[2].bias], lr=0.02, other_lr=0.01)
    inputs = torch.randn(64, 8)
    wanted = inputs @ torch.randn(8, 4)
    losses = []
    for _ in range(40):
        loss = (model(inputs) - wanted).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]
    restored = Muon(matrices, [model[0].bias, model[2].bias])
    restored.load_state_dict(optimizer.state_dict())
    assert len(restored.state) == 4


def test_a_parameter_without_gradient_rests():
    weight = nn.Parameter(torch.ones(4, 4))
    Muon([weight], []).step()
    assert torch.equal(weight, torch.ones(4, 4))
