"""Tiles -> tokens on a GPU: encoder and adaptor as a CUDA graph per number of tiles."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dsvl2_app.model.gpu.record import Recorded


class GraphVision:
    """Like `encode` (normalised tiles [N, 3, H, W] -> tokens [N, s * s, D]), for up to `most` tiles."""

    def __init__(self, encode: Callable[[Tensor], Tensor], most: int, side: int, device: torch.device) -> None:
        self._tiles = torch.zeros(most, 3, side, side, device=device)
        self._encode = Recorded(lambda count: encode(self._tiles[:count]), device)

    def __call__(self, tiles: Tensor) -> Tensor:
        self._tiles[: len(tiles)] = tiles
        return self._encode(len(tiles)).clone()
