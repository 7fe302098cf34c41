"""Both attentions against plain arithmetic, and their two speeds against each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsvl2_app.model.attention import MultiHeadAttention, MultiHeadLatentAttention, RMSNorm, visible
from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.operations import PLAIN
from dsvl2_app.model.rotary import rotary_angles
from dsvl2_app.model.sections import DecoderConfig

LATENT = dict(
    hidden_size=32,
    num_attention_heads=4,
    num_hidden_layers=1,
    kv_lora_rank=12,
    qk_nope_head_dim=8,
    qk_rope_head_dim=4,
    v_head_dim=6,
)
BATCH, LENGTH = 3, 9


def fill(module: nn.Module, seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.requires_grad_(False).parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return module


def padded_mask() -> Tensor:
    """Rows with 0, 3 and 6 padded tokens on the left."""
    return torch.arange(LENGTH) >= torch.tensor([[0], [3], [6]])


def plain_attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    scores = queries @ keys.mT * scale
    if mask is None:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ values


@pytest.mark.parametrize("q_lora_rank", [None, 10])
@pytest.mark.parametrize("padded", [False, True])
def test_absorbed_decode_equals_expanded_prefill(q_lora_rank: int | None, padded: bool) -> None:
    config = DecoderConfig(**LATENT, q_lora_rank=q_lora_rank)
    layer = fill(MultiHeadLatentAttention(config, 0))
    hidden = torch.randn(BATCH, LENGTH, 32, generator=torch.Generator().manual_seed(1))
    rotary = rotary_angles(torch.arange(LENGTH).expand(BATCH, -1), 4, 10000.0)
    q_nope, q_rope, latent, rope_key = layer.project(hidden, rotary)
    q_nope, q_rope = q_nope[:, :, -1:], q_rope[:, :, -1:]
    mask = visible(padded_mask(), 1, LENGTH, hidden.device) if padded else None
    arguments = (q_nope, q_rope, latent, rope_key, mask)
    expanded, absorbed = layer.prefill(*arguments), layer.decode(*arguments)
    assert expanded.shape == (BATCH, 4, 1, 6)
    torch.testing.assert_close(absorbed, expanded, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("q_lora_rank", [None, 10])
def test_prefill_then_decode_equals_one_forward(q_lora_rank: int | None) -> None:
    config = DecoderConfig(**LATENT, q_lora_rank=q_lora_rank)
    layer = fill(MultiHeadLatentAttention(config, 0))
    hidden = torch.randn(1, LENGTH, 32, generator=torch.Generator().manual_seed(1))
    rotary = rotary_angles(torch.arange(LENGTH)[None], 4, 10000.0)
    whole = layer(hidden, rotary, None, None)
    cache, parts = KVCache(config, LENGTH), []
    for start, stop in ((0, 4), (4, 5), (5, 6), (6, 9)):
        part = type(rotary)(*(each[:, :, start:stop] for each in rotary))
        mask = visible(None, stop - start, stop, hidden.device)
        parts.append(layer(hidden[:, start:stop], part, mask, cache))
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)
    assert cache.nbytes == LENGTH * config.cache_width * 4


def test_grouped_heads_share_their_keys_and_values() -> None:
    """Two key heads for six query heads equal six key heads that repeat them in threes."""
    sizes = dict(hidden_size=24, num_attention_heads=6, use_mla=False)
    grouped = fill(MultiHeadAttention(DecoderConfig(**sizes, num_key_value_heads=2), 0))
    full = fill(MultiHeadAttention(DecoderConfig(**sizes, num_key_value_heads=6), 0))
    full.q_proj, full.o_proj = grouped.q_proj, grouped.o_proj
    for name in ("k_proj", "v_proj"):
        heads = getattr(grouped, name).weight.unflatten(0, (2, 4)).repeat_interleave(3, dim=0)
        getattr(full, name).weight.copy_(heads.flatten(0, 1))
    hidden = torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(1))
    rotary = rotary_angles(torch.arange(5).expand(2, -1), 4, 10000.0)
    torch.testing.assert_close(grouped(hidden, rotary, None, None), full(hidden, rotary, None, None))


def test_key_heads_left_open_are_as_many_as_query_heads() -> None:
    """As the official configuration reads `num_key_value_heads: null`."""
    config = DecoderConfig(hidden_size=24, num_attention_heads=6, num_key_value_heads=None, use_mla=False)
    assert MultiHeadAttention(config, 0).k_proj.out_features == 24
    assert config.cache_width == 48


@pytest.mark.parametrize("value_width", [4, 8, 12])
@pytest.mark.parametrize("queries", [1, 3, 7])
@pytest.mark.parametrize("padded", [False, True])
def test_attend_is_softmax_attention(value_width: int, queries: int, padded: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(2, 4, length, 8, generator=generator) for length in (queries, 7))
    value = torch.randn(2, 4, 7, value_width, generator=generator)
    tokens = torch.arange(7) >= torch.tensor([[0], [3]]) if padded else None
    mask = visible(tokens, queries, 7, query.device)
    found = PLAIN.attend(query, key, value, mask, 0.5)
    everything = torch.ones(queries, 7, dtype=torch.bool).tril(7 - queries)
    expected = plain_attention(query, key, value, everything if mask is None else mask, 0.5)
    assert found.shape == (2, 4, queries, value_width)
    torch.testing.assert_close(found, expected)


def test_visible_is_causal_and_skips_padding() -> None:
    device = torch.device("cpu")
    mask = torch.tensor([[False, False, True, True]])
    whole = visible(mask, 4, 4, device)
    assert whole is not None
    # a padded query sees itself alone, so that its row of the softmax is no NaN
    assert whole[0, 0].int().tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]
    last = visible(mask, 2, 4, device)
    assert last is not None and torch.equal(last, whole[:, :, 2:])


@pytest.mark.parametrize("mask", [None, torch.ones(2, 6, dtype=torch.bool), torch.ones(2, 6, dtype=torch.long)])
def test_visible_needs_no_mask_where_attention_is_plainly_causal(mask: Tensor | None) -> None:
    device = torch.device("cpu")
    assert visible(mask, 6, 6, device) is None
    assert visible(mask, 2, 6, device) is visible(mask, 1, 6, device) is None


def test_masks_of_four_dimensions_are_taken_as_they_are() -> None:
    mask = torch.rand(1, 1, 2, 3) > 0.5
    assert visible(mask, 2, 3, torch.device("cpu")) is mask


def test_padded_rows_hold_no_nan() -> None:
    config = DecoderConfig(**LATENT, q_lora_rank=None)
    hidden = torch.randn(BATCH, LENGTH, 32)
    rotary = rotary_angles(torch.arange(LENGTH).expand(BATCH, -1), 4, 10000.0)
    mask = visible(padded_mask(), LENGTH, LENGTH, hidden.device)
    plain = DecoderConfig(hidden_size=32, num_attention_heads=8, num_key_value_heads=8, use_mla=False)
    for layer in (MultiHeadLatentAttention(config, 0), MultiHeadAttention(plain, 0)):
        assert fill(layer)(hidden, rotary, mask, None).isfinite().all()


def test_rms_norm_computes_in_float32() -> None:
    """Squares of 300 overflow float16, and bfloat16 would round the mean."""
    norm = RMSNorm(64, eps=1e-6).requires_grad_(False)
    hidden = torch.randn(4, 64, generator=torch.Generator().manual_seed(0)) * 300
    expected = F.rms_norm(hidden, (64,), eps=1e-6)
    torch.testing.assert_close(norm(hidden), expected)
    for dtype in (torch.float16, torch.bfloat16):
        narrow = norm.to(dtype)(hidden.to(dtype))
        assert narrow.dtype == dtype
        exact = F.rms_norm(hidden.to(dtype).float(), (64,), eps=1e-6)
        assert torch.equal(narrow, exact.to(dtype))
