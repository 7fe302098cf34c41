"""The script for two GPUs on two devices that are the same CPU, and what becomes of it where a part fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import training, two_gpus

SMALL = ["--devices", "cpu", "cpu", "--chats", "4", "--tokens", "6", "--minutes", "4"]
SMALL += ["--steps", "6", "--rows", "1", "--workers", "0"]


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
def test_all_parts_on_one_processor_and_one_that_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found.json"
    found = two_gpus.main(
        [*SMALL, "--models", "nano", "--variants", "tiny", "--copies", "nano", "missing", "--out", str(out)]
    )
    printed = capfd.readouterr().out
    assert json.loads(printed.splitlines()[-1]) == found
    assert found["failed"] == [f"copies missing {step}" for step in ("one", "one_all_at_once", "two", "ratios")]
    assert "missing is no folder here" in found["copies missing"]["two"]["failed"]
    assert json.loads(out.read_text())["parity"] == found["parity"]
    assert found["parity"]["tiny"] == {"answers": 5, "as_official": 5, "together": 5}

    spread = found["spread nano"]
    assert spread["alike"] == {name: "4 of 4" for name in spread["alike"]} and len(spread["alike"]) == 3
    for placement in ("one", "auto", "by_hand"):
        assert spread[placement]["1"]["tokens_per_second"] > 0 and spread[placement]["8"]["planned"][0] > 23e6

    copies = found["copies nano"]
    assert copies["ratios"]["two_over_one"] == pytest.approx(
        copies["two"]["tokens_per_second"] / copies["one"]["tokens_per_second"], rel=0.01
    )

    train = found["train"]
    assert train["two"]["entries"] == train["one"]["entries"] == 6
    curves = train["ratios"]["curves"]
    assert curves["same_samples"] and curves["apart"] < 1e-3  # two processes learn what one does with both's batches
