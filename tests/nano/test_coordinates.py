from __future__ import annotations

import torch
from torch import nn

from nano.coordinates import NUMBERS, bell_loss, fold, smooth

IDS = list(range(50, 50 + NUMBERS))


def test_folding_leaves_the_same_numbers_in_an_ordinary_layer():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(1100, 8), nn.LayerNorm(8), nn.Linear(8, 1100, bias=False))
    plain = {name: value.clone() for name, value in model.state_dict().items()}
    for module in (model[0], model[2]):
        smooth(module, IDS, 0.02)
    state = fold(model)
    assert state.keys() == plain.keys()
    for name in ("0.weight", "2.weight"):
        assert not torch.allclose(state[name][IDS], plain[name][IDS])
        assert torch.equal(state[name][:50], plain[name][:50])
    assert torch.equal(state["0.weight"], model[0].weight) and torch.equal(state["1.bias"], plain["1.bias"])


def test_rows_that_are_known_already_stay_as_they_are():
    module = nn.Embedding(1100, 8)
    plain = module.weight.detach().clone()
    smooth(module, IDS, 0.0)
    assert torch.equal(module.weight, plain)


def test_neighbouring_numbers_get_neighbouring_rows():
    module = nn.Embedding(1100, 8)
    nn.init.zeros_(module.weight)
    smooth(module, IDS, 0.02)
    rows = module.weight.detach()[IDS]
    near, far = (rows[1:] - rows[:-1]).norm(dim=1).mean(), (rows[500:] - rows[:500]).norm(dim=1).mean()
    assert near < 0.3 * far


def test_the_bell_is_lowest_at_its_number_and_narrows_with_sigma():
    logits = torch.full((3, NUMBERS), -20.0)
    logits[0, 400], logits[1, 404], logits[2, 500] = 0, 0, 0
    target = torch.tensor([400, 400, 400])
    wide, narrow = (bell_loss(logits.log_softmax(-1), target, sigma) for sigma in (8.0, 1.0))
    assert wide[0] < wide[1] < wide[2] and narrow[0] < narrow[1]
    assert narrow[1] - narrow[0] > wide[1] - wide[0]


def test_the_bell_of_no_width_is_cross_entropy():
    logits = torch.randn(4, NUMBERS, generator=torch.Generator().manual_seed(1))
    target = torch.tensor([0, 7, 500, 999])
    expected = nn.functional.cross_entropy(logits, target, reduction="none")
    assert torch.allclose(bell_loss(logits.log_softmax(-1), target, 1e-3), expected, atol=1e-5)
