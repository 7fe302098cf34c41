"""config.json of a DeepSeek-VL2 checkpoint, in the official layout, as transformers configuration classes.

Saved files leave out every value that equals a default of the official classes, so the defaults below repeat
those exactly (misspelt `gready` included). Which values the released models have is in `PRESETS`.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, cast

from transformers import AutoConfig, PreTrainedConfig, __version__

from dsvl2_app.errors import CheckpointError
from dsvl2_app.image.tiles import RELEASED_CANDIDATES, TileGeometry

_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings")


class Section(PreTrainedConfig):
    """A nested part of config.json, written back with the keys that it was read with and no others.

    Subclasses set an attribute for each parameter of their constructor (`renamed` where its name is another); further
    keys of the file pass through.
    """

    renamed: ClassVar[dict[str, str]] = {}

    def __init__(self, **kwargs: Any) -> None:
        self.further = {key: value for key, value in kwargs.items() if key not in _TOKEN_IDS}
        super().__init__(**kwargs)

    def to_dict(self) -> dict[str, Any]:
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(type(self).__init__).parameters.items()
            if parameter.default is not parameter.empty
        }
        values = {name: getattr(self, self.renamed.get(name, name)) for name in defaults}
        written = {name: value for name, value in values.items() if value != defaults[name]}
        # transformers takes the version out again wherever it writes nested sections
        return {**self.further, **written, "model_type": self.model_type, "transformers_version": __version__}

    to_diff_dict = to_dict


class VisionConfig(Section):
    """SigLIP encoder (`vision_config`), in timm's terms."""

    model_type = "vision"

    def __init__(
        self,
        model_name: str = "vit_so400m_patch14_siglip_384.webli",
        image_size: int = 384,
        patch_size: int = 16,
        width: int = 1024,
        layers: int = 24,
        heads: int = 16,
        mlp_ratio: float = 4,
        global_pool: str = "map",
        **kwargs: Any,
    ) -> None:
        self.model_name = model_name
        self.image_size = image_size
        self.patch_size = patch_size
        self.width = width
        self.layers = layers
        self.heads = heads
        self.mlp_ratio = mlp_ratio
        self.global_pool = global_pool
        super().__init__(**kwargs)

    @property
    def patches(self) -> int:
        """Patches along one side of a tile; pixels beyond the last whole patch are not seen."""
        return self.image_size // self.patch_size

    @property
    def mlp_width(self) -> int:
        return int(self.width * self.mlp_ratio)


class AdaptorConfig(Section):
    """Vision-language adaptor (`projector_config`)."""

    model_type = "mlp_projector"

    def __init__(
        self,
        projector_type: str = "downsample_mlp_gelu",
        input_dim: int = 1152,
        n_embed: int = 2048,
        depth: int = 2,
        mlp_ratio: int = 1,
        downsample_ratio: int = 2,
        token_pooling: bool = False,
        **kwargs: Any,
    ) -> None:
        self.projector_type = projector_type
        self.input_dim = input_dim
        self.n_embed = n_embed
        self.depth = depth
        self.mlp_ratio = mlp_ratio
        self.downsample_ratio = downsample_ratio
        self.token_pooling = token_pooling
        super().__init__(**kwargs)


