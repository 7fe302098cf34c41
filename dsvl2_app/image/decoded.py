"""Pixels of large pictures that were decoded seconds ago: a question shows its picture small, then the model sees it.

They go by themselves, and there are never more than `MOST`, so that a server's memory stays with those who decode.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from time import monotonic

from PIL import Image

from dsvl2_app.image.pixels import LARGE

LONGEST = 20.0  # seconds: another picture of the same question may be decoded in between
MOST = 40_000_000  # px of all together, each of which takes 4 bytes

Key = tuple[bytes, tuple[int, int]]  # hash of the file and frame; size, which depends on limits


class Decoded:
    """Usable from several threads."""

    def __init__(self, longest: float = LONGEST, most: int = MOST) -> None:
        self.longest, self.most = longest, most
        self._pictures: OrderedDict[Key, tuple[Image.Image, float]] = OrderedDict()  # and until when; oldest first
        self.renew()

    def renew(self) -> None:
        """Needed in a forked process, which has no thread that would release the lock or sweep."""
        self._lock, self._sweeping = threading.Lock(), False

    def find(self, key: Key) -> Image.Image | None:
        """Nobody may draw on it."""
        with self._lock:
            return self._pictures.get(key, (None, 0.0))[0]

    def keep(self, key: Key, image: Image.Image) -> None:
        """For a while; in place of older ones, where there are too many. A small one is not kept."""
        if not LARGE < image.width * image.height <= self.most:
            return
        with self._lock:
            self._pictures.pop(key, None)
            self._pictures[key] = image, monotonic() + self.longest
            while sum(each.width * each.height for each, _ in self._pictures.values()) > self.most:
                self._pictures.popitem(last=False)
            self._sweep_later()

    def _sweep_later(self) -> None:
        if self._pictures and not self._sweeping:
            _, until = next(iter(self._pictures.values()))
            timer = threading.Timer(max(0.0, until - monotonic()), self._sweep)
            timer.daemon = self._sweeping = True
            timer.start()

    def _sweep(self) -> None:
        with self._lock:
            now = monotonic()
            for key in [key for key, (_, until) in self._pictures.items() if until <= now]:
                del self._pictures[key]
            self._sweeping = False
            self._sweep_later()


DECODED = Decoded()
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=DECODED.renew)
