"""Which Spaces there are: their hardware, their model, and the front matter that tells Hugging Face both.

Names and values of the front matter are those of https://huggingface.co/docs/hub/spaces-config-reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import SpaceCardData

from dsvl2_app.hub import PINNED
from dsvl2_app.settings import RELEASED

TEXTS = ("config.json", "processor_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
SHARDS = {"tiny": 1, "small": 4, "base": 8}  # weight files of the released repositories


@dataclass(frozen=True, slots=True)
class Preset:
    hardware: str  # suggested_hardware
    model: str = "nano"
    patience: str = ""  # startup_duration_timeout, where half an hour may be too little
    python: str = "3.12"

    @property
    def preload(self) -> list[str]:
        """What is fetched while the Space is built, at the commit that loading asks for."""
        if self.model == "nano":
            return []
        repo = RELEASED[self.model]
        return [f"{repo} {','.join(list_checkpoint(self.model))} {PINNED[repo]}"]


# ZeroGPU has Python 3.12.12 and 3.10.13. A GPU of each holds the weights in bfloat16 with room for a cache.
PRESETS = {
    "cpu-nano": Preset("cpu-basic"),
    "zerogpu-tiny": Preset("zero-a10g", "tiny", python="3.12.12"),
    "zerogpu-small": Preset("zero-a10g", "small", patience="1h", python="3.12.12"),
    "gpu-tiny": Preset("l4x1", "tiny"),
    "gpu-small": Preset("l40sx1", "small", patience="1h"),
    "gpu-base": Preset("a100-large", "base", patience="1h"),
}


def list_checkpoint(model: str) -> list[str]:
    """The files of a released checkpoint that loading reads."""
    count = SHARDS[model]
    shards = [f"model-{number:05}-of-{count:06}.safetensors" for number in range(1, count + 1)]
    return [*TEXTS, "model.safetensors.index.json", *shards]


def write_front_matter(preset: Preset, gradio: str) -> str:
    """The head of a Space's README.md; `gradio` is the release to install."""
    fields: dict[str, Any] = {
        "title": "DeepSeek-VL2",
        "emoji": "🔎",
        "colorFrom": "blue",
        "colorTo": "indigo",
        "sdk": "gradio",
        "sdk_version": gradio,
        "python_version": preset.python,
        "app_file": "app.py",
        "license": "mit",
        "short_description": "Chat, find boxes, and see the tiles of DeepSeek-VL2",
        "suggested_hardware": preset.hardware,
        "startup_duration_timeout": preset.patience or None,
        "models": list(_find_models(preset)),
        "preload_from_hub": preset.preload or None,
        "tags": ["deepseek-vl2", "vision-language", "visual-grounding", "mixture-of-experts"],
    }
    return f"---\n{SpaceCardData(**fields).to_yaml(original_order=list(fields))}\n---\n"


def _find_models(preset: Preset) -> Sequence[str]:
    """Of nano's Space all, because it is the demo of all."""
    return [*RELEASED.values()] if preset.model == "nano" else [RELEASED[preset.model]]
