#!/usr/bin/env bash
# peft adapts the experts of a model by its type's name: the same layers under a name of one's own are left out in silence.
#
# Expected: LoRA's "all-linear", or the usual list from q_proj to down_proj, reaches the same layers in a subclass that
#   changes nothing but model_type; or peft tells which of the names it has not found.
# Happens: transformers 5 stacks the experts of a layer into parameters, which "all-linear" does not see. peft 0.21.2 mends
#   that for the library's own mixtures by a table of model types, and adapts qwen3_moe's experts from either
#   target. The subclass gets attention alone from the usual list: no error, no warning, a falling loss. A name that is
#   not found raises only if none of the others is.
# Matters: DeepSeek-VL2 here is such a model, most of whose weights are experts. Who tunes it names its experts by
#   `target_parameters`, as docs/finetuning.md says, and compares the count of tensors that learn.
# Source: run below; peft/utils/transformers_weight_conversion.py.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/probe.py" <<'P'
import warnings

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM


class OwnConfig(Qwen3MoeConfig):
    model_type = "own_moe"


class OwnForCausalLM(Qwen3MoeForCausalLM):
    config_class = OwnConfig


sizes = dict(vocab_size=64, hidden_size=32, intermediate_size=32, moe_intermediate_size=32, num_hidden_layers=2)
sizes |= dict(num_attention_heads=2, num_key_value_heads=2, head_dim=16, num_experts=8, num_experts_per_tok=2)
usual = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
print(f"peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
for config, kind in ((Qwen3MoeConfig, Qwen3MoeForCausalLM), (OwnConfig, OwnForCausalLM)):
    for named, targets in (("all-linear", "all-linear"), ("the usual seven", usual)):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            model = get_peft_model(kind(config(**sizes)), LoraConfig(r=2, target_modules=targets))
        learnt = [name for name, each in model.named_parameters() if each.requires_grad]
        experts = sum(".experts." in name for name in learnt)
        words = sum("_proj" in str(each.message) and "not found" in str(each.message) for each in told)
        print(f"{config.model_type}, {named}: {len(learnt)} tensors learn, {experts} of experts, {words} warnings of it")
P
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q "torch==2.13.0" "transformers==5.24.0" "peft==0.21.2" "numpy==2.3.5"
"$folder/venv/bin/python" "$folder/probe.py" 2> "$folder/errors" | tee "$folder/output" || cat "$folder/errors"
grep -q "qwen3_moe, all-linear: 28 tensors learn, 8 of experts" "$folder/output"
grep -q "qwen3_moe, the usual seven: 24 tensors learn, 8 of experts" "$folder/output"
grep -q "own_moe, all-linear: 16 tensors learn, 0 of experts, 0 warnings" "$folder/output"
grep -q "own_moe, the usual seven: 16 tensors learn, 0 of experts, 0 warnings" "$folder/output"
