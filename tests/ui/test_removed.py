"""What was taken away, and what of it comes back."""

from __future__ import annotations

from pathlib import Path

from dsvl2_app.ui.removed import MOST_REMOVED, RemovedPictures
from dsvl2_app.ui.storage import held_files


def test_what_was_taken_away_last_comes_back_first():
    removed = RemovedPictures()
    for shown in (["a", "b", "c"], ["a", "c"], ["a", "c"], []):
        removed.follow(shown)
    assert removed.gone == ["a", "c"]
    assert removed.bring_back() == ("a", "c")
    assert removed.gone == ["b"]
    assert removed.bring_back() == ("a", "b", "c")
    assert removed.gone == []
    assert removed.bring_back() == ("a", "b", "c")


def test_one_of_two_alike_comes_back():
    removed = RemovedPictures(("a", "a"))
    removed.follow(["a"])
    assert removed.gone == ["a"]


def test_nothing_comes_back_once_there_is_another():
    removed = RemovedPictures(("a", "b"))
    removed.follow(["b"])
    removed.follow(["b", "c"])
    assert removed.gone == []
    removed.replace(["b"])
    assert removed.gone == []


def test_files_of_what_may_come_back_stay_and_it_is_not_endless():
    removed = RemovedPictures(tuple(map(str, range(9))))
    for number in range(8, 0, -1):
        removed.follow(removed.shown[:number])
    assert len(removed.before) == MOST_REMOVED
    assert removed.files == {Path(str(number)) for number in range(6)}
    assert removed.files <= held_files()
