"""The fuzz targets for a second each; by hand they run for minutes, as their module says."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.hostile import fuzz

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_mutated_boxes_are_read() -> None:
    outcomes = fuzz.run(*fuzz.TARGETS["boxes"], 3000)
    assert outcomes.total() == 3000 and min(outcomes["boxes"], outcomes["none"]) > 500


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_mutated_pictures_are_shown_or_refused() -> None:
    outcomes = fuzz.run(*fuzz.TARGETS["pictures"], 1000)
    assert outcomes.total() == 1000 and min(outcomes["shown"], outcomes["refused"]) > 100


def test_what_fails_is_told_by_its_number() -> None:
    def fail(number: int) -> str:
        return str(1 // (number - 7))

    with pytest.raises(AssertionError, match="input 7: ZeroDivisionError"):
        fuzz.run(lambda number: number, fail, 20)
    assert fuzz.mutate(3) == fuzz.mutate(3) != fuzz.mutate(4)


@pytest.mark.slow
@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_guided_by_coverage(target: str) -> None:
    if find_spec("atheris") is None:
        pytest.skip("atheris is not installed; it has wheels for Linux alone")
    command = [sys.executable, "-m", "tests.hostile.fuzz", target, "--atheris", "-runs=300", "-max_total_time=20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0 and "Done 300 runs" in done.stderr, done.stderr[-2000:]
