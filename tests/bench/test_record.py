"""A suite's parts do not depend on each other."""

from __future__ import annotations

import json

import pytest

from bench.record import LONGEST_REASON, NotRun, Record, explain, shorten, write
from dsvl2_app.errors import SettingsError


def divide(above: float, below: float) -> float:
    return above / below


def lack() -> None:
    raise NotRun("no such device")


def test_a_part_that_fails_says_why_and_others_go_on() -> None:
    record = Record()
    assert record.take(("models", "tiny", "load"), divide, 1, 0) is None
    assert record.take(("models", "tiny", "decode"), divide, 1, 3) == 1 / 3
    assert record.take(("peers",), lack) is None
    found = record.finish()
    assert found["models"] == {"tiny": {"load": {"failed": "ZeroDivisionError: division by zero"}, "decode": 0.3333}}
    assert found["peers"] == {"not_run": "no such device"}
    assert (found["failed"], found["not_run"]) == (["models tiny load"], ["peers"])


def test_after_the_deadline_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    record, ran = Record(minutes=2), list[str]()
    for seconds in (0, 119, 121):
        monkeypatch.setattr(Record, "seconds", seconds)
        record.take((f"at {seconds}",), ran.append, f"at {seconds}")
    assert ran == ["at 0", "at 119"]
    assert record.found["at 121"] == {"not_run": "2 minutes were over"} and record.not_run == ["at 121"]


def test_reasons_are_one_short_line() -> None:
    assert explain(RuntimeError("out of memory\n at 0x1\n")) == "RuntimeError: out of memory"
    assert explain(SettingsError("--device cuda: there is none.")) == "--device cuda: there is none."
    assert len(explain(ValueError("x" * 1000))) == LONGEST_REASON + len("ValueError: ")


def test_numbers_are_short_everywhere() -> None:
    found = {"a": [1.23456789, 12345678], "b": ({"c": 4.8123456e12},), "d": None}
    assert shorten(found) == {"a": [1.235, 12345678], "b": [{"c": 4.812e12}], "d": None}
    assert " " not in write(found) and json.loads(write(found)) == shorten(found)
