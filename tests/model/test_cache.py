"""Truncating and forking a cache."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dsvl2_app import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.cache import KVCache

CAPACITY = 32


def run(model: DeepseekVL2ForConditionalGeneration, ids: Tensor, cache: KVCache) -> Tensor:
    with torch.no_grad():
        return model(input_ids=ids, past_key_values=cache).logits


@pytest.fixture
def ids() -> Tensor:
    return torch.randint(3, 580, (1, 20), generator=torch.Generator().manual_seed(3))


@pytest.fixture
def cache(model: DeepseekVL2ForConditionalGeneration) -> KVCache:
    return KVCache(model.config.language_config, CAPACITY)


def fresh(model: DeepseekVL2ForConditionalGeneration, *parts: Tensor) -> Tensor:
    """Logits of the last part, computed without any history of the cache."""
    cache = KVCache(model.config.language_config, CAPACITY)
    for part in parts:
        logits = run(model, part, cache)
    return logits


def test_truncated_cache_continues_as_a_fresh_one(
    model: DeepseekVL2ForConditionalGeneration, cache: KVCache, ids: Tensor
) -> None:
    run(model, ids, cache)
    cache.truncate(8)
    assert cache.get_seq_length() == 8
    other = ids[:, 8:14] + 1
    torch.testing.assert_close(run(model, other, cache), fresh(model, ids[:, :8], other))
    cache.truncate(100)
    assert cache.get_seq_length() == 14
    cache.truncate(0)
    torch.testing.assert_close(run(model, ids, cache), fresh(model, ids))


def test_forks_are_independent(model: DeepseekVL2ForConditionalGeneration, cache: KVCache, ids: Tensor) -> None:
    run(model, ids[:, :10], cache)
    fork = cache.fork(16)
    assert fork.capacity == 16 and fork.get_seq_length() == 10
    other = ids[:, 10:15] + 1
    in_fork = run(model, other, fork)
    in_cache = run(model, ids[:, 10:15], cache)
    torch.testing.assert_close(in_fork, fresh(model, ids[:, :10], other))
    torch.testing.assert_close(in_cache, fresh(model, ids[:, :10], ids[:, 10:15]))
    ours = {buffer.data_ptr() for buffers in cache.buffers if buffers for buffer in buffers}
    assert not ours & {buffer.data_ptr() for buffers in fork.buffers if buffers for buffer in buffers}


def test_fork_of_an_empty_cache(model: DeepseekVL2ForConditionalGeneration, cache: KVCache, ids: Tensor) -> None:
    torch.testing.assert_close(run(model, ids, cache.fork(20)), fresh(model, ids))


def test_size_is_what_the_configuration_says(
    model: DeepseekVL2ForConditionalGeneration, cache: KVCache, ids: Tensor
) -> None:
    config = model.config.language_config
    assert cache.nbytes == 0
    run(model, ids, cache)
    assert cache.nbytes == CAPACITY * config.num_hidden_layers * config.cache_width * 4


def test_update_returns_views_of_all_tokens(model: DeepseekVL2ForConditionalGeneration) -> None:
    cache = KVCache(model.config.language_config, 5)
    first, second = torch.randn(1, 1, 2, 3), torch.randn(1, 1, 2, 4)
    cache.update(first, second, 0)
    keys, values = cache.update(first[..., :1, :], second[..., :1, :], 0)
    assert torch.equal(keys, torch.cat((first, first[..., :1, :]), dim=-2))
    assert torch.equal(values, torch.cat((second, second[..., :1, :]), dim=-2))
    assert keys.data_ptr() == cache.buffers[0][0].data_ptr()
    assert cache.get_seq_length(0) == 3 and cache.get_seq_length(1) == 0


def test_overflow_is_our_own_bug(cache: KVCache) -> None:
    with pytest.raises(AssertionError, match="cache of 32 tokens asked to hold 33"):
        cache.update(torch.zeros(1, 1, 33, 2), torch.zeros(1, 1, 33, 2), 0)
