"""Keys and values of earlier conversations, so that a follow-up question prefills its own turn only.

A conversation is known by one number per token: the token's id, or for a token of a picture a hash of the picture's
content, its tile grid and the place in it. An owner finds what the same owner left; without a name nothing is found. Of
anybody's conversation the shareable prefix is found: the pictures that no words come before. If words were found too,
the time to the first token would tell whether somebody else has asked the same; of pictures their features tell that.
"""

from __future__ import annotations

import hashlib

import numpy as np

from dsvl2_app.engine.recent import Recent
from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.sections import DecoderConfig
from dsvl2_app.text.tokens import Prompt

Key = np.ndarray  # [T] int64

SPARE = 4  # a cache has memory for a fourth more tokens than a prompt has, and for a fourth more when that is full


class PrefixCache:
    def __init__(self, config: DecoderConfig, limit: int) -> None:
        """`limit` in bytes of keys and values."""
        self._config = config
        self._recent: Recent[tuple[str, bytes], KVCache] = Recent(limit)

    def fork(self, owner: str, key: Key, capacity: int, shareable: int = 0) -> KVCache:
        """A cache for up to `capacity` tokens that holds the longest known prefix of `key`, short of its last token:
        that one is always prefilled, because its logits are wanted. Of others' conversations at most `shareable` tokens
        are taken.

        Nothing is copied where the owner goes on with a whole conversation: its cache is handed over, because what
        `store` is given will take its place. A part of one, or of somebody else's, is copied and stays for others.
        """
        best, known = None, 0
        for candidate in self._recent:
            limit = len(key) - 1 if owner and candidate[0] == owner else shareable
            shared = count_shared(np.frombuffer(candidate[1], np.int64), key[:limit])
            if shared > known:
                best, known = candidate, shared
        found = self._recent.get(best) if best else None
        if best is None or found is None:
            return KVCache(self._config, capacity, reserve=len(key) + len(key) // SPARE)
        if best[0] == owner and known * key.itemsize == len(best[1]):
            self._recent.remove(best)
            found.capacity = capacity
            return found
        return found.fork(capacity, known, reserve=len(key) + len(key) // SPARE)

    def store(self, owner: str, key: Key, cache: KVCache) -> None:
        """Keep `cache`, which holds a prefix of `key`, in place of what it extends. Nobody may write to it again. It is
        copied only where more than a part in `SPARE` of its memory is unused, because that counts too."""
        cache.truncate(min(len(key), *cache.lengths))  # a step that failed or was abandoned may have gone on in part
        key = key[: cache.get_seq_length()]
        for candidate in self._recent:
            before = np.frombuffer(candidate[1], np.int64)
            if candidate[0] == owner and count_shared(before, key) == len(before):
                self._recent.remove(candidate)
        if owner and len(key):
            if cache.reserved - len(key) > len(key) // SPARE + 1:
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


def identify(prompt: Prompt) -> Key:
    """The prompt's key."""
    key = np.array(prompt.input_ids, np.int64)
    for start, layout, image in zip(prompt.starts, prompt.layouts, prompt.images, strict=True):
        seed = hashlib.blake2b(image.content_hash + repr(layout.grid).encode(), digest_size=7).digest()
        numbers = int.from_bytes(seed, "big") + np.arange(layout.num_tokens)
        key[start : start + layout.num_tokens] = -1 - numbers  # below every id
    return key
