"""One visitor's question of the Inside view, and what was seen in its answer; how much of it all is kept."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path

from dsvl2_app.image.reference import ImageRef
from dsvl2_app.inspection import Inspection
from dsvl2_app.request import Request


@dataclass(eq=False)
class Look:
    """One visitor's last question here, its answer, and what was seen inside."""

    request: Request | None = None
    images: list[ImageRef] = field(default_factory=list)
    places: int = 0  # tokens of these images
    answer: list[int] = field(default_factory=list)  # token ids
    seen: Inspection | None = None
    branch: list[int] = field(default_factory=list[int])  # token ids of the answer that went on from another word
    kept: Inspection | None = None  # what the next one is compared with
    token: int = 0  # chosen one of the answer
    head: int | None = None  # chosen one of the attention; None: all of them

    @property
    def files(self) -> set[Path]:
        return {image.path for image in self.images}


class Kept:
    """What was seen inside, of all visitors: up to `limit` bytes of it are kept, the oldest goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._looks: list[weakref.ref[Look]] = []  # the oldest first
        self._lock = threading.Lock()

    def keep(self, look: Look, seen: Inspection) -> None:
        with self._lock:
            look.seen = seen
            held = [
                each for ref in self._looks if (each := ref()) is not None and count_bytes(each) and each is not look
            ]
            held.append(look)
            while len(held) > 1 and sum(map(count_bytes, held)) > self._limit:
                oldest = held.pop(0)
                oldest.seen = oldest.kept = None
            self._looks = [weakref.ref(each) for each in held]


def count_bytes(look: Look) -> int:
    return sum(seen.nbytes for seen in (look.seen, look.kept) if seen)
