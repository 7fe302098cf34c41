"""A model that has learnt in float32 -> a checkpoint in the official layout."""

from __future__ import annotations

from pathlib import Path

import torch

from dsvl2_app.model.experts import Router
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.text.processor import DeepseekVL2Processor


def write_checkpoint(
    model: DeepseekVL2ForConditionalGeneration,
    processor: DeepseekVL2Processor,
    folder: Path,
    dtype: torch.dtype,
    max_shard_size: str = "5GB",
) -> None:
    """Write weights in `dtype`, configuration and tokenizer; the model is left in `dtype`. A router's bias stays
    float32: its steps are too small for less."""
    biases = {id(module.bias) for module in model.modules() if isinstance(module, Router)}
    for parameter in model.parameters():
        if id(parameter) not in biases:
            parameter.data = parameter.data.to(dtype)
    model.config.dtype = dtype
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    processor.save_pretrained(folder)
