"""kernels.c: built for this processor when asked to, kept between starts, and called through ctypes.

Building takes a second or two and a C compiler. Without one nothing here is used and everything runs as well, only
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
from pathlib import Path

import torch
from torch import Tensor

from dsvl2_app.errors import SettingsError

SOURCE = Path(__file__).with_name("kernels.c")
FLAGS = (
    *("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"),
    # of -ffast-math what lets sums be reordered; the rest would round tiny numbers to 0 in the whole process
    *("-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math", "-fno-math-errno"),
)
SUFFIXES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.int8: "int8"}

_library: ctypes.CDLL | None = None


def build() -> None:
    """Compile kernels.c for this processor unless that was done before, and use it from now on.

    Raises SettingsError where there is no C compiler or it fails.
    """
    global _library
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
        _library = _declare(ctypes.CDLL(str(target)))
    except (OSError, subprocess.CalledProcessError) as error:
        detail = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise SettingsError(
            f"The compiler {compiler} could not build the kernels ({detail[0] if detail else error}); "
            "start with --compile off."
        ) from error


def find_compiler() -> str | None:
    return os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def remove() -> None:
    """Back to torch alone."""
    global _library
    _library = None


def is_built() -> bool:
    return _library is not None


def multiply(rows: Tensor, weights: Tensor, scales: Tensor | None, experts: Tensor | None = None) -> Tensor:
    """Rows [P / share, D], weights [E, F, D] -> [P, F] float32."""
    assert _library is not None
    rows, matrices = rows.float().contiguous(), weights.shape[0]
    pairs = rows.shape[0] if experts is None else experts.shape[0]
    outputs = torch.empty(pairs, weights.shape[1])
    getattr(_library, f"linear_{SUFFIXES[weights.dtype]}")(
        weights.data_ptr(),
        None if scales is None else scales.data_ptr(),
        matrices,
        weights.shape[1],
        weights.shape[2],
        rows.data_ptr(),
        None if experts is None else experts.data_ptr(),
        pairs,
        pairs // rows.shape[0],
        outputs.data_ptr(),
        torch.get_num_threads(),
    )
    return outputs


def attend(query: Tensor, keys: Tensor, values: Tensor, scale: float, rope: tuple[Tensor, Tensor] | None) -> Tensor:
    assert _library is not None
    query_rope, keys_rope = (None, None) if rope is None else (rope[0].float().contiguous(), rope[1])
    wide = query.float().contiguous()
    context = torch.empty(query.shape[0], values.shape[-1])
    getattr(_library, f"attend_{SUFFIXES[keys.dtype]}")(
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
        torch.get_num_threads(),
    )
    return context.to(query.dtype)


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, number, real, threads = ctypes.c_void_p, ctypes.c_long, ctypes.c_float, ctypes.c_int
    for suffix in SUFFIXES.values():
        linear = getattr(library, f"linear_{suffix}")
        linear.restype = None
        linear.argtypes = [
            *(pointer, pointer),  # weights, scales
            *(number, number, number),  # E, F, D
            *(pointer, pointer, number, number),  # rows, experts, P, share
            *(pointer, threads),
        ]
        attend = getattr(library, f"attend_{suffix}")
        attend.restype = None
        attend.argtypes = [
            *(pointer, pointer, number, number),  # query, its rope part, H, G
            *(pointer, number, number),  # keys, distance of two groups, K
            *(pointer, number, number),  # keys' rope part, distance, R
            *(pointer, number, number),  # values, distance, V
            *(number, real),  # S, scale
            *(pointer, threads),
        ]
    return library


def _processor() -> str:
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
