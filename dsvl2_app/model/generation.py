"""transformers' `generate` over a model whose prompts hold pictures."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin

from dsvl2_app.errors import PromptError
from dsvl2_app.model.configuration import DeepseekVL2Config

PICTURE_INPUTS: tuple[str, ...] = ("pixel_values", "images_seq_mask", "images_spatial_crop")


class PictureGenerationMixin(GenerationMixin):
    config: DeepseekVL2Config

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, inputs_embeds: Tensor | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """As transformers' own, with those pictures whose tokens are fed now: others are in the cache."""
        pictures = {name: kwargs.pop(name, None) for name in PICTURE_INPUTS}
        # here and below: transformers declares `self` as a protocol that none of its own models fulfils
        inputs = super().prepare_inputs_for_generation(  # pyright: ignore[reportAttributeAccessIssue]
            input_ids, inputs_embeds=inputs_embeds, **kwargs
        )
        cache = kwargs.get("cache", kwargs.get("past_key_values"))
        past = 0 if cache is None else int(cache.get_seq_length())
        fed = inputs["input_ids"] if inputs.get("inputs_embeds") is None else inputs["inputs_embeds"]
        return {**inputs, **self._choose_pictures(past, past + fed.shape[1], **pictures)}

    def _choose_pictures(
        self,
        start: int,
        stop: int,
        pixel_values: Tensor | None,
        images_seq_mask: Tensor | None,
        images_spatial_crop: Tensor | None,
    ) -> dict[str, Tensor | None]:
        """The pictures whose tokens lie from `start` to `stop`; PromptError if a border runs through one."""
        given = dict(zip(PICTURE_INPUTS, (pixel_values, images_seq_mask, images_spatial_crop), strict=True))
        if images_seq_mask is None or (start == 0 and stop >= images_seq_mask.shape[1]):
            return given
        if not images_seq_mask[:, start:stop].any():
            return {}
        if pixel_values is None or images_spatial_crop is None:  # what lacks is said by `embed`
            return {**given, "images_seq_mask": images_seq_mask[:, start:stop]}
        grids, kept, count_tokens = images_spatial_crop.clone(), [], self.config.geometry.count_tokens
        for row, marks in zip(grids, images_seq_mask, strict=True):
            ends = [int(marks[:start].sum()), int(marks[:stop].sum())]
            place, borders = 0, {0}
            for grid in row:
                columns, rows = grid.tolist()
                if not columns:
                    continue
                inside = ends[0] <= place < ends[1]
                place += count_tokens(columns, rows)
                borders.add(place)
                kept += [inside] * (1 + columns * rows)
                if not inside:
                    grid.zero_()
            if not borders.issuperset(ends):
                raise PromptError("The cache ends inside a picture; begin with a whole picture, or without a cache.")
        return {
            "pixel_values": pixel_values[torch.tensor(kept, device=pixel_values.device)],
            "images_seq_mask": images_seq_mask[:, start:stop],
            "images_spatial_crop": grids,
        }

    def _expand_inputs_for_generation(
        self, expand_size: int = 1, is_encoder_decoder: bool = False, input_ids: Tensor | None = None, **kwargs: Any
    ) -> tuple[Tensor | None, dict[str, Any]]:
        """Several answers per row: each gets all tiles of its row, not every tile several times in a row."""
        pixels, crops = kwargs.pop("pixel_values", None), kwargs.get("images_spatial_crop")
        if pixels is not None and crops is not None and expand_size > 1:
            tiles = torch.where(crops[..., 0] > 0, 1 + crops.prod(-1), 0).sum(-1).tolist()
            pixels = torch.cat([row for row in pixels.split(tiles) for _ in range(expand_size)])
        input_ids, kwargs = super()._expand_inputs_for_generation(  # pyright: ignore[reportAttributeAccessIssue]
            expand_size=expand_size, is_encoder_decoder=is_encoder_decoder, input_ids=input_ids, **kwargs
        )
        return input_ids, kwargs if pixels is None else {**kwargs, "pixel_values": pixels}
