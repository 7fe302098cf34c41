"""What layers ask for on a GPU that torch does slowly there: products of a prompt's tokens with narrow weights of
experts, which stay narrow on their way to the matrix units."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dsvl2_app.model.operations import Operations
from dsvl2_app.runtime.cuda.launcher import Launcher, divide_up, has_triton, round_up

ROWS, OUTPUTS, WIDTH = 64, 128, 64  # of a program
WARPS, STAGES = 4, 4


class CudaOperations(Operations):
    def __init__(self) -> None:
        self._launchers: dict[torch.device, Launcher] = {}

    def linear_groups(self, rows: Tensor, weights: Tensor, scales: Tensor | None, counts: Tensor) -> Tensor:
        if scales is None or weights.dtype != torch.int8 or not self._supports(rows):
            return super().linear_groups(rows, weights, scales, counts)
        return multiply_narrow(self._find_launcher(rows.device), rows, weights, scales, counts)

    def _supports(self, rows: Tensor) -> bool:
        autocast = torch.is_autocast_enabled("cuda")
        return rows.is_cuda and rows.dtype == torch.bfloat16 and not autocast and has_triton()

    def _find_launcher(self, device: torch.device) -> Launcher:
        if device not in self._launchers:
            self._launchers[device] = Launcher(device)
        return self._launchers[device]


def multiply_narrow(launcher: Launcher, rows: Tensor, weights: Tensor, scales: Tensor, counts: Tensor) -> Tensor:
    """`Operations.linear_groups` of int8 weights. Nothing waits for counts: there are programs for as many blocks of
    rows as there can be, and those left over end at once."""
    (pairs, width), (experts, outputs, _) = rows.shape, weights.shape
    starts = F.pad(counts.cumsum(0), (1, 0)).to(torch.int32)
    out = torch.empty(pairs, outputs, dtype=rows.dtype, device=rows.device)
    launcher.launch(
        "multiply_narrow",
        (divide_up(outputs, OUTPUTS), divide_up(pairs, ROWS) + experts),
        *(rows, weights, scales, starts, out),
        D=width,
        F=outputs,
        E=experts,
        E_WIDE=round_up(experts),
        ROWS=ROWS,
        OUTPUTS=OUTPUTS,
        WIDTH=WIDTH,
        num_warps=WARPS,
        num_stages=STAGES,
    )
    return out
