"""Pictures -> normalised tiles: the half of the processor that pipelines call its image processor.

N tiles of `side` px.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsvl2_app.image.cut import cut_tiles
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.source import refer_to
from dsvl2_app.image.tiles import TileLayout, lay_out_all
from dsvl2_app.text.configuration import ProcessorConfig


class DeepseekVL2ImageProcessor:
    model_input_names = ("pixel_values", "images_spatial_crop")

    def __init__(self, config: ProcessorConfig) -> None:
        self.config = config
        self.geometry = config.geometry
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (config.image_mean, config.image_std))
        scale = (mean, std) if config.normalize else (torch.zeros(3, 1, 1), torch.ones(3, 1, 1))
        self._scales = {torch.device("cpu"): scale}  # kept on each device: to send them anew waits for a GPU

    def lay_out(
        self, sources: Sequence[Any], tiling: bool | None = None, max_tiles: int | None = None
    ) -> tuple[list[ImageRef], list[TileLayout]]:
        """The pictures of one conversation, measured, and their tiles (see `PromptBuilder.build` for the choices)."""
        images = [refer_to(source) for source in sources]
        return images, lay_out_all([image.size for image in images], self.geometry, tiling, max_tiles)

    def cut(self, images: Sequence[ImageRef], layouts: Sequence[TileLayout]) -> np.ndarray:
        """All tiles [N, side, side, 3] uint8, image after image."""
        side = self.geometry.tile
        tiles = [cut_tiles(image.open(), layout) for image, layout in zip(images, layouts, strict=True)]
        return np.concatenate(tiles) if tiles else np.zeros((0, side, side, 3), np.uint8)

    def normalise(self, tiles: np.ndarray | Tensor) -> Tensor:
        """Pixels [N, H, W, 3] uint8 -> [N, 3, H, W] float32 around 0."""
        pixels = torch.as_tensor(tiles).permute(0, 3, 1, 2)
        pixels = pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        if pixels.device not in self._scales:
            mean, std = self._scales[torch.device("cpu")]
            self._scales[pixels.device] = mean.to(pixels.device), std.to(pixels.device)
        mean, std = self._scales[pixels.device]
        return pixels.sub_(mean).div_(std)

    def save_pretrained(self, save_directory: str | Path) -> list[str]:
        """Write processor_config.json, as the processor does; a pipeline saves its parts one by one."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        return [str(self.config.write(folder))]
