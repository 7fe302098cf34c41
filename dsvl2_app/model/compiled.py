"""cpu/kernels.c: built for this processor when asked to, kept between starts, and called through ctypes.

Building takes a few seconds and a C compiler. Without one nothing here is used and everything runs as well, only
slower; `kernels` chooses.
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
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dsvl2_app.errors import SettingsError

SOURCES = Path(__file__).with_name("cpu")
FLAGS = (
    *("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"),
    # of -ffast-math what lets sums be reordered; the rest would round tiny numbers to 0 in the whole process
    *("-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math", "-fno-math-errno"),
)
ROW_TYPES = (torch.float32, torch.bfloat16)
KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2}  # enum Kind of matrices.h

# One core reads less than this sooner than a second one joins in, the more so where others want that core too.
WAKING_BYTES = 2**22  # of one product, for which threads are woken
STAGE_BYTES = 2**20  # of a stage of `decode`, between which they stay awake

_fuses = False
_functions: dict[str, Any] = {}  # empty until built


def build() -> None:
    """Compile kernels.c for this processor unless that was done before, and use it from now on.

    Raises SettingsError where there is no C compiler or it fails.
    """
    compiler = find_compiler()
    if not compiler:
        raise SettingsError("Compiled kernels need a C compiler; install gcc, or start with --compile off.")
    texts = [path.read_text() for path in sorted(SOURCES.glob("*.[ch]"))]
    identity = "\n".join((*texts, *FLAGS, *compiler, platform.machine(), _processor()))
    try:
        with _open_cache() as folder:
            target = folder / f"kernels-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.so"
            if not target.exists():
                with tempfile.TemporaryDirectory(dir=folder) as scratch:
                    fresh = Path(scratch) / target.name
                    command = [*compiler, *FLAGS, "-o", str(fresh), str(SOURCES / "kernels.c"), "-lm"]
                    subprocess.run(command, check=True, capture_output=True, text=True)
                    fresh.replace(target)  # in one step, whoever else compiles at the same time
            _functions.update(_declare(ctypes.CDLL(str(target))))
    except (OSError, subprocess.CalledProcessError) as error:
        lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines() or [str(error)]
        detail = next((line for line in lines if "error" in line), lines[0])
        raise SettingsError(
            f"The compiler {shlex.join(compiler)} could not build the kernels ({detail}); start with --compile off."
        ) from error


def find_compiler() -> list[str]:
    """As a command that begins with it; empty where there is none."""
    named = shlex.split(os.environ.get("CC", ""))
    return named or [path for path in map(shutil.which, ("cc", "gcc", "clang")) if path][:1]


@contextmanager
def _open_cache() -> Iterator[Path]:
    """The user's, or where the user has none that can be written to, a folder that is there until they are loaded."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dsvl2"
        folder.mkdir(parents=True, exist_ok=True)
        lasts = os.access(folder, os.W_OK)
    except (OSError, RuntimeError):  # the latter without a home
        lasts = False
    with nullcontext(folder) if lasts else tempfile.TemporaryDirectory(prefix="dsvl2-") as place:
        yield Path(place)


def fuse_on_gpu() -> None:
    """From now on a GPU has kernels and graphs of its own, which are made when they are first needed."""
    global _fuses
    _fuses = True


def fuses() -> bool:
    return _fuses


def remove() -> None:
    """Back to plain torch."""
    global _fuses
    _fuses = False
    _functions.clear()


@contextmanager
def paused() -> Iterator[None]:
    """Plain torch for a while, to compare with."""
    functions = dict(_functions)
    _functions.clear()
    try:
        yield
    finally:
        _functions.update(functions)


def is_built() -> bool:
    return bool(_functions)


def has_panels() -> bool:
    """Whether this processor multiplies bfloat16 in pairs and has no matrix units, which a library would use."""
    return "attend_queries" in _functions


def call(name: str, *arguments: Any) -> None:
    """A function of kernels.c that several threads work on."""
    _functions[name](*arguments, torch.get_num_threads())


class Matrix(ctypes.Structure):
    """A weight [F, D] or a stack of them [E, F, D], and its scales; struct Matrix of matrices.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("weights", "scales")),
        *((name, ctypes.c_long) for name in ("stride", "outputs", "inputs", "kind")),
    )


def describe(weight: Tensor, scale: Tensor | None = None) -> Matrix:
    *_, outputs, inputs = weight.shape
    return Matrix(
        weight.data_ptr(),
        None if scale is None else scale.data_ptr(),
        weight.stride(0),
        outputs,
        inputs,
        KINDS[weight.dtype],
    )


def multiply(rows: Tensor, weights: Tensor, scales: Tensor | None, experts: Tensor | None = None) -> Tensor:
    """Rows [P / share, D], weights [E, F, D] or [F, D], each matrix contiguous -> [P, F] float32."""
    *matrices, outputs, inputs = weights.shape
    count = rows.numel() // inputs
    rows = rows.contiguous()
    wide = rows.float()
    pairs = count if experts is None else experts.shape[0]
    found = torch.empty(pairs, outputs)
    _functions["multiply_rows"](
        describe(weights, scales),
        matrices[0] if matrices else 1,
        wide.data_ptr(),
        rows.data_ptr() if rows.dtype == torch.bfloat16 else None,
        None if experts is None else experts.data_ptr(),
        pairs,
        pairs // count,
        found.data_ptr(),
        _choose_threads(weights.element_size() * outputs * inputs * (1 if experts is None else pairs), WAKING_BYTES),
    )
    return found


def decode(
    decoder: ctypes.Structure,
    layers: ctypes.Array[Any],
    embeds: Tensor,
    positions: list[int],
    buffers: list[int],
    capacities: list[int],
    hidden: Tensor,
    stage_bytes: int,
) -> None:
    """See `decode` in kernels.c; a stage reads at least `stage_bytes`."""
    _functions["decode"](
        ctypes.byref(decoder),
        layers,
        len(positions),
        embeds.data_ptr(),
        (ctypes.c_int64 * len(positions))(*positions),
        (ctypes.c_void_p * len(buffers))(*buffers),
        (ctypes.c_int64 * len(capacities))(*capacities),
        hidden.data_ptr(),
        _choose_threads(stage_bytes, STAGE_BYTES),
    )


def _choose_threads(nbytes: int, least: int) -> int:
    return torch.get_num_threads() if nbytes >= least else 1


def _declare(library: ctypes.CDLL) -> dict[str, Any]:
    pointer, number, threads = ctypes.c_void_p, ctypes.c_long, ctypes.c_int
    arguments = {
        # matrix, E, rows wide and in halves, experts, P, share, out
        "multiply_rows": (ctypes.POINTER(Matrix), number, *(pointer,) * 3, number, number, pointer, threads),
        # decoder, layers, B, embeds, positions, buffers, capacities, hidden
        "decode": (pointer, pointer, number, *(pointer,) * 5, threads),
        # queries, keys, values, batch, heads, groups, T, S, causal, scale, out
        "attend_queries": (*(pointer,) * 3, *(number,) * 6, ctypes.c_float, pointer, threads),
        # tokens, gate_up, down, E, out
        "run_experts": (pointer, *(ctypes.POINTER(Matrix),) * 2, number, pointer, threads),
    }
    functions = {name: getattr(library, name) for name in arguments if hasattr(library, name)}
    for name, function in functions.items():
        function.restype, function.argtypes = None, arguments[name]
    return functions


def _processor() -> str:
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