class DecoderConfig(Section):
    """DeepSeekMoE decoder (`language_config`)."""

    model_type = "deepseek_v2"
    keys_to_ignore_at_inference = ("past_key_values",)
    # transformers rewrites an attribute named rope_scaling into its own form; kept apart to be refused
    renamed: ClassVar[dict[str, str]] = {"rope_scaling": "unsupported_rope_scaling", "rope_parameters": "no_rope"}
    no_rope: ClassVar[None] = None

    def __init__(
        self,
        vocab_size: int = 102400,
        hidden_size: int = 4096,
        intermediate_size: int = 11008,
        moe_intermediate_size: int = 1407,
        num_hidden_layers: int = 30,
        num_attention_heads: int = 32,
        num_key_value_heads: int | None = 32,
        n_shared_experts: int | None = None,
        n_routed_experts: int | None = None,
        num_experts_per_tok: int | None = None,
        first_k_dense_replace: int = 0,
        moe_layer_freq: int = 1,
        scoring_func: str = "softmax",
        topk_method: str = "gready",
        norm_topk_prob: bool = False,
        routed_scaling_factor: float = 1.0,
        n_group: int | None = None,
        topk_group: int | None = None,
        use_mla: bool = True,
        kv_lora_rank: int | None = 512,
        q_lora_rank: int | None = 1536,
        qk_nope_head_dim: int = 128,
        qk_rope_head_dim: int = 64,
        v_head_dim: int = 128,
        attention_bias: bool = False,
        hidden_act: str = "silu",
        max_position_embeddings: int = 2048,
        rms_norm_eps: float = 1e-6,
        rope_theta: float = 10000.0,
        rope_scaling: dict[str, Any] | None = None,
        rope_parameters: dict[str, Any] | None = None,
        initializer_range: float = 0.02,
        use_cache: bool = True,
        bos_token_id: int | None = 100000,
        eos_token_id: int | None = 100001,
        pad_token_id: int | None = None,
        tie_word_embeddings: bool = False,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.moe_intermediate_size = moe_intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.num_key_value_heads = num_key_value_heads or num_attention_heads
        self.n_shared_experts = n_shared_experts
        # None in models that read them nowhere: without experts, and, of the rank, without latent attention
        self.n_routed_experts = cast("int", n_routed_experts)
        self.num_experts_per_tok = cast("int", num_experts_per_tok)
        self.kv_lora_rank = cast("int", kv_lora_rank)
        self.first_k_dense_replace = first_k_dense_replace
        self.moe_layer_freq = moe_layer_freq
        self.scoring_func = scoring_func
        self.topk_method = topk_method
        self.norm_topk_prob = norm_topk_prob
        self.routed_scaling_factor = routed_scaling_factor
        self.n_group = n_group
        self.topk_group = topk_group
        self.use_mla = use_mla
        self.q_lora_rank = q_lora_rank
        self.qk_nope_head_dim = qk_nope_head_dim
        self.qk_rope_head_dim = qk_rope_head_dim
        self.v_head_dim = v_head_dim
        self.attention_bias = attention_bias
        self.hidden_act = hidden_act
        self.max_position_embeddings = max_position_embeddings
        self.rms_norm_eps = rms_norm_eps
        # the spelling of transformers 5, which knows one theta and one type
        self.rope_type = (rope_parameters or {}).get("rope_type", "default")
        self.rope_theta = (rope_parameters or {}).get("rope_theta", rope_theta)
        self.unsupported_rope_scaling = rope_scaling
        self.initializer_range = initializer_range
        self.use_cache = use_cache
        super().__init__(
            bos_token_id=bos_token_id,
            eos_token_id=eos_token_id,
            pad_token_id=pad_token_id,
            tie_word_embeddings=tie_word_embeddings,
            **kwargs,
        )

    @property
    def head_dim(self) -> int:
        """Width that queries and keys of one head share."""
        if self.use_mla:
            return self.qk_nope_head_dim + self.qk_rope_head_dim
        return self.hidden_size // self.num_attention_heads

    @property
    def cache_width(self) -> int:
        """Numbers that the cache keeps per token and layer."""
        if self.use_mla:
            return self.kv_lora_rank + self.qk_rope_head_dim
        return 2 * self.num_key_value_heads * self.head_dim

    def is_dense(self, layer: int) -> bool:
        return self.n_routed_experts is None or layer < self.first_k_dense_replace


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


def _released(**language: Any) -> dict[str, Any]:
    common = dict(
        n_routed_experts=64,
        n_shared_experts=2,
        num_experts_per_tok=6,
        first_k_dense_replace=1,
        topk_method="greedy",
        n_group=1,
        topk_group=1,
        q_lora_rank=None,
        max_position_embeddings=4096,
        vocab_size=129280,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    language = common | language
    language["num_key_value_heads"] = language["num_attention_heads"]
    return dict(
        vision_config=dict(
            model_name="siglip_so400m_patch14_384", width=1152, layers=27, heads=16, patch_size=14, mlp_ratio=3.7362
        ),
        projector_config=dict(n_embed=language["hidden_size"]),
        language_config=language,
        candidate_resolutions=RELEASED_CANDIDATES,
        dtype="bfloat16",
    )


_NANO_TILE = 182  # 13 x 13 patches: odd as the released 27 x 27, so the adaptor pads here too

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": _released(
        hidden_size=1280,
        intermediate_size=6848,
        moe_intermediate_size=896,
        num_hidden_layers=12,
        num_attention_heads=10,
        use_mla=False,
        kv_lora_rank=None,
        qk_nope_head_dim=0,
        qk_rope_head_dim=0,
        v_head_dim=0,
    ),
    "small": _released(
        hidden_size=2048,
        intermediate_size=10944,
        moe_intermediate_size=1408,
        num_hidden_layers=27,
        num_attention_heads=16,
        vocab_size=102400,
        bos_token_id=100000,
        eos_token_id=100001,
        pad_token_id=100002,
    ),
    "base": _released(
        hidden_size=2560,
        intermediate_size=12288,
        moe_intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=32,
        n_routed_experts=72,
        scoring_func="sigmoid",
        topk_method="noaux_tc",
        norm_topk_prob=True,
        routed_scaling_factor=2.0,
    ),
    "nano": dict(
        vision_config=dict(
            model_name="siglip_nano_patch14_182",
            image_size=_NANO_TILE,
            width=256,
            layers=6,
            heads=4,
            patch_size=14,
            mlp_ratio=3.5,
            global_pool="",
        ),
        projector_config=dict(input_dim=256, n_embed=256),
        language_config=dict(
            vocab_size=2560,
            hidden_size=256,
            intermediate_size=512,
            moe_intermediate_size=112,
            num_hidden_layers=6,
            num_attention_heads=4,
            num_key_value_heads=4,
            n_routed_experts=8,
            n_shared_experts=1,
            num_experts_per_tok=2,
            first_k_dense_replace=1,
            scoring_func="sigmoid",
            topk_method="noaux_tc",
            norm_topk_prob=True,
            routed_scaling_factor=2.0,
            n_group=1,
            topk_group=1,
            kv_lora_rank=96,
            q_lora_rank=None,
            qk_nope_head_dim=48,
            qk_rope_head_dim=16,
            v_head_dim=64,
            max_position_embeddings=4096,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
        ),
        candidate_resolutions=tuple((w // 384 * _NANO_TILE, h // 384 * _NANO_TILE) for w, h in RELEASED_CANDIDATES),
        dtype="bfloat16",
    ),
}
