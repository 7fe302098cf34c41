"""Whose turn it is, decided without threads: limits, fairness between owners, turns."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dsvl2_app.engine.scheduler import Scheduler, count_owned
from dsvl2_app.errors import BusyError


@dataclass(eq=False)
class Item:
    name: str
    owner: str = ""


def schedule(*names: str, max_running: int = 2, max_waiting: int = 9, max_per_owner: int = 9) -> Scheduler[Item]:
    """A scheduler with waiting items; the owner of "ann 1" is "ann", "a" has no owner."""
    scheduler: Scheduler[Item] = Scheduler(max_running, max_waiting, max_per_owner)
    for name in names:
        scheduler.enqueue(Item(name, name.split()[0] if " " in name else ""))
    return scheduler


def names(items: object) -> list[str]:
    return [item.name for item in items]  # type: ignore[attr-defined]


def test_first_come_first_served() -> None:
    scheduler = schedule(*"abcd")
    assert names(scheduler.admit()) == names(scheduler.running) == ["a", "b"]
    assert names(scheduler.waiting) == ["c", "d"] and scheduler.choose() is None
    scheduler.end(scheduler.running[0])
    assert names(scheduler.admit()) == ["c"]


def test_owners_with_fewer_running_answers_go_first() -> None:
    scheduler = schedule("ann 1", "ann 2", "bob 1", "c", max_running=4)
    assert names(scheduler.admit()) == ["ann 1", "bob 1", "c", "ann 2"]


def test_those_without_a_name_are_not_one_owner() -> None:
    """Else whoever has a name would go before all of them but one."""
    scheduler = schedule("a", "b", "ann 1", "c", max_running=3)
    assert names(scheduler.admit()) == ["a", "b", "ann 1"]


def test_no_owner_has_more_than_its_share_but_those_without_a_name() -> None:
    scheduler = schedule("ann 1", max_running=4, max_per_owner=1)
    scheduler.admit()
    scheduler.enqueue(Item("ann 2", "ann"))
    assert scheduler.choose() is None
    with pytest.raises(BusyError, match="1 of your requests are already waiting"):
        scheduler.enqueue(Item("ann 3", "ann"))
    for name in "bc":
        scheduler.enqueue(Item(name))
    assert names(scheduler.admit()) == ["b", "c"]


def test_a_full_queue_takes_no_more() -> None:
    scheduler = schedule(*"ab", max_waiting=2)
    with pytest.raises(BusyError, match="2 requests are already waiting"):
        scheduler.enqueue(Item("c"))
    scheduler.admit()
    scheduler.enqueue(Item("c"))


def test_turns_go_to_the_shortest_and_to_the_oldest_of_those_that_can_work() -> None:
    """They went round before, so that pictures which came together all had their first word when the last one had."""
    scheduler = schedule(*"abc", max_running=3)
    scheduler.admit()
    remaining = {"a": 9, "b": 1, "c": 5}
    taken = [scheduler.take_turn(lambda item: item.name != "b", lambda item: remaining[item.name]) for _ in range(4)]
    assert names(taken) == ["c", "a", "c", "a"]
    taken = [scheduler.take_turn(lambda item: True, lambda item: remaining[item.name]) for _ in range(2)]
    assert names(taken) == ["b", "a"]
    assert scheduler.take_turn(lambda item: False, lambda item: 0) is None


def test_of_equal_work_what_began_first_ends_first() -> None:
    """Three of four pieces: the mean end is the earliest there is, and the oldest waits for nobody who came later."""
    remaining, ends = dict.fromkeys("abc", 4), {}
    scheduler = schedule(*remaining, max_running=3)
    scheduler.admit()
    for turn in range(1, 13):
        item = scheduler.take_turn(lambda item: True, lambda item: remaining[item.name])
        assert item
        remaining[item.name] -= 1
        if not remaining[item.name]:
            scheduler.end(item)
            ends[item.name] = turn
    assert ends == {"a": 4, "b": 8, "c": 12}


def test_short_ones_that_never_end_to_come_starve_nobody() -> None:
    scheduler = schedule("long", *(f"s{number}" for number in range(50)), max_running=3, max_waiting=99)
    remaining = {item.name: 1 for item in scheduler.waiting} | {"long": 20}
    scheduler.admit()
    for _ in range(40):
        item = scheduler.take_turn(lambda item: True, lambda item: remaining[item.name])
        assert item
        remaining[item.name] -= 1
        if not remaining[item.name]:
            scheduler.end(item)
            scheduler.admit()
    assert not remaining["long"]


def test_those_that_leave_let_others_move_up() -> None:
    scheduler = schedule(*"abc", max_waiting=3)
    assert names(scheduler.take_out(lambda item: item.name in "ac")) == ["a", "c"]
    assert names(scheduler.waiting) == ["b"]


@given(some.lists(some.tuples(some.sampled_from(["", "ann", "bob"]), some.booleans()), max_size=40))
def test_limits_hold_and_nobody_is_lost_or_starved(arrivals: list[tuple[str, bool]]) -> None:
    """Whatever comes and ends, in whatever order."""
    scheduler: Scheduler[Item] = Scheduler(max_running=3, max_waiting=4, max_per_owner=2)
    arrived, ended = [], []
    for number, (owner, ends) in enumerate(arrivals):
        item = Item(str(number), owner)
        try:
            scheduler.enqueue(item)
            arrived.append(item)
        except BusyError:
            assert len(scheduler.waiting) == 4 or count_owned(scheduler.waiting, owner) == 2
        scheduler.admit()
        if ends and scheduler.running:
            ended.append(scheduler.running[0])
            scheduler.end(ended[-1])
            scheduler.admit()
        assert len(scheduler.running) <= 3 and len(scheduler.waiting) <= 4
        assert all(count_owned(scheduler.running, name) <= 2 for name in ("ann", "bob"))
        assert len(scheduler.running) == 3 or not [item for item in scheduler.waiting if not item.owner]
    while scheduler.running:
        ended.append(scheduler.running[0])
        scheduler.end(ended[-1])
        scheduler.admit()
    assert sorted(names(ended)) == sorted(names(arrived)) and not scheduler.waiting
