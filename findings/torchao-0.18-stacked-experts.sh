#!/usr/bin/env bash
# torchao's int8 leaves the experts of a mixture as they are: most of the model stays in floating point, without a word.
#
# Expected: `quantize_(model, Int8WeightOnlyConfig())`, and transformers' TorchAoConfig of it, make nearly all weights of a
#   language model int8, as with the mixtures of transformers 4, whose experts were linear layers one by one.
# Happens: transformers 5 stacks the experts of a layer into one parameter of three dimensions that no nn.Linear owns.
#   Both ways convert the linear layers and pass the experts by, without a warning; of this small Qwen3-MoE nine tenths of the
#   weights are experts.
# Shown: which weights of the model are of torchao's type afterwards, and how many bytes are left.
# Matters here: DeepSeek-VL2 is nearly all experts. Who quantises it with torchao believes it to be half as large. Our
#   loader refuses such a quantization_config in one sentence and has --quantize int8 of its own, experts included.
# Source: torchao 0.18.0, transformers 5.24.0; found while testing what from_pretrained is passed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 torchao==0.18.0 \
    accelerate numpy
cat > "$folder/show.py" <<'PYTHON'
import logging
import sys
import tempfile
import warnings

import torch
import torchao
import transformers
from torchao.quantization import Int8WeightOnlyConfig, quantize_
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM, TorchAoConfig

heard: list[str] = []
handler = logging.Handler()
handler.emit = lambda record: heard.append(record.getMessage())
for library in ("torchao", "transformers"):
    logging.getLogger(library).addHandler(handler)
sizes = dict(vocab_size=256, hidden_size=128, intermediate_size=128, moe_intermediate_size=256, num_hidden_layers=2)
sizes |= dict(num_attention_heads=4, num_key_value_heads=4, head_dim=32, num_experts=8, num_experts_per_tok=2)
torch.manual_seed(0)
plain = Qwen3MoeForCausalLM(Qwen3MoeConfig(**sizes)).to(torch.bfloat16)
folder = tempfile.mkdtemp()
plain.save_pretrained(folder)
total = sum(each.numel() for each in plain.parameters())
experts = sum(each.numel() for name, each in plain.named_parameters() if ".experts." in name)
print(f"torchao {torchao.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
print(f"{experts / total:.0%} of the weights are experts")


def count(model: torch.nn.Module) -> tuple[int, int]:
    """Expert parameters, and others, that torchao has converted."""
    narrow = [name for name, each in model.named_parameters() if "torchao" in type(each.data).__module__]
    narrow += [name for name, each in model.named_parameters() if "torchao" in type(each).__module__ and name not in narrow]
    return sum(".experts." in name for name in narrow), sum(".experts." not in name for name in narrow)


with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    heard.clear()
    quantize_(plain, Int8WeightOnlyConfig())
    loaded = Qwen3MoeForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, quantization_config=TorchAoConfig(Int8WeightOnlyConfig())
    )
spoke = [text for text in [*heard, *(str(each.message) for each in told)] if "expert" in text.lower()]
found = {"quantize_": count(plain), "TorchAoConfig": count(loaded)}
for way, (of_experts, others) in found.items():
    print(f"{way}: {others} other weights are int8, {of_experts} of experts")
print("words about experts:", spoke)
same = all(others > 0 and not of_experts for of_experts, others in found.values()) and not spoke and experts / total > 0.8
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
"$folder/venv/bin/python" "$folder/show.py" 2> "$folder/errors" || { tail -5 "$folder/errors"; exit 1; }
