"""The C code on processors that this machine is not, under qemu's emulation of one process, where that is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dsvl2_app.runtime.cpu.library import FLAGS, SOURCES, find_compiler

PROGRAM = Path(__file__).with_name("check_kernels.c")
OPTIONS = (*(flag for flag in FLAGS if flag not in ("-march=native", "-shared", "-fPIC")), "-DEMULATE_TILES")
EMULATED = ("-O1", "-static")  # where the compiler takes longer than the program
ARM = "aarch64-linux-gnu-gcc"
PROCESSORS = {  # compiler, its flag, and who runs what it makes
    "this one": (None, "-march=native", ()),
    "avx2": ("gcc", "-march=haswell", ("qemu-x86_64", "-cpu", "Haswell")),
    "arm": (ARM, "-march=armv8-a", ("qemu-aarch64",)),
    "arm, bf16 and i8mm": (ARM, "-march=armv8.6-a", ("qemu-aarch64", "-cpu", "max")),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESSORS)
def test_kernels_are_right(name: str, tmp_path: Path) -> None:
    """Products in every number format, steps with multi-head and latent attention, and on emulated tiles a layer and
    attention, in double precision too."""
    named, flag, emulator = PROCESSORS[name]
    compiler = find_compiler() if named is None else [named]
    for needed in (compiler[0] if compiler else "cc", *emulator[:1]):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    program = tmp_path / "check"
    options = (*OPTIONS, *(EMULATED if emulator else ()), flag, f"-I{SOURCES}")
    command = [*compiler, *options, "-o", str(program), str(PROGRAM), "-lm"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    done = subprocess.run([*emulator, str(program)], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "0 wrong\n")
