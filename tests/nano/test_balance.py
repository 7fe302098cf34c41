from __future__ import annotations

import torch
from accelerate import Accelerator

from dsvl2_app import DeepseekVL2Config
from dsvl2_app.model.experts import MixtureOfExperts
from nano.balance import RouterBalance


def test_loads_grow_equal_and_weights_rest():
    torch.manual_seed(0)
    config = DeepseekVL2Config.preset("nano").language_config
    mixture = MixtureOfExperts(config)
    for parameter in mixture.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    mixture.router.weight.data[0] += 0.3  # an expert that nearly all tokens want
    mixture.router.bias.data.zero_()
    before = mixture.router.weight.detach().clone()
    balance = RouterBalance(mixture, rate=0.02)
    accelerator = Accelerator(cpu=True)
    tokens = torch.randn(512, config.hidden_size) + 0.5
    busiest = []
    for _ in range(40):
        mixture(tokens)
        busiest.append(float(balance.step(accelerator)))
    assert busiest[0] > 2 and busiest[-1] < 1.5
    assert torch.equal(mixture.router.weight, before) and mixture.router.bias[0] < 0
