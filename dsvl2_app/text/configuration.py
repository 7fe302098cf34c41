"""processor_config.json: what a checkpoint fixes about its inputs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from dsvl2_app.errors import CheckpointError, SettingsError
from dsvl2_app.image.geometry import RELEASED_GEOMETRY, TileGeometry
from dsvl2_app.text.prompt import IMAGE_TOKEN

FILE_NAME = "processor_config.json"
# Entries of the file that say who wrote it and with which class, not how.
BOOKKEEPING = ("processor_class", "auto_map", "transformers_version", "tokenizer_class", "image_processor_type")


@dataclass(frozen=True, slots=True)
class ProcessorConfig:
    """The official fields with the released values. Sizes are (width, height) px."""

    candidate_resolutions: Sequence[Sequence[int]] = RELEASED_GEOMETRY.candidates
    patch_size: int = 14
    downsample_ratio: int = 2
    image_mean: Sequence[float] = (0.5, 0.5, 0.5)
    image_std: Sequence[float] = (0.5, 0.5, 0.5)
    normalize: bool = True
    image_token: str = IMAGE_TOKEN
    pad_token: str = "<｜▁pad▁｜>"
    add_special_token: bool = False
    sft_format: str = "deepseek"
    mask_prompt: bool = True
    ignore_id: int = -100

    def __post_init__(self) -> None:
        if self.sft_format != "deepseek" or self.image_token != IMAGE_TOKEN:
            raise CheckpointError(
                f"{FILE_NAME} asks for sft_format {self.sft_format!r} and image token {self.image_token!r}; "
                f"only 'deepseek' and {IMAGE_TOKEN!r} are known."
            )

    @classmethod
    def names(cls) -> list[str]:
        return [field.name for field in fields(cls)]

    @classmethod
    def of(cls, values: dict[str, Any]) -> ProcessorConfig:
        """From named values; one that has no such name is a SettingsError."""
        known = cls.names()
        wrong = [name for name in values if name not in known and name not in BOOKKEEPING]
        if wrong:
            raise SettingsError(f"The processor has no setting {wrong[0]!r}; the settings are {', '.join(known)}.")
        return cls(**{name: value for name, value in values.items() if name in known})

    @classmethod
    def read(cls, folder: Path, **changed: Any) -> ProcessorConfig:
        """The file in `folder`, with some values changed."""
        return cls.of({**json.loads((folder / FILE_NAME).read_text(encoding="utf-8")), **changed})

    def write(self, folder: Path) -> Path:
        text = json.dumps({**self.to_dict(), "processor_class": "DeepseekVLV2Processor"}, indent=2, sort_keys=True)
        (folder / FILE_NAME).write_text(f"{text}\n", encoding="utf-8")
        return folder / FILE_NAME

    def to_dict(self) -> dict[str, Any]:
        """In the types of JSON."""
        lists = {
            "candidate_resolutions": [list(pair) for pair in self.candidate_resolutions],
            "image_mean": list(self.image_mean),
            "image_std": list(self.image_std),
        }
        return {**asdict(self), **lists}

    @property
    def geometry(self) -> TileGeometry:
        return TileGeometry(
            tile=self.candidate_resolutions[0][0],
            patch=self.patch_size,
            downsample=self.downsample_ratio,
            candidates=tuple((int(width), int(height)) for width, height in self.candidate_resolutions),
        )
