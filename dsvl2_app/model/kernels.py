"""The one place where kernels are chosen: C for a few rows on a CPU, torch for everything else.

One token passes every active weight once, so decode on a CPU is as fast as memory is read; torch's matrix products
reach a third to a half of that for a handful of rows, kernels.c all of it. It is compiled when `build` is called (a
second or two; kept between starts) and used from then on. Without a compiler everything runs as well, only slower:
each function here has its plain equivalent beside it.

int8 weights come with a float32 scale per output channel: `weight[f, d] * scale[f]`.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from dsvl2_app.errors import SettingsError

SOURCE = Path(__file__).with_name("kernels.c")
FLAGS = (
    *("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"),
    # of -ffast-math what lets sums be reordered; the rest would round tiny numbers to 0 in the whole process
    *("-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math", "-fno-math-errno"),
)
FEW_ROWS = 16  # up to here weights are read from memory longer than they are multiplied
HEADS_AT_ONCE = 4
FEW_ROWS_PLAIN = 4  # the same for torch's matrix products, one per (token, expert) pair
SUFFIXES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.int8: "int8"}

logger = logging.getLogger(__name__)
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


# -- matrices -----------------------------------------------------------------------------------------------------


def linear(rows: Tensor, weight: Tensor, scale: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Rows [..., D] times weight [F, D] -> [..., F]."""
    if bias is None and rows.numel() <= FEW_ROWS * rows.shape[-1] and _fits(rows, weight):
        outputs = _multiply(rows.reshape(-1, rows.shape[-1]), weight[None], scale)
        return outputs.to(rows.dtype).unflatten(0, rows.shape[:-1])
    return F.linear(rows, dequantise(weight, scale, rows.dtype), bias)


def linear_each(rows: Tensor, weights: Tensor, scales: Tensor | None, experts: Tensor) -> Tensor:
    """Pair p multiplies row `p // share` of rows [P / share, D] with weights[experts[p]] [E, F, D] -> [P, F]."""
    if _fits(rows, weights):
        return _multiply(rows, weights, scales, experts).to(rows.dtype)
    rows = rows.repeat_interleave(experts.shape[0] // rows.shape[0], dim=0)
    if rows.device.type == "cpu":  # indexing a stack with a number is a view, with a tensor a copy
        each = zip(rows.split(1), experts.tolist(), strict=True)
        return torch.cat([F.linear(row, expert_weight(weights, scales, e, row.dtype)) for row, e in each])
    chosen = dequantise(weights[experts], None if scales is None else scales[experts], rows.dtype)
    return torch.einsum("pd,pfd->pf", rows, chosen)


def prefers_each(rows: Tensor, weights: Tensor) -> bool:
    """Whether `linear_each` beats `linear_groups` for rows [T, D]."""
    return rows.shape[0] <= (FEW_ROWS if _fits(rows, weights) else FEW_ROWS_PLAIN)


def linear_groups(rows: Tensor, weights: Tensor, scales: Tensor | None, counts: Tensor) -> Tensor:
    """Rows [P, D] sorted by expert, `counts[e]` of them for weights[e] [E, F, D] -> [P, F]."""
    if rows.is_cuda and weights.dtype != torch.int8 and hasattr(F, "grouped_mm"):
        if torch.is_autocast_enabled("cuda"):  # which does not know grouped_mm
            rows, weights = rows.bfloat16(), weights.bfloat16()
        if rows.dtype == torch.bfloat16:
            return F.grouped_mm(rows, weights.mT, offs=counts.cumsum(0).to(torch.int32))
    groups = enumerate(rows.split(counts.tolist()))
    return torch.cat([F.linear(group, expert_weight(weights, scales, e, rows.dtype)) for e, group in groups])


def linear_gelu(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """GELU (tanh) of a linear layer, in bfloat16 on a CPU while the products are still in registers."""
    if _is_bfloat16_on_cpu(rows) and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "gelu", [], "tanh")
    return F.gelu(F.linear(rows, weight, bias), approximate="tanh")


def expert_weight(weights: Tensor, scales: Tensor | None, expert: int, dtype: torch.dtype) -> Tensor:
    return dequantise(weights[expert], None if scales is None else scales[expert], dtype)


def dequantise(weight: Tensor, scale: Tensor | None, dtype: torch.dtype) -> Tensor:
    """int8 weight [..., F, D] and scale [..., F] -> weight of `dtype`; any other weight as it is."""
    return weight if scale is None else (weight * scale[..., None]).to(dtype)


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [..., F, D] -> int8 weight and float32 scale [..., F], symmetric per output channel."""
    wide = weight.float()
    scale = wide.abs().amax(-1).clamp_(min=1e-12) / 127
    return (wide / scale[..., None]).round_().to(torch.int8), scale


# -- attention ----------------------------------------------------------------------------------------------------


def attend_all(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Softmax attention of every patch to every patch [N, H, P, width] -> [N, P, H, width].

    torch's fused kernel is slow in bfloat16 on a CPU. There matrix products with scores in bfloat16, for as many
    heads at once as caches hold, take less than half its time.
    """
    if not _is_bfloat16_on_cpu(queries):
        return F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2)
    context = torch.empty_like(queries.transpose(1, 2), memory_format=torch.contiguous_format)
    queries = queries * queries.shape[-1] ** -0.5
    for tile in range(queries.shape[0]):
        for first in range(0, queries.shape[1], HEADS_AT_ONCE):
            heads = slice(first, first + HEADS_AT_ONCE)
            weights = (queries[tile, heads] @ keys[tile, heads].mT).softmax(-1)
            context[tile, :, heads] = (weights @ values[tile, heads]).transpose(0, 1)
    return context


def attend_one(
    query: Tensor, keys: Tensor, values: Tensor, scale: float, rope: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """One token's query [H, K] over keys [G, S, K] and values [G, S, V], heads in G groups -> context [H, V].

    `rope` is a second part of query [H, R] and keys [G, S, R] whose products are added.
    """
    if _fits(query, keys) and _fits(query, values):
        return _attend(query, keys, values, scale, rope)
    heads, groups = query.shape[0], keys.shape[0]
    scores = query.float().unflatten(0, (groups, heads // groups)) @ keys.float().mT  # [G, H / G, S]
    if rope is not None:
        scores = scores + rope[0].float().unflatten(0, (groups, heads // groups)) @ rope[1].float().mT
    return ((scores * scale).softmax(-1) @ values.float()).flatten(0, 1).to(query.dtype)


def _is_bfloat16_on_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == torch.bfloat16 and not torch.is_grad_enabled()


# -- C ------------------------------------------------------------------------------------------------------------


def _fits(rows: Tensor, weight: Tensor) -> bool:
    return (
        _library is not None
        and rows.device.type == "cpu"
        and weight.dtype in SUFFIXES
        and rows.dtype in (torch.float32, torch.bfloat16)
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


def _multiply(rows: Tensor, weights: Tensor, scales: Tensor | None, experts: Tensor | None = None) -> Tensor:
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


def _attend(query: Tensor, keys: Tensor, values: Tensor, scale: float, rope: tuple[Tensor, Tensor] | None) -> Tensor:
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
