"""What was worked out lately, bounded in bytes: the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    def __init__(self, limit: int) -> None:
        """`limit` bytes; what is larger by itself is not kept."""
        self.limit = limit
        self.nbytes = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, which is then the most recent one."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key][0]

    def put(self, key: K, value: V, nbytes: int) -> None:
        self.remove(key)
        if nbytes > self.limit:
            return
        self._entries[key] = value, nbytes
        self.nbytes += nbytes
        while self.nbytes > self.limit:
            self.remove(next(iter(self._entries)))

    def remove(self, key: K) -> None:
        _, nbytes = self._entries.pop(key, (None, 0))
        self.nbytes -= nbytes

    def __iter__(self) -> Iterator[K]:
        """Keys, the least recent first; a copy, so that the loop may remove."""
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)
