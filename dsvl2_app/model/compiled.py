"""kernels.c: built for this processor when asked to, kept between starts, and called through ctypes.

Building takes three seconds and a C compiler. Without one nothing here is used and everything runs as well, only
slower; `kernels` chooses.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dsvl2_app.errors import SettingsError

SOURCE = Path(__file__).with_name("kernels.c")
FLAGS = (
    *("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"),
    # of -ffast-math what lets sums be reordered; the rest would round tiny numbers to 0 in the whole process
    *("-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math", "-fno-math-errno"),
)
ROW_TYPES = (torch.float32, torch.bfloat16)
SUFFIXES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.int8: "int8"}

PAIRS = ("linear", "pairs")  # bfloat16 times bfloat16, where the processor multiplies them in pairs

PARALLEL_BYTES = 2**20
PAIRS_FROM = 3  # rows of activations; for fewer, memory is the limit either way

_fuses = False
_functions: dict[tuple[str, torch.dtype | str], Any] = {}  # by name and format of weights; empty until built


def build() -> None:
    """Compile kernels.c for this processor unless that was done before, and use it from now on.

    Raises SettingsError where there is no C compiler or it fails.
    """
    compiler = find_compiler()
    if compiler is None:
        raise SettingsError("--compile on needs a C compiler; install gcc, or leave it at auto or off.")
    identity = "\n".join((SOURCE.read_text(), *FLAGS, compiler, platform.machine(), _processor()))
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dsvl2"
    target = folder / f"kernels-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.so"
    try:
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                fresh = Path(scratch) / target.name
                command = [compiler, *FLAGS, "-o", str(fresh), str(SOURCE), "-lm"]
                subprocess.run(command, check=True, capture_output=True, text=True)
                fresh.replace(target)  # in one step, whoever else compiles at the same time
        _functions.update(_declare(ctypes.CDLL(str(target))))
    except (OSError, subprocess.CalledProcessError) as error:
        detail = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise SettingsError(
            f"The compiler {compiler} could not build the kernels ({detail[0] if detail else error}); "
            "start with --compile off."
        ) from error


def find_compiler() -> str | None:
    return os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def fuse_on_gpu() -> None:
    """From now on torch.compile makes the kernels of decode on a GPU, when they are first needed."""
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


def multiply(rows: Tensor, weights: Tensor, scales: Tensor | None, experts: Tensor | None = None) -> Tensor:
    """Rows [P / share, D], weights [E, F, D] or [F, D], each matrix contiguous -> [P, F] float32."""
    *matrices, outputs, inputs = weights.shape
    count = rows.numel() // inputs
    function = _functions["linear", weights.dtype]
    if count >= PAIRS_FROM and not matrices and weights.dtype == rows.dtype == torch.bfloat16 and PAIRS in _functions:
        function = _functions[PAIRS]
    else:
        rows = rows.float()
    rows = rows.contiguous()
    pairs = count if experts is None else experts.shape[0]
    found = torch.empty(pairs, outputs)
    function(
        weights.data_ptr(),
        None if scales is None else scales.data_ptr(),
        matrices[0] if matrices else 1,
        weights.stride(0),
        outputs,
        inputs,
        rows.data_ptr(),
        None if experts is None else experts.data_ptr(),
        pairs,
        pairs // count,
        found.data_ptr(),
        _choose_threads(weights.element_size() * outputs * inputs * (1 if experts is None else pairs)),
    )
    return found


def attend(query: Tensor, keys: Tensor, values: Tensor, scale: float, rope: tuple[Tensor, Tensor] | None) -> Tensor:
    query_rope, keys_rope = (None, None) if rope is None else (rope[0].float().contiguous(), rope[1])
    wide = query.float().contiguous()
    context = torch.empty(query.shape[0], values.shape[-1])
    _functions["attend", keys.dtype](
        wide.data_ptr(),
        None if query_rope is None else query_rope.data_ptr(),
        query.shape[0],
        keys.shape[0],
        keys.data_ptr(),
        keys.stride(0),
        keys.shape[2],
        None if keys_rope is None else keys_rope.data_ptr(),
        0 if keys_rope is None else keys_rope.stride(0),
        0 if keys_rope is None else keys_rope.shape[2],
        values.data_ptr(),
        values.stride(0),
        values.shape[2],
        keys.shape[1],
        scale,
        context.data_ptr(),
        _choose_threads(keys.nbytes + values.nbytes),
    )
    return context.to(query.dtype)


def _choose_threads(nbytes: int) -> int:
    """One for what a core reads sooner than a second one joins in, the more so where others want that core too."""
    return torch.get_num_threads() if nbytes >= PARALLEL_BYTES else 1


def _declare(library: ctypes.CDLL) -> dict[tuple[str, torch.dtype | str], Any]:
    pointer, number, real, threads = ctypes.c_void_p, ctypes.c_long, ctypes.c_float, ctypes.c_int
    arguments = {
        "linear": (
            *(pointer, pointer),  # weights, scales
            *(number, number, number, number),  # E, distance of two matrices, F, D
            *(pointer, pointer, number, number),  # rows, experts, P, share
            *(pointer, threads),
        ),
        "attend": (
            *(pointer, pointer, number, number),  # query, its rope part, H, G
            *(pointer, number, number),  # keys, distance of two groups, K
            *(pointer, number, number),  # keys' rope part, distance, R
            *(pointer, number, number),  # values, distance, V
            *(number, real),  # S, scale
            *(pointer, threads),
        ),
    }
    functions = {}
    for (name, types), (kind, suffix) in product(arguments.items(), (*SUFFIXES.items(), (PAIRS[1], PAIRS[1]))):
        function = getattr(library, f"{name}_{suffix}", None)
        if function is not None:
            function.restype, function.argtypes = None, types
            functions[name, kind] = function
    return functions


def _processor() -> str:
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
