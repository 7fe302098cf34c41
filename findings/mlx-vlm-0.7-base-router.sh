#!/usr/bin/env bash
# mlx-vlm's router for DeepSeek-VL2 base leaves out its bias and does not make the weights of chosen experts sum to one.
#
# Expected: base's router ("noaux_tc" over sigmoid scores) chooses the six experts with the largest score plus bias; their
#   weights are the scores without the bias, divided by their sum (norm_topk_prob) and then scaled by two.
# Happens: the bias is added to a copy that only the choice of groups reads, and base has one group; experts are chosen by
#   the bare scores. norm_topk_prob is no field of the configuration, so it is dropped without a word: weights are scaled,
#   not divided, so that six experts add up to well over the two that is right.
# Shown: transformers' DeepseekV3TopkRouter, which has this rule, and mlx-vlm's MoEGate with the same weights and bias: how
#   many of 256 tokens get the same experts, and what their weights sum to; with the bias at zero for comparison.
# Matters here: people compare base's answers with those from a Mac. Ours follow the published rule.
# Source: mlx-vlm 0.7.10, models/deepseek_vl_v2/language.py (MoEGate), config.py; DeepSeek-V3 paper, 2.1.2.
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
from mlx_vlm.models.deepseek_vl_v2.language import MoEGate
from transformers import DeepseekV3Config
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3TopkRouter

# What base's config.json says of its router, with a narrower hidden size.
base = {
    "hidden_size": 64,
    "n_routed_experts": 72,
    "num_experts_per_tok": 6,
    "n_group": 1,
    "topk_group": 1,
    "topk_method": "noaux_tc",
    "scoring_func": "sigmoid",
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.0,
}
torch.manual_seed(0)
reference = DeepseekV3TopkRouter(DeepseekV3Config(**base))
with torch.no_grad():
    reference.weight.normal_(0, 0.1)
tokens = torch.randn(1, 256, base["hidden_size"])
versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("mlx", "mlx-vlm", "torch", "transformers"))
print(versions)
shares, sums = {}, {}
for spread in (0.0, 0.3):
    with torch.no_grad():
        reference.e_score_correction_bias.normal_(0, 1).mul_(spread)
        _, weights, chosen = reference(tokens)
    gate = MoEGate(TextConfig.from_dict(base))
    gate.weight = mx.array(reference.weight.detach().numpy())
    gate.e_score_correction_bias = mx.array(reference.e_score_correction_bias.numpy())
    theirs, scores = gate(mx.array(tokens.numpy()))
    theirs, scores = torch.tensor(theirs.tolist())[0], torch.tensor(scores.tolist())[0]
    shares[spread] = float((theirs.sort(-1)[0] == chosen.sort(-1)[0]).all(-1).float().mean())
    sums[spread] = float(weights.sum(-1).mean()), float(scores.sum(-1).mean())
    print(f"bias of standard deviation {spread}: same six experts for {shares[spread]:.2f} of the tokens;")
    print(f"  weights sum to {sums[spread][0]:.2f} (transformers) and {sums[spread][1]:.2f} (mlx-vlm)")
same = shares[0.0] == 1 and shares[0.3] < 0.1 and all(abs(ours - 2) < 1e-3 and theirs > 4 for ours, theirs in sums.values())
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
