"""Keys and values of earlier conversations, so that a follow-up question prefills its own turn only.

A conversation is known by one number per token: the token's id, or for a token of a picture a hash of the picture's
pixels, its tile grid and the place in it. Whoever asks finds what the same owner left, without a name nothing; and of
anybody's conversation its opening, the pictures that no words come before, which tells no more than their features do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from dsvl2_app.engine.recent import Recent
from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.configuration import DecoderConfig
from dsvl2_app.text.tokens import Prompt

Key = np.ndarray  # [T] int64


class PrefixCache:
    def __init__(self, config: DecoderConfig, limit: int) -> None:
        """`limit` in bytes of keys and values."""
        self._config = config
        self._recent: Recent[tuple[str, bytes], KVCache] = Recent(limit)

    def fork(self, owner: str, key: Key, capacity: int, opening: int = 0) -> KVCache:
        """A cache with room for `capacity` tokens that holds the longest known beginning of `key`, short of its last
        token: that one is always prefilled, because its logits are wanted. Of others' conversations at most `opening`
        tokens are taken."""
        best, known = None, 0
        for candidate in self._recent:
            limit = len(key) - 1 if owner and candidate[0] == owner else opening
            shared = count_shared(np.frombuffer(candidate[1], np.int64), key[:limit])
            if shared > known:
                best, known = candidate, shared
        found = self._recent.get(best) if best else None
        return found.fork(capacity, known) if found else KVCache(self._config, capacity)

    def store(self, owner: str, key: Key, cache: KVCache) -> None:
        """Keep `cache`, which holds a beginning of `key`, in place of what it extends. Nobody may write to it again."""
        cache.truncate(min(len(key), *cache.lengths))  # a step that failed or was abandoned may have gone on in part
        key = key[: cache.get_seq_length()]
        for candidate in self._recent:
            before = np.frombuffer(candidate[1], np.int64)
            if candidate[0] == owner and count_shared(before, key) == len(before):
                self._recent.remove(candidate)
        if owner and len(key):
            if cache.capacity > len(key):  # room that was reserved for more is memory, too
                cache.move(cache.fork(len(key)))
            self._recent.put((owner, key.tobytes()), cache, cache.nbytes)

    @property
    def nbytes(self) -> int:
        return self._recent.nbytes


def count_shared(first: Key, second: Key) -> int:
    """Length of the common beginning."""
    length = min(len(first), len(second))
    different = first[:length] != second[:length]
    return int(different.argmax()) if different.any() else length


def identify(prompt: Prompt, digests: Sequence[bytes]) -> Key:
    """The prompt's key; `digests` are those of its images' pixels."""
    key = np.array(prompt.input_ids, np.int64)
    for start, layout, digest in zip(prompt.starts, prompt.layouts, digests, strict=True):
        seed = hashlib.blake2b(digest + repr(layout.grid).encode(), digest_size=7).digest()
        numbers = int.from_bytes(seed, "big") + np.arange(layout.num_tokens)
        key[start : start + layout.num_tokens] = -1 - numbers  # below every id
    return key
