from __future__ import annotations

import torch
from torch import nn

from dsvl2_app.training.coordinates import NUMBERS, bell_loss, fold, smooth

IDS = list(range(50, 50 + NUMBERS))


def test_folding_leaves_the_same_numbers_in_an_ordinary_layer():
    torch.manual_seed(0)
    for module in (nn.Embedding(1100, 8), nn.Linear(8, 1100, bias=False)):
        plain = module.weight.detach().clone()
        smooth(module, IDS)
        learnt = module.weight.detach().clone()
        assert not torch.allclose(learnt[IDS], plain[IDS]) and torch.equal(learnt[:50], plain[:50])
        fold(module)
        assert torch.equal(module.weight, learnt)
        assert [name for name, _ in module.named_parameters()] == ["weight"]


def test_neighbouring_numbers_get_neighbouring_rows():
    module = nn.Embedding(1100, 8)
    nn.init.zeros_(module.weight)
    smooth(module, IDS)
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
