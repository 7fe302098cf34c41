"""Which earlier conversation is built upon, how far, and whose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dsvl2_app.engine.prefixes import Key, PrefixCache, count_shared, identify
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.tiles import lay_out
from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.text.tokens import Prompt

CONFIG = DeepseekVL2Config.preset("nano").language_config
LAYERS = CONFIG.num_hidden_layers


def key(*numbers: int) -> Key:
    return np.array(numbers, np.int64)


def fill(cache: KVCache, numbers: Sequence[int]) -> KVCache:
    """Keys and values that show which token they belong to."""
    for layer in range(LAYERS):
        states = torch.tensor(numbers, dtype=torch.float32).view(1, 1, -1, 1)
        cache.update(states + layer / 10, -states, layer)
    return cache


def held(cache: KVCache) -> list[int]:
    buffers = cache.buffers[0]
    return [] if buffers is None else buffers[0][0, 0, : cache.get_seq_length(), 0].int().tolist()


@pytest.fixture
def prefixes() -> PrefixCache:
    prefixes = PrefixCache(CONFIG, 10**6)
    prefixes.store("ann", key(1, 2, 3, 4, 5), fill(KVCache(CONFIG, 8), [1, 2, 3, 4, 5]))
    return prefixes


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ((1, 2, 3, 4, 5, 6, 7), [1, 2, 3, 4, 5]),
        ((1, 2, 9, 4, 5), [1, 2]),
        ((1, 2, 3, 4, 5), [1, 2, 3, 4]),  # the last token's logits are wanted
        ((1, 2), [1]),
        ((1,), []),
        ((7, 2, 3), []),
    ],
)
def test_the_common_beginning_is_found(prefixes: PrefixCache, asked: tuple[int, ...], known: list[int]) -> None:
    cache = prefixes.fork("ann", key(*asked), 20)
    assert held(cache) == known and cache.capacity == 20


def test_only_the_owner_finds_it(prefixes: PrefixCache) -> None:
    assert held(prefixes.fork("bob", key(1, 2, 3, 4, 5, 6), 20)) == []
    prefixes.store("", key(7, 8, 9), fill(KVCache(CONFIG, 3), [7, 8, 9]))
    assert held(prefixes.fork("", key(7, 8, 9, 10), 20)) == []


def test_a_shareable_prefix_is_anybodys(prefixes: PrefixCache) -> None:
    assert held(prefixes.fork("bob", key(1, 2, 3, 4, 5, 6), 20, shareable=3)) == [1, 2, 3]
    assert held(prefixes.fork("", key(1, 2, 9, 4), 20, shareable=3)) == [1, 2]
    assert held(prefixes.fork("ann", key(1, 2, 3, 4, 5, 6), 20, shareable=3)) == [1, 2, 3, 4, 5]


def test_a_fork_leaves_the_original_alone(prefixes: PrefixCache) -> None:
    fill(prefixes.fork("ann", key(1, 2, 9), 20), [9])
    assert held(prefixes.fork("ann", key(1, 2, 3, 4, 5, 6), 20)) == [1, 2, 3, 4, 5]


def test_what_extends_a_conversation_takes_its_place(prefixes: PrefixCache) -> None:
    before = prefixes.nbytes
    prefixes.store("ann", key(1, 2, 3, 4, 5, 6), fill(prefixes.fork("ann", key(1, 2, 3, 4, 5, 6), 6), [6]))
    assert prefixes.nbytes == before * 6 // 5
    prefixes.store("ann", key(1, 2, 9), fill(KVCache(CONFIG, 3), [1, 2, 9]))  # another branch
    assert held(prefixes.fork("ann", key(1, 2, 3, 4, 5, 6, 7), 20)) == [1, 2, 3, 4, 5, 6]


def test_who_goes_on_with_a_whole_conversation_has_its_memory() -> None:
    """Nothing is copied while there is room, and what has become of it takes its place."""
    prefixes, cache, numbers = PrefixCache(CONFIG, 10**6), KVCache(CONFIG, 19), list(range(1, 20))
    prefixes.store("ann", key(*numbers[:16]), fill(cache, numbers[:16]))
    place = cache.buffers[0][0].data_ptr()
    again = prefixes.fork("ann", key(*numbers, 20), 30)
    assert again is cache and again.capacity == 30
    prefixes.store("ann", key(*numbers[:18]), fill(again, numbers[16:18]))
    assert again.buffers[0][0].data_ptr() == place and prefixes.nbytes == cache.nbytes
    assert held(prefixes.fork("ann", key(1, 2, 3, 99), 20)) == [1, 2, 3]  # a part of it is copied
    full = fill(prefixes.fork("ann", key(*numbers, 20), 30), [*numbers[18:], 20])
    assert full.buffers[0][0].data_ptr() != place and held(full) == [*numbers[:18], 19, 20]


def test_room_that_was_reserved_is_given_back() -> None:
    prefixes, cache = PrefixCache(CONFIG, 10**6), fill(KVCache(CONFIG, 100), [1, 2, 3])
    used = cache.used_bytes
    prefixes.store("ann", key(1, 2, 3), cache)
    assert prefixes.nbytes == cache.nbytes == used
    assert held(prefixes.fork("ann", key(1, 2, 3, 4), 8)) == [1, 2, 3]


def test_a_step_that_failed_halfway_is_cut_off() -> None:
    prefixes, cache = PrefixCache(CONFIG, 10**6), fill(KVCache(CONFIG, 8), [1, 2, 3])
    cache.update(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1), 0)
    prefixes.store("ann", key(1, 2, 3, 4), cache)
    assert held(prefixes.fork("ann", key(1, 2, 3, 4, 5), 8)) == [1, 2, 3]


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_count_shared(first: list[int], second: list[int]) -> None:
    shared = count_shared(key(*first), key(*second))
    assert first[:shared] == second[:shared]
    assert shared in (len(first), len(second)) or first[shared] != second[shared]


def test_pictures_differ_by_pixels_grid_and_place() -> None:
    def describe(colour: str, size: tuple[int, int], start: int, *, tiling: bool = True) -> Key:
        image = ImageRef.of(Image.new("RGB", size, colour))
        layout = lay_out(*size, tiling=tiling)
        prompt = Prompt([5] * start + [9] * layout.num_tokens + [6], [image], [layout], [start])
        return identify(prompt)

    red = describe("red", (60, 40), 2)
    assert (red[:2] == 5).all() and red[-1] == 6 and (red[2:-1] < 0).all()
    assert len(set(red[2:-1].tolist())) == len(red) - 3
    assert (describe("red", (60, 40), 2) == red).all()
    assert count_shared(describe("blue", (60, 40), 2), red) == 2
    wide = [describe("red", (900, 300), 0, tiling=tiling) for tiling in (True, False)]
    assert count_shared(*wide) == 0
