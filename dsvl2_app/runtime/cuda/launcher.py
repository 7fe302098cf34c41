"""How kernels in Triton are launched, and how much of the work each program of one does.

B rows, D inputs, F outputs.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from dsvl2_app.model.attention import RMSNorm

# Bytes of weights, at most, that a program of each kernel holds at once for a single row, which has to be one output's.
# These and the numbers of warps in `cut_one` are what was fastest on an H200 for tiny, small and base together.
HELD = {"project": 10_240, "route": 2_560, "enter_experts": 16_384, "leave_experts": 16_384}
MATRIX_ROWS = 16  # the least that matrix units take; also heads of latent attention in a program
MATRIX_OUTPUTS, MATRIX_WIDTH, MATRIX_WARPS = 32, 128, 2  # of a program with several rows


def has_triton() -> bool:
    """Whether Triton is there, which comes with torch for GPUs."""
    return find_spec("triton") is not None


def has_shared(device: torch.device, size: int) -> bool:
    """Whether a program may have so many bytes of shared memory; the smaller cards of a generation have 100 kB."""
    if device.type != "cuda":
        return True
    most: int = torch.cuda.get_device_properties(device).shared_memory_per_block_optin
    return most >= size


class Launcher:
    """Launches kernels by their names."""

    def __init__(self, device: torch.device) -> None:
        from dsvl2_app.runtime.cuda import triton  # which needs Triton

        self.kernels: Any = triton
        # whether a kernel may start before the one ahead of it has ended, which Hopper and later can
        self.overlap = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (9, 0)

    def launch(self, name: str, grid: tuple[int, ...], *tensors: Any, **constants: Any) -> None:
        if self.overlap:
            constants["launch_pdl"] = True
        getattr(self.kernels, name)[grid](*tensors, **constants, OVERLAP=self.overlap)

    def project(
        self,
        rows: Tensor,
        *linears: nn.Linear | Tensor,
        norm: RMSNorm | None = None,
        residual: Tensor | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Rows [B, D] through up to three linear layers that share them -> [B, F], their outputs in a row."""
        weights = [linear if isinstance(linear, Tensor) else linear.weight for linear in linears]
        scales = [getattr(linear, "weight_scale", None) for linear in linears]
        sizes = [*(weight.shape[0] for weight in weights), 0, 0][:3]
        weights, scales = [*weights, *weights[:1] * 2][:3], [*scales, *scales[:1] * 2][:3]
        scaled = scales[0] is not None
        batch, width = rows.shape[0], weights[0].shape[1]
        shape = cut_rows(width) if batch > 1 else cut_one("project", width, weights[0])
        out = torch.empty(batch, sum(sizes), dtype=dtype or rows.dtype, device=rows.device)
        self.launch(
            "project",
            (sum(divide_up(size, shape["OUTPUTS"]) for size in sizes),),
            rows,
            rows if norm is None else norm.weight,
            *weights,
            *(scales if scaled else weights),
            out if residual is None else residual,
            out,
            rows.stride(0),
            0.0 if norm is None else norm.eps,
            *sizes,
            B=batch,
            D=width,
            NORM=norm is not None,
            SCALED=scaled,
            RESIDUAL=residual is not None,
            R=1 if batch == 1 else max(MATRIX_ROWS, round_up(batch)),
            **shape,
        )
        return out


def cut_one(kernel: str, width: int, weight: Tensor, matrices: int = 1) -> dict[str, int]:
    """How many outputs of so many matrices, with inputs of `width`, a program computes for a single row."""
    outputs = round_down(max(1, HELD[kernel] // (weight.itemsize * width * matrices)))
    warps = {"route": 8, "enter_experts": 2 if outputs == 1 else 4}.get(kernel, 4)
    return {"OUTPUTS": outputs, "WIDTH": round_up(width), "num_warps": warps}


def cut_rows(width: int) -> dict[str, int]:
    """Which part of a matrix with inputs of `width` a program holds at once for several rows."""
    narrow = min(max(MATRIX_ROWS, round_up(width)), MATRIX_WIDTH)
    return {"OUTPUTS": MATRIX_OUTPUTS, "WIDTH": narrow, "num_warps": MATRIX_WARPS}


def divide_up(number: int, size: int) -> int:
    """How many pieces of that size a number has."""
    return -(-number // size)


def round_down(number: int) -> int:
    """To a power of two."""
    return 1 << (number.bit_length() - 1)


def round_up(number: int) -> int:
    """To a power of two."""
    return 1 << (number - 1).bit_length()
