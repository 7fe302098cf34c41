"""Operations on a GPU. None of them waits for it where that can be had, so that what calls them can be recorded."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dsvl2_app.model.operations import Operations


class CudaOperations(Operations):
    def linear_each(self, rows: Tensor, weights: Tensor, scales: Tensor | None, experts: Tensor) -> Tensor:
        """Copies the experts' matrices: the CPU need not know which ones they are."""
        rows = rows.repeat_interleave(experts.shape[0] // rows.shape[0], dim=0)
        products = torch.einsum("pd,pfd->pf", rows, weights[experts].to(rows.dtype))
        return products if scales is None else (products * scales[experts]).to(rows.dtype)

    def linear_groups(self, rows: Tensor, weights: Tensor, scales: Tensor | None, counts: Tensor) -> Tensor:
        """One grouped product in bfloat16; in other formats one per expert, for which the CPU asks how many rows each
        has."""
        if rows.is_cuda and torch.is_autocast_enabled("cuda"):  # which does not know grouped_mm
            rows, weights = rows.bfloat16(), weights.bfloat16()
        if not rows.is_cuda or rows.dtype != torch.bfloat16 or not hasattr(F, "grouped_mm"):
            return super().linear_groups(rows, weights, scales, counts)
        ends = counts.cumsum(0)
        products = F.grouped_mm(rows, weights.bfloat16().mT, offs=ends.to(torch.int32))
        if scales is None:
            return products
        experts = torch.searchsorted(ends, torch.arange(len(rows), device=rows.device), right=True)
        return (products * scales[experts]).to(rows.dtype)
