"""Whose turn it is: who waits, who runs, and who of those that run gets the next piece of the model's time.

Bookkeeping without threads, clocks or a model. `backend.local` asks it at every round, and holds a lock where several
threads ask.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from dsvl2_app.errors import BusyError


class Owned(Protocol):
    """What is scheduled: an answer that belongs to somebody, or with an empty name to nobody in particular."""

    @property
    def owner(self) -> str: ...


T = TypeVar("T", bound=Owned)


class Scheduler(Generic[T]):
    """Owners are treated alike: an owner with fewer running answers goes first, and no owner with a name has more than
    `max_per_owner` running or as many waiting."""

    def __init__(self, max_running: int, max_waiting: int, max_per_owner: int) -> None:
        self.max_running, self.max_waiting, self.max_per_owner = max_running, max_waiting, max_per_owner
        self.waiting: deque[T] = deque()  # first come, first
        self.running: deque[T] = deque()  # the one that began first, first
        self._shortest_next = True

    def enqueue(self, item: T) -> None:
        """Let it wait. Raises BusyError when too many do, of all or of its owner."""
        if len(self.waiting) >= self.max_waiting:
            raise BusyError("{number} requests are already waiting; try again in a moment.", number=len(self.waiting))
        if count_owned(self.waiting, item.owner) >= self.max_per_owner:
            raise BusyError(
                "{number} of your requests are already waiting; let one of them end first.",
                number=self.max_per_owner,
            )
        self.waiting.append(item)

    def admit(self) -> list[T]:
        """Those that begin to run now, while there is room."""
        admitted: list[T] = []
        while (item := self.choose()) is not None:
            self.waiting.remove(item)
            self.running.append(item)
            admitted.append(item)
        return admitted

    def choose(self) -> T | None:
        """The one that would begin next, if one can: of several with equally few running answers the first."""
        if len(self.running) >= self.max_running:
            return None
        running = {id(item): count_owned(self.running, item.owner) for item in self.waiting}
        may = [item for item in self.waiting if running[id(item)] < self.max_per_owner]
        return min(may, key=lambda item: running[id(item)], default=None)

    def take_turn(self, can_work: Callable[[T], bool], remaining: Callable[[T], int]) -> T | None:
        """Of those running that can work, by turns the one with least `remaining` work and the one that began first.

        The first kind lets a short question wait for one piece of a long one, not for its end; the second gives the
        oldest half of all turns, however many short ones come. Were everybody's turn as long, many of equal length
        would all end late.
        """
        able = [*filter(can_work, self.running)]
        if not able:
            return None
        shortest, self._shortest_next = self._shortest_next, not self._shortest_next
        return min(able, key=remaining) if shortest else able[0]

    def take_out(self, has_left: Callable[[T], bool] = lambda item: True) -> list[T]:
        """Those waiting that have left, by default all; they wait no more, and others move up."""
        left = list(filter(has_left, self.waiting))
        for item in left:
            self.waiting.remove(item)
        return left

    def end(self, item: T) -> None:
        """It runs no more."""
        self.running.remove(item)


def count_owned(items: Iterable[Owned], owner: str) -> int:
    """Those without a name belong to as many owners."""
    return sum(item.owner == owner for item in items) if owner else 0
