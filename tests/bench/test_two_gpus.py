"""The script for two GPUs on two devices that are the same CPU, and what becomes of it where a part fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import copies, spread, training, two_gpus

STEPS = 4  # of training
SMALL = ["--devices", "cpu", "cpu", "--chats", "4", "--tokens", "6", "--minutes", "4"]
SMALL += ["--steps", str(STEPS), "--rows", "1", "--workers", "0"]


def test_rates_leave_out_the_beginning_of_each_stage() -> None:
    log = [{"stage": "a", "samples": 10 * n, "seconds": 5 if n < 4 else 1 + n} for n in range(6)]
    log += [{"stage": "b", "samples": 100 + 10 * n, "seconds": 50 + n} for n in range(2)]
    assert training.rate(log) == (20 + 10) / (1 + 1)


def test_a_curve_is_compared_step_by_step() -> None:
    log = [{"steps": n, "samples": n, "values": {"loss": float(n)}} for n in range(4)]
    other = [{"steps": n, "samples": n, "values": {"loss": n + 0.5}} for n in range(3)]
    found = training.compare_curves(log, other)
    assert (found["apart"], found["moves"], found["same_samples"]) == (0.5, 1, True)
    assert len(found["losses"]) == 3


@pytest.mark.slow
def test_a_model_is_spread_and_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "CHATS", (1, 2))
    monkeypatch.setattr(spread, "COMPARED", 2)
    monkeypatch.setattr(copies, "RUNS", 1)
    found = two_gpus.main([*SMALL, "--variants", "tiny", "--part", "parity"])
    assert (found["tiny"], found["failed"]) == ({"answers": 5, "as_official": 5, "together": 5}, [])

    found = two_gpus.main([*SMALL, "--part", "spread nano"])
    assert found["failed"] == []
    assert found["alike"] == {name: "2 of 2" for name in found["alike"]} and len(found["alike"]) == 3
    for placement in ("one", "auto", "by_hand"):
        assert found[placement]["1"]["tokens_per_second"] > 0 and found[placement]["2"]["planned"][0] > 23e6

    found = two_gpus.main([*SMALL, "--part", "copies nano"])
    assert found["failed"] == []
    ratio = found["two"]["tokens_per_second"] / found["one"]["tokens_per_second"]
    assert found["ratios"]["two_over_one"] == pytest.approx(ratio, rel=0.01)


@pytest.mark.slow
def test_two_processes_learn_what_one_does_and_a_part_that_fails_leaves_the_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    found = two_gpus.main([*SMALL, "--models", "--variants", "--copies", "missing", "--out", str(out)])
    printed = capfd.readouterr().out
    assert json.loads(printed.splitlines()[-1]) == found
    assert found["failed"] == [f"copies missing {step}" for step in ("one", "one_all_at_once", "two", "ratios")]
    assert "missing is no folder here" in found["copies missing"]["two"]["failed"]
    assert json.loads(out.read_text())["train"] == found["train"]
    train = found["train"]
    assert train["two"]["entries"] == train["one"]["entries"] == STEPS
    curves = train["ratios"]["curves"]
    assert curves["same_samples"] and curves["apart"] < 1e-3  # with both's batches
