"""Positions, padding and chunks in the stack of layers."""

from __future__ import annotations

import torch

from dsvl2_app import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.decoder import count_positions

CPU = torch.device("cpu")


def test_positions_count_no_padding() -> None:
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    assert count_positions(mask, 2, 0, 5, CPU).tolist() == [[1, 1, 0, 1, 2], [0, 1, 2, 3, 4]]
    assert count_positions(mask.bool(), 2, 3, 2, CPU).tolist() == [[1, 2], [3, 4]]
    assert count_positions(None, 2, 3, 2, CPU).tolist() == [[3, 4], [3, 4]]


@torch.no_grad()
def test_padding_and_chunks_change_nothing(model: DeepseekVL2ForConditionalGeneration) -> None:
    """Rows of 12, 5 and 1 tokens: together in chunks, and each alone at once."""
    width = model.config.language_config.hidden_size
    embeds = torch.randn(3, 12, width, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(12) >= torch.tensor([[0], [7], [11]])
    for size in (1, 5, 12):
        cache = KVCache(model.config.language_config, 12)
        chunks = [
            model.decoder(embeds[:, start : start + size], mask[:, : start + size], cache=cache)
            for start in range(0, 12, size)
        ]
        hidden = torch.cat(chunks, dim=1)
        assert hidden.isfinite().all()
        for row, length in enumerate((12, 5, 1)):
            alone = model.decoder(embeds[row : row + 1, 12 - length :])
            torch.testing.assert_close(hidden[row, 12 - length :], alone[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_positions_can_be_given(model: DeepseekVL2ForConditionalGeneration) -> None:
    """Only distances matter, so all positions may be moved along."""
    embeds = torch.randn(1, 6, model.config.language_config.hidden_size, generator=torch.Generator().manual_seed(0))
    hidden = model.decoder(embeds)
    moved = model.decoder(embeds, positions=torch.arange(1000, 1006)[None])
    torch.testing.assert_close(moved, hidden, atol=1e-3, rtol=1e-3)
    spread = model.decoder(embeds, positions=torch.arange(0, 60, 10)[None])
    assert (spread - hidden).abs().max() > 1e-2
