"""DeepSeek-VL2 on current software: a picture and a question in, a streamed answer out.

    bytes -> image.load -> image.tiles -> model.vision -> model.adaptor -> model.decoder -> text.sampling
          -> text.stream -> text.boxes -> image.overlay -> ui

Importing this package tells transformers' Auto classes about the model type `deepseek_vl_v2`.
"""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.text.processor import DeepseekVL2Processor, DeepseekVLV2Processor

__version__ = "0.1.0"  # the only place; pyproject.toml reads it here

AutoConfig.register(DeepseekVL2Config.model_type, DeepseekVL2Config, exist_ok=True)
AutoModelForImageTextToText.register(DeepseekVL2Config, DeepseekVL2ForConditionalGeneration, exist_ok=True)
AutoProcessor.register(DeepseekVL2Config, DeepseekVLV2Processor, exist_ok=True)

__all__ = ["DeepseekVL2Config", "DeepseekVL2ForConditionalGeneration", "DeepseekVL2Processor"]
