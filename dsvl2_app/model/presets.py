"""Which values config.json has in nano and in the released models."""

from __future__ import annotations

from typing import Any

from dsvl2_app.image.geometry import RELEASED_CANDIDATES


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
