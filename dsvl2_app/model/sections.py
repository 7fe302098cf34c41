"""The parts of config.json: vision encoder, adaptor and decoder, each with the official keys and defaults.

Saved files leave out every value that equals a default of the official classes, so the defaults below repeat
those exactly (misspelt `gready` included).
"""

from __future__ import annotations

import copy
import inspect
from typing import Any, ClassVar, cast

from transformers import PreTrainedConfig, __version__

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
        own = {"model_type": self.model_type, "transformers_version": __version__}
        output = {**copy.deepcopy(self.further), **written, **own}
        self.dict_dtype_to_str(output)  # JSON knows no torch.dtype
        return output

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
