#!/usr/bin/env bash
# transformers 5.24 calls the cache by another name, and a model of one's own then generates wrong text without an error.
#
# Expected: a minor release keeps generate() working for a model class outside the library, or raises.
# Happens: 5.24.0 renamed `past_key_values` to `cache` where generate() calls forward(). The library's own models are
#   wrapped so that both names work; a model of one's own is called with `cache=` alone. If its forward takes
#   `past_key_values` and, as is usual, **kwargs, the cache disappears in **kwargs: every new token is computed from the
#   last one alone. The first token is right, the rest is another text; a line on stderr speaks of a deprecation.
# Matters: every port that lives outside transformers (as ours) broke silently for users with a floating requirement.
#   forward() must take both names, and refuse keyword arguments that it does not know.
# Source: run below; generation/utils.py of 5.24.0 (DEPRECATED_CACHE_NAMES, ALL_CACHE_NAMES).
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/probe.py" <<'P'
import torch
import transformers
from torch import nn
from transformers import DynamicCache, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast


class Config(PreTrainedConfig):
    model_type = "one_layer"
    vocab_size, hidden_size, num_hidden_layers, num_attention_heads = 50, 16, 1, 1


class OneLayer(PreTrainedModel, GenerationMixin):
    config_class = Config

    def __init__(self, config):
        super().__init__(config)
        self.embed, self.head = nn.Embedding(50, 16), nn.Linear(16, 50)
        self.query, self.key, self.value = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, past_key_values=None, use_cache=None, **kwargs):
        embeds = self.embed(input_ids)
        queries, keys, values = (part(embeds)[:, None] for part in (self.query, self.key, self.value))
        if past_key_values is None and use_cache:
            past_key_values = DynamicCache()
        if past_key_values is not None:
            keys, values = past_key_values.update(keys, values, 0)
        new, total = queries.shape[2], keys.shape[2]
        looks = torch.ones(new, total, dtype=torch.bool).tril(total - new)
        context = nn.functional.scaled_dot_product_attention(queries * 8, keys, values, attn_mask=looks)[:, 0]
        return CausalLMOutputWithPast(logits=self.head(context + embeds), past_key_values=past_key_values)


torch.manual_seed(0)
model = OneLayer(Config()).eval()
for parameter in model.parameters():
    nn.init.normal_(parameter)
prompt = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
with_cache, without = (
    model.generate(prompt, max_new_tokens=12, do_sample=False, use_cache=use_cache)[0, 8:].tolist()
    for use_cache in (True, False)
)
print(f"transformers {transformers.__version__}: cache {with_cache}, no cache {without},",
      "equal" if with_cache == without else "different" if with_cache[0] == without[0] else "all different")
P
for version in 5.23.0 5.24.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install -q "torch==2.13.0" "transformers==$version" "numpy==2.3.5"
    "$folder/$version/bin/python" "$folder/probe.py" | tee -a "$folder/output"
done
grep -q "transformers 5.23.0: .* equal" "$folder/output"
grep -q "transformers 5.24.0: .* different" "$folder/output"
