"""csrc/kernels.c: built for this processor, kept between starts, and called through ctypes.

Building takes a few seconds and a C compiler. Without one everything runs as well, only slower.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dsvl2_app.errors import SettingsError
from dsvl2_app.model.int4 import inputs_of

SOURCES = Path(__file__).with_name("csrc")
FLAGS = (
    *("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"),
    # of -ffast-math what lets sums be reordered; the rest would round tiny numbers to 0 in the whole process
    *("-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math", "-fno-math-errno"),
)
KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2, torch.uint8: 3}  # enum Kind of numbers.h

# One core reads less than this sooner than a second one joins in, the more so where others want that core too.
WAKING_BYTES = 2**22  # of one product, for which threads are woken
STAGE_BYTES = 2**20  # of a stage of `decode`, between which they stay awake

pointer, number, threads = ctypes.c_void_p, ctypes.c_long, ctypes.c_int


class Matrix(ctypes.Structure):
    """A weight [F, D] or a stack of them [E, F, D], and its scales; struct Matrix of numbers.h."""

    _fields_ = (
        *((name, pointer) for name in ("weights", "scales")),
        *((name, number) for name in ("stride", "outputs", "inputs", "kind")),
    )


ARGUMENTS = {
    # matrix, E, rows wide and in halves, experts, P, pairs per row, out
    "multiply_rows": (ctypes.POINTER(Matrix), number, *(pointer,) * 3, number, number, pointer, threads),
    # decoder, layers, B, embeds, positions, buffers, capacities, hidden
    "decode": (pointer, pointer, number, *(pointer,) * 5, threads),
    # queries, keys, values, batch, heads, groups, T, S, causal, scale, out
    "attend_queries": (*(pointer,) * 3, *(number,) * 6, ctypes.c_float, pointer, threads),
    # tokens, gate_up, down, E, out
    "run_experts": (pointer, *(ctypes.POINTER(Matrix),) * 2, number, pointer, threads),
    # rows, weight, bias, T, D, eps, out
    "normalise_rows": (*(pointer,) * 3, number, number, ctypes.c_float, pointer, threads),
    # heads, cosines, sines, batch, H, T, neighbours, out
    "rotate_heads": (*(pointer,) * 3, *(number,) * 3, threads, pointer, threads),
    # rows, T, matrix, bias, GELU, out
    "tile_linear": (pointer, number, ctypes.POINTER(Matrix), pointer, threads, pointer, threads),
}
ARGUMENTS |= {"tile_attend": ARGUMENTS["attend_queries"], "tile_experts": ARGUMENTS["run_experts"]}


class Library:
    """The functions of kernels.c, loaded. It has no state, so runners may share one.

    `has_tiles` says whether many tokens are multiplied on a matrix unit (tiles.h): where the processor has one and the
    kernel lets this process use it.
    """

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        self._functions = {name: getattr(library, name) for name in ARGUMENTS if hasattr(library, name)}
        for name, function in self._functions.items():
            function.restype, function.argtypes = None, ARGUMENTS[name]
        self.has_tiles = hasattr(library, "allow_tiles") and bool(library.allow_tiles())

    @classmethod
    def build(cls, flags: Sequence[str] = FLAGS) -> Library:
        """Compile kernels.c for this processor, unless that was done before, and load it.

        Raises SettingsError where there is no C compiler or it fails.
        """
        compiler = find_compiler()
        if not compiler:
            raise SettingsError("Compiled kernels need a C compiler; install gcc, or start with --compile off.")
        texts = [path.read_text() for path in sorted(SOURCES.glob("*.[ch]"))]
        identity = "\n".join((*texts, *flags, *compiler, platform.machine(), _processor()))
        try:
            with open_cache() as folder:
                target = folder / f"kernels-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.so"
                if not target.exists():
                    with tempfile.TemporaryDirectory(dir=folder) as scratch:
                        fresh = Path(scratch) / target.name
                        command = [*compiler, *flags, "-o", str(fresh), str(SOURCES / "kernels.c"), "-lm"]
                        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  # no user's words
                        fresh.replace(target)  # in one step, whoever else compiles at the same time
                return cls(target)
        except (OSError, subprocess.CalledProcessError) as error:
            lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines() or [str(error)]
            detail = next((line for line in lines if "error" in line), lines[0])
            raise SettingsError(
                f"The compiler {shlex.join(compiler)} could not build the kernels ({detail}); start with --compile off."
            ) from error

    @property
    def has_panels(self) -> bool:
        """Whether many tokens are multiplied in pairs of bfloat16 (panels.h): where the processor does that, and has no
        matrix unit or may not use it."""
        return self.has_pairs and not self.has_tiles

    @property
    def has_pairs(self) -> bool:
        """Whether this processor multiplies bfloat16 in pairs, for what a matrix unit does not take."""
        return "attend_queries" in self._functions

    def describe(self) -> str:
        """With which instructions many tokens are multiplied."""
        if self.has_tiles:
            return "on a matrix unit (AMX)"
        return "in pairs of bfloat16 (AVX512)" if self.has_pairs else "by torch"

    def call(self, name: str, *arguments: Any, threads: int | None = None) -> None:
        """A function of kernels.c, with so many threads, or all that torch has."""
        self._functions[name](*arguments, torch.get_num_threads() if threads is None else threads)


def describe(weight: Tensor, scale: Tensor | None = None) -> Matrix:
    outputs, inputs = weight.shape[-2], inputs_of(weight)
    return Matrix(
        weight.data_ptr(),
        None if scale is None else scale.data_ptr(),
        weight.stride(0) * inputs // weight.shape[-1],
        outputs,
        inputs,
        KINDS[weight.dtype],
    )


def choose_threads(nbytes: int, least: int) -> int:
    """How many threads read `nbytes` of weights: all, or below `least` one."""
    return torch.get_num_threads() if nbytes >= least else 1


def count_work(weight: Tensor) -> int:
    """Bytes of a weight for `choose_threads`; those of int4 count twice, because each is two numbers to multiply."""
    return weight.nbytes * (2 if weight.dtype == torch.uint8 else 1)


def find_compiler() -> list[str]:
    """As a command that begins with it; empty where there is none."""
    named = shlex.split(os.environ.get("CC", ""))
    return named or [path for path in map(shutil.which, ("cc", "gcc", "clang")) if path][:1]


@contextmanager
def open_cache() -> Iterator[Path]:
    """The folder where libraries are kept: the user's, or where the user has none that can be written to, one that is
    there until they are loaded."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dsvl2"
        folder.mkdir(parents=True, exist_ok=True)
        lasts = os.access(folder, os.W_OK)
    except (OSError, RuntimeError):  # the latter without a home
        lasts = False
    with nullcontext(folder) if lasts else tempfile.TemporaryDirectory(prefix="dsvl2-") as place:
        yield Path(place)


def _processor() -> str:
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
