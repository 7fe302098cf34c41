# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# PyTorch and transformers leave some of their types open.
"""Prompts -> model inputs: cut, padded and stacked as the options say.

B prompts, T tokens of the longest, N tiles of all images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import BatchFeature, PreTrainedTokenizerFast

from dsvl2_app.errors import SettingsError
from dsvl2_app.text.options import Options
from dsvl2_app.text.tokens import Prompt

NO_LIMIT = 10**9  # transformers writes 1e30 where a tokenizer knows of none


def collate(
    prompts: Sequence[Prompt], pixels: Tensor | None, tokenizer: PreTrainedTokenizerFast, options: Options, **more: Any
) -> BatchFeature:
    """input_ids, attention_mask and images_seq_mask [B, T], images_spatial_crop [B, images, 2] (columns, rows; 0 where
    a prompt has fewer images) and, where there is any image, pixel_values [N, 3, side, side].

    `more` are further columns by name: a row [T] for each prompt, and what pads it. As lists, rows keep their own
    lengths unless padding is asked for, and pixel_values is a list of N arrays.
    """
    columns: dict[str, tuple[list[list[Any]], Any]] = {
        "input_ids": ([each.input_ids for each in prompts], tokenizer.pad_token_id),
        "attention_mask": ([[True] * len(each.input_ids) for each in prompts], False),
        "images_seq_mask": ([each.image_mask.tolist() for each in prompts], False),
        **more,
    }
    if not options.return_attention_mask:
        del columns["attention_mask"]
    data: dict[str, Any] = _pad(columns, tokenizer, options)
    crops = [[list(layout.grid) for layout in each.layouts] for each in prompts]
    most = max(1, *map(len, crops))
    data["images_spatial_crop"] = [row + [[0, 0]] * (most - len(row)) for row in crops]
    if options.return_tensors:
        data = {name: torch.tensor(rows) for name, rows in data.items()}
    if pixels is not None:
        data["pixel_values"] = pixels if options.return_tensors else list(pixels.numpy())
    if options.return_tensors == "np":
        data = {name: np.asarray(tensor) for name, tensor in data.items()}
    return BatchFeature(data)


def cut_to_length(built: Prompt, tokenizer: PreTrainedTokenizerFast, options: Options) -> Prompt:
    """Raises PromptError where an image would be cut."""
    if not options.truncation:
        return built
    if tokenizer.truncation_side != "right":
        raise SettingsError("The tokenizer's truncation_side is 'left', which cuts the begin token; set it to 'right'.")
    length = options.max_length or _known_length(tokenizer)
    return built.cut_to(length) if length else built


def _pad(
    columns: dict[str, tuple[list[list[Any]], Any]], tokenizer: PreTrainedTokenizerFast, options: Options
) -> dict[str, list[list[Any]]]:
    lengths = [len(row) for row in columns["input_ids"][0]]
    padding = options.padding or ("longest" if options.return_tensors else "do_not_pad")
    if padding == "do_not_pad":
        if options.return_tensors and len(set(lengths)) > 1:
            raise SettingsError("Prompts of different lengths make no tensor without padding; set padding=True.")
        return {name: rows for name, (rows, _) in columns.items()}
    length = max(lengths)
    if padding == "max_length":
        longest = options.max_length or _known_length(tokenizer)
        if longest is None:
            raise SettingsError("padding='max_length' needs a max_length, since the tokenizer names none; give it.")
        length = max(length, longest)
    multiple = options.pad_to_multiple_of or 1
    length = -(-length // multiple) * multiple
    on_left = (options.padding_side or tokenizer.padding_side) == "left"

    def pad(row: list[Any], filling: Any) -> list[Any]:
        padded = [filling] * (length - len(row))
        return [*padded, *row] if on_left else [*row, *padded]

    return {name: [pad(row, filling) for row in rows] for name, (rows, filling) in columns.items()}


def _known_length(tokenizer: PreTrainedTokenizerFast) -> int | None:
    length: int = tokenizer.model_max_length
    return length if length < NO_LIMIT else None
