#!/usr/bin/env bash
# generate() with guidance_scale writes other text once it looks ahead or searches in beams: guidance then mixes in what was thrown away.
#
# Expected: prompt_lookup_num_tokens gives the text that greedy search gives, only sooner, as it does with every penalty. Beams are
#   scored by guidance on their own words. What does not fit together is refused.
# Happens: guidance keeps the state of its second, unguided run between calls and adds the last token of what it is shown, once a call. Looking
#   ahead calls it for words that are then refused, which stay in that state; beam search swaps beams, and the state stays behind
#   in the old order. From there the two runs are of different texts. The answer is plausible, another one each way, and no warning is given.
# Shown: a small model with random weights in float64: greedy search, lookup and beams, with the library's guidance and with one of
#   a few lines that computes its second run anew each time; how many tokens of twenty agree.
# Matters here: guidance (against the question without its picture) is a usual means against made-up things in answers of vision-language
#   models, and lookup is free speed where answers repeat the prompt, as in reading. Together they give neither. Leave one out, or give
#   generate() a guidance without a state as `logits_processor`.
# Source: transformers 5.24.0, generation/logits_process.py (UnbatchedClassifierFreeGuidanceLogitsProcessor); torch 2.13.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 numpy
cat > "$folder/show.py" <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import torch
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessor, LogitsProcessorList
from transformers.utils import logging

logging.set_verbosity_error()
warnings.filterwarnings("ignore")
torch.set_num_threads(1)
SCALE, NEW = 1.5, 20
prompt = torch.tensor([[5, 6, 7, 8, 9, 10, 5, 6, 7, 8, 9, 10]])
LENGTH = prompt.shape[1]


class Guidance(LogitsProcessor):
    """The library's formula; the run without the prompt is of the prompt's last token and all that follows in each row."""

    def __init__(self, model):
        self.model = model

    def __call__(self, input_ids, scores):
        guided = scores.log_softmax(-1)
        unguided = self.model(input_ids[:, LENGTH - 1 :]).logits[:, -1].log_softmax(-1)
        return SCALE * (guided - unguided) + unguided


def model_of(seed):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=40, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    model = LlamaForCausalLM(config).double().eval()
    for weights in model.parameters():
        weights.data *= 3  # so that no two tokens are nearly as likely
    return model


def agree(first, second):
    pairs = zip(first, second, strict=True)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), NEW)


print(f"transformers {version('transformers')}, torch {torch.__version__}: tokens of {NEW} that agree")
same = True
for seed in range(3):
    model = model_of(seed)

    def write(guided, model=model, **how):
        if guided == "own":
            how |= {"logits_processor": LogitsProcessorList([Guidance(model)])}
        elif guided == "library":
            how |= {"guidance_scale": SCALE}
        return model.generate(prompt, max_new_tokens=NEW, do_sample=False, **how)[0, LENGTH:].tolist()

    lookup, beams = {"prompt_lookup_num_tokens": 3}, {"num_beams": 3}
    found = {
        "greedy, library and own": agree(write("library"), write("own")),
        "lookup and greedy, no guidance": agree(write(None, **lookup), write(None)),
        "lookup and greedy, own": agree(write("own", **lookup), write("own")),
        "lookup and greedy, library": agree(write("library", **lookup), write("library")),
        "beams, library and own": agree(write("library", **beams), write("own", **beams)),
    }
    print(f"weights {seed}: {found}")
    right, lost, parted = list(found.values())[:3], found["lookup and greedy, library"], found["beams, library and own"]
    same = same and right == [NEW, NEW, NEW] and lost < NEW and parted < NEW
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
