"""Pictures -> normalised tiles: the half of the processor that pipelines call its image processor.

N tiles of `side` px.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dsvl2_app.image.load import is_loaded
from dsvl2_app.image.source import open_picture
from dsvl2_app.image.tiles import TileLayout, cut_tiles, lay_out
from dsvl2_app.text.configuration import ProcessorConfig

MOST_TILED_IMAGES = 2  # with more images in the conversation, every one is a single tile


class DeepseekVL2ImageProcessor:
    model_input_names = ("pixel_values", "images_spatial_crop")

    def __init__(self, config: ProcessorConfig) -> None:
        self.config = config
        self.geometry = config.geometry
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (config.image_mean, config.image_std))
        self._scale = (mean, std) if config.normalize else (torch.zeros(3, 1, 1), torch.ones(3, 1, 1))

    def lay_out(
        self, sources: Sequence[Any], tiling: bool | None = None, max_tiles: int | None = None
    ) -> tuple[list[Image.Image], list[TileLayout]]:
        """The pictures of one conversation, opened, and their tiles (see `PromptBuilder.build` for the choices)."""
        images = [source if is_loaded(source) else open_picture(source) for source in sources]
        tiled = len(images) <= MOST_TILED_IMAGES if tiling is None else tiling
        return images, [lay_out(*image.size, self.geometry, tiling=tiled, max_tiles=max_tiles) for image in images]

    def cut(self, images: Sequence[Image.Image], layouts: Sequence[TileLayout]) -> np.ndarray:
        """All tiles [N, side, side, 3] uint8, image after image."""
        side = self.geometry.tile
        tiles = [cut_tiles(image, layout) for image, layout in zip(images, layouts, strict=True)]
        return np.concatenate(tiles) if tiles else np.zeros((0, side, side, 3), np.uint8)

    def normalise(self, tiles: np.ndarray | Tensor) -> Tensor:
        """Pixels [N, H, W, 3] uint8 -> [N, 3, H, W] float32 around 0."""
        pixels = torch.as_tensor(tiles).permute(0, 3, 1, 2)
        pixels = pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        mean, std = self._scale
        return pixels.sub_(mean.to(pixels.device)).div_(std.to(pixels.device))

    def save_pretrained(self, save_directory: str | Path) -> list[str]:
        """Write processor_config.json, as the processor does; a pipeline saves its parts one by one."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        return [str(self.config.write(folder))]
