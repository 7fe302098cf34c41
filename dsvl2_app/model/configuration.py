"""config.json of a DeepSeek-VL2 checkpoint, in the official layout, as a transformers configuration class."""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import AutoConfig, PreTrainedConfig, __version__

from dsvl2_app.errors import CheckpointError
from dsvl2_app.image.geometry import TileGeometry
from dsvl2_app.model.presets import PRESETS
from dsvl2_app.model.sections import AdaptorConfig, DecoderConfig, VisionConfig


class DeepseekVL2Config(PreTrainedConfig):
    """The whole model. `model_type` is the official one, which DeepSeek-OCR shares; see `check_supported`."""

    model_type = "deepseek_vl_v2"
    sub_configs: ClassVar[dict[str, Any]] = {
        "vision_config": VisionConfig,
        "projector_config": AdaptorConfig,
        "language_config": DecoderConfig,
    }

    def __init__(
        self,
        vision_config: dict[str, Any] | VisionConfig | None = None,
        projector_config: dict[str, Any] | AdaptorConfig | None = None,
        language_config: dict[str, Any] | DecoderConfig | None = None,
        tile_tag: str = "2D",
        global_view_pos: str = "head",
        candidate_resolutions: Any = ((384, 384),),
        **kwargs: Any,
    ) -> None:
        self.vision_config = _build(VisionConfig, vision_config, "vision_config")
        self.projector_config = _build(AdaptorConfig, projector_config, "projector_config")
        self.language_config = _build(DecoderConfig, language_config, "language_config")
        self.tile_tag = tile_tag
        self.global_view_pos = global_view_pos
        self.candidate_resolutions = tuple((int(w), int(h)) for w, h in candidate_resolutions)
        kwargs.setdefault("tie_word_embeddings", False)
        super().__init__(**kwargs)

    @classmethod
    def preset(cls, name: str) -> DeepseekVL2Config:
        """The configuration of nano or of a released size: "nano", "tiny", "small" or "base"."""
        return cls(**PRESETS[name])

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> DecoderConfig:
        return self.language_config

    @property
    def text_config(self) -> DecoderConfig:
        """`language_config` by the name that it has in other models, where libraries look for it."""
        return self.language_config

    @property
    def use_cache(self) -> bool:
        """The decoder's; Trainer switches it here."""
        return self.language_config.use_cache

    @use_cache.setter
    def use_cache(self, value: bool) -> None:
        self.language_config.use_cache = value

    def to_diff_dict(self) -> dict[str, Any]:
        """`to_dict` without what every configuration has by default; this is what is printed and saved.

        Sections are taken as they are. transformers before 5.20 looks for each of their keys in an empty section, and
        raises KeyError because an empty section of ours has none.
        """
        common = PreTrainedConfig().to_dict()
        kept = {key: value for key, value in self.to_dict().items() if key not in common or value != common[key]}
        kept.pop("_name_or_path", None)
        return {**kept, "transformers_version": __version__}

    @property
    def geometry(self) -> TileGeometry:
        return TileGeometry(
            tile=self.vision_config.image_size,
            patch=self.vision_config.patch_size,
            downsample=self.projector_config.downsample_ratio,
            candidates=self.candidate_resolutions,
        )

    def check_supported(self, where: str = "config.json") -> None:
        """Raise CheckpointError if any value asks for something that this code would silently ignore."""
        decoder, adaptor, vision = self.language_config, self.projector_config, self.vision_config
        if adaptor.projector_type == "linear" or "deeplip" in vision.model_name:
            raise CheckpointError(
                f"{where} describes DeepSeek-OCR, which shares the model type deepseek_vl_v2 but has another "
                "vision encoder; choose a DeepSeek-VL2 checkpoint such as deepseek-ai/deepseek-vl2-tiny."
            )
        understood = (
            ("projector_config.projector_type", adaptor.projector_type, ("downsample_mlp_gelu",)),
            ("projector_config.token_pooling", adaptor.token_pooling, (False,)),
            ("vision_config.global_pool", vision.global_pool, ("map", "")),
            ("quantization_config", getattr(self, "quantization_config", None), (None,)),
            ("tile_tag", self.tile_tag, ("2D",)),
            ("global_view_pos", self.global_view_pos, ("head",)),
            ("language_config.rope_scaling", decoder.unsupported_rope_scaling, (None,)),
            ("language_config.rope_parameters.rope_type", decoder.rope_type, ("default",)),
            ("language_config.hidden_act", decoder.hidden_act, ("silu",)),
            ("language_config.moe_layer_freq", decoder.moe_layer_freq, (1,)),
            ("language_config.n_group", decoder.n_group, (None, 1)),
            ("language_config.tie_word_embeddings", decoder.tie_word_embeddings, (False,)),
            ("language_config.attention_bias", decoder.attention_bias, (False,)),
            ("language_config.scoring_func", decoder.scoring_func, ("softmax", "sigmoid")),
            ("language_config.topk_method", decoder.topk_method, ("greedy", "gready", "noaux_tc")),
        )
        for name, value, allowed in understood:
            if value not in allowed:
                choices = " or ".join(repr(choice) for choice in allowed)
                raise CheckpointError(
                    f"{where}: {name} is {value!r}, which this version does not understand; it must be {choices}."
                )


AutoConfig.register(DeepseekVL2Config.model_type, DeepseekVL2Config, exist_ok=True)


def _build(config_class: type[PreTrainedConfig], value: Any, section: str) -> Any:
    if isinstance(value, config_class):
        return value
    if not isinstance(value, dict | None):
        raise CheckpointError(f"{section} in config.json is {value!r}; it must be an object.")
    return config_class(**{key: item for key, item in (value or {}).items() if key != "model_type"})
