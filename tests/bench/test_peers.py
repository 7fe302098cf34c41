from __future__ import annotations

import pytest
import torch

from bench import decode, peers, roofs
from bench.roofs import RoofMeter
from dsvl2_app.model.configuration import DeepseekVL2Config

CPU = torch.device("cpu")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> DeepseekVL2Config:
    """The small model's shape in all but its widths."""
    config = DeepseekVL2Config.preset("small")
    widths = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "moe_intermediate_size": 32,
        "num_attention_heads": 4,
        "kv_lora_rank": 32,
        "qk_nope_head_dim": 16,
        "qk_rope_head_dim": 8,
        "v_head_dim": 16,
        "num_hidden_layers": 2,
        "vocab_size": 300,
    }
    for name, width in widths.items():
        setattr(config.language_config, name, width)
    monkeypatch.setattr(DeepseekVL2Config, "preset", classmethod(lambda *_: config))
    monkeypatch.setattr(peers, "CONTEXT", 30)
    return config


def test_their_generate_writes_as_many_tokens_as_asked(
    narrow: DeepseekVL2Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "REPEATS", 1)
    lengths: list[int] = []
    build = peers.build_theirs

    def build_counted(*arguments: object) -> object:
        model = build(*arguments)
        generate = model.generate

        def counted(*inputs: object, **options: object) -> object:
            found = generate(*inputs, **options)
            lengths.append(found.shape[1] - 30)
            return found

        monkeypatch.setattr(model, "generate", counted)
        return model

    monkeypatch.setattr(peers, "build_theirs", build_counted)
    meter = RoofMeter(CPU)
    monkeypatch.setattr(meter, "time", lambda run: (run(), float(lengths[-1]))[1])  # a second per token
    found = peers.generate(CPU, meter)
    assert lengths == [2, 1, 33]
    assert found == {"first_token": 1.0, "seconds_per_token": 1.0, "tokens_per_second": 1.0}


def test_their_model_has_the_shape_of_ours(narrow: DeepseekVL2Config) -> None:
    ours = peers.build_ours(narrow.language_config, CPU)
    theirs = peers.build_theirs(narrow.language_config, CPU)
    assert theirs.dtype == torch.bfloat16
    sizes = [sum(parameter.numel() for parameter in model.parameters()) for model in (ours, theirs.model)]
    assert sizes[0] == sizes[1]


def test_layers_race_against_theirs(narrow: DeepseekVL2Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofs, "SIZES", roofs.Sizes(2**20, 64, 0.0))
    monkeypatch.setattr(peers, "PROMPT", 20)
    monkeypatch.setattr(decode, "STEPS", 2)
    found = peers.measure(CPU, RoofMeter(CPU))
    assert found["decode"].keys() == {"ours", "transformers", "no cache"}
    assert found["prefill"].keys() == {"ours", "transformers"}
    assert all(0 < seconds < 60 for what in ("decode", "prefill") for seconds in found[what].values())
