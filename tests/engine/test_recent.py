"""The cache stays below its bytes, and drops the least recently used entry first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsvl2_app.engine.recent import Recent


def test_the_least_recently_used_goes_first() -> None:
    recent: Recent[str, int] = Recent(10)
    for number, key in enumerate("abc"):
        recent.put(key, number, 3)
    assert recent.get("a") == 0
    recent.put("d", 3, 3)
    assert [recent.get(key) for key in "abcd"] == [0, None, 2, 3]


def test_what_is_too_large_by_itself_is_not_kept() -> None:
    recent: Recent[str, int] = Recent(10)
    recent.put("small", 1, 4)
    recent.put("large", 2, 11)
    assert list(recent) == ["small"] and recent.nbytes == 4


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 12), st.booleans()), max_size=30))
def test_bytes_are_those_of_the_entries(actions: list[tuple[str, int, bool]]) -> None:
    recent: Recent[str, int] = Recent(20)
    for key, nbytes, put in actions:
        if put:
            recent.put(key, nbytes, nbytes)
        else:
            recent.remove(key)
        kept = [recent.get(key) for key in recent]
        assert recent.nbytes == sum(kept) <= 20 and len(recent) == len(kept)
