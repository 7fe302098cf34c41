from __future__ import annotations

from pathlib import Path

import pytest

from bench import parity
from bench.record import NotRun
from dsvl2_app.settings import Settings

ON_CPU = Settings(device="cpu", compile="off")


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["small"])
def test_answers_are_counted_that_are_the_same(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "CASES", ("a_text", "c_tall_ref"))
    assert parity.measure(ON_CPU, variant) == {"answers": 2, "as_cpu": 2, "as_official": 2, "together": 2}


@pytest.mark.slow
def test_one_other_token_is_another_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "CASES", ("a_text",))
    right = parity.read_answer("tiny", "a_text")
    monkeypatch.setattr(parity, "read_answer", lambda *_: [*right[:-1], right[-1] + 1])
    assert parity.measure(ON_CPU, "tiny") == {"answers": 1, "as_cpu": 1, "as_official": 0, "together": 0}
    answers = iter([[right], [right[:-1]]])
    monkeypatch.setattr(parity, "write_answers", lambda *_: next(answers))
    assert parity.measure(ON_CPU, "tiny")["as_cpu"] == 0


def test_an_installed_package_has_no_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "FOLDER", tmp_path / "tests")
    with pytest.raises(NotRun, match="beside the tests"):
        parity.measure(ON_CPU, "tiny")
