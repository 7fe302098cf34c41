"""The kernels compile for a GPU, whether or not there is one; what they compute is in test_step."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "rows", "quantize"), [("tiny", 1, "none"), ("tiny", 8, "int8"), ("base", 1, "int8"), ("base", 8, "none")]
)
def test_kernels_compile(preset: str, rows: int, quantize: str) -> None:
    compile_kernels = str(Path(__file__).with_name("compile_kernels.py"))
    environment = {**os.environ, "TRITON_INTERPRET": "0", "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, compile_kernels, preset, str(rows), quantize], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
