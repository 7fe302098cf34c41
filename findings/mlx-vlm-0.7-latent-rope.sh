#!/usr/bin/env bash
# mlx-vlm turns the wrong pairs of numbers in DeepSeek-VL2's latent attention (small and base; tiny has none).
#
# Expected: a port's attention equals the published one. DeepSeek-V2's rotary embedding turns neighbours, (0, 1), (2, 3), ...
#   of the 64 numbers that carry the position.
# Happens: one option of the language model says how pairs are chosen, for the plain attention of tiny and for the latent
#   attention of the other two. Its default is now the one that tiny needs, halves: (0, 32), (1, 33), ...; nothing in a
#   checkpoint's config.json sets it. One word is answered alike (position 0 turns nothing), longer prompts are not.
# Shown: the same random weights in transformers' DeepseekV2ForCausalLM and in mlx-vlm's language model, with the option as
#   it comes and with the other value. MLX runs on a Linux CPU here.
# Matters here: mlx-vlm is the way to run this model on a Mac that people name to us; words of small and base from there are
#   no reference for ours, those of tiny may be.
# Source: mlx-vlm 0.7.10, models/deepseek_vl_v2/config.py (rope_traditional), language.py; DeepSeek-V2 paper, 2.1.3.
set -euo pipefail
MLX=0.32.4 MLX_VLM=0.7.10 TORCH=2.13.0 TRANSFORMERS=5.24.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "mlx[cpu]==$MLX" "mlx-vlm==$MLX_VLM" "torch==$TORCH" \
    "transformers==$TRANSFORMERS"
cat > "$folder/show.py" <<'PYTHON'
import importlib.metadata
import sys

import mlx.core as mx
import torch
from mlx_vlm.models.deepseek_vl_v2.config import TextConfig
from mlx_vlm.models.deepseek_vl_v2.language import LanguageModel
from transformers import DeepseekV2Config, DeepseekV2ForCausalLM

sizes = {
    "vocab_size": 128,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "q_lora_rank": None,
    "kv_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 16,
    "v_head_dim": 16,
    "rms_norm_eps": 1e-6,
    "first_k_dense_replace": 2,  # no experts: only attention is compared
}
torch.manual_seed(0)
reference = DeepseekV2ForCausalLM(DeepseekV2Config(**sizes, attn_implementation="eager")).eval()
with torch.no_grad():
    for parameter in reference.parameters():
        parameter.normal_(0, 0.2) if parameter.ndim > 1 else parameter.fill_(1)
weights = [(name, mx.array(value.numpy())) for name, value in reference.state_dict().items()]
prompt = [3, 14, 15, 92, 65, 35, 89, 79, 32, 38]


def distance(words: list[int], **options: bool) -> float:
    with torch.no_grad():
        want = reference(torch.tensor([words])).logits[0, -1]
    model = LanguageModel(TextConfig(**sizes, **options))
    model.load_weights(weights)
    have = torch.tensor(model(mx.array([words])).logits.tolist())[0, -1]
    return float((have - want).abs().max() / want.abs().max())


versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("mlx", "mlx-vlm", "torch", "transformers"))
alone, default, other = distance(prompt[:1]), distance(prompt), distance(prompt, rope_traditional=True)
print(versions)
print(f"largest difference of a logit, as a share of the largest logit: one word {alone:.1e}")
print(f"ten words, as it comes {default:.1e}; ten words, rope_traditional=True {other:.1e}")
same = alone < 1e-4 and other < 1e-4 and default > 0.05
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
