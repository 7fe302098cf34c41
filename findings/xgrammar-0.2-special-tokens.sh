#!/usr/bin/env bash
# A regular expression given to xgrammar lets special tokens through wherever their spelling fits, as if they were letters.
#
# Expected: special tokens are no text, so a regex never produces one: "<|det|>" in a pattern has to be written letter by
#   letter. llguidance, the other engine that servers offer, does it so and says it.
# Happens: the mask of `compile_regex(r"<\|det\|>x")` allows the special token of that spelling as the first one, and
#   `[^x]*` allows it anywhere, because the tokenizer's list of strings is matched whole, special ones included.
# Shown: a byte-level tokenizer of transformers with one special token; the bits of the first mask for both patterns, and
#   for one that the spelling does not fit.
# Matters here: boxes are <|ref|> and <|det|> tokens. On a server that guides by xgrammar a regex over the whole answer
#   keeps a DeepSeek-VL2's boxes well formed; on one that guides by llguidance the same regex forces spelled-out tags that
#   the model never learnt. Our remote backend therefore asks a server once what it does.
# Source: xgrammar 0.2.8; found while guiding boxes on vLLM 0.32.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 xgrammar==0.2.8 numpy
cat > "$folder/show.py" <<'PYTHON'
import sys
from importlib.metadata import version

import xgrammar
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

letters = sorted(pre_tokenizers.ByteLevel.alphabet())
tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")
fast.add_special_tokens({"additional_special_tokens": ["<|det|>"]})
special = fast.convert_tokens_to_ids("<|det|>")
compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo.from_huggingface(fast, vocab_size=len(fast)))


def allows(pattern):
    matcher = xgrammar.GrammarMatcher(compiler.compile_regex(pattern))
    mask = xgrammar.allocate_token_bitmask(1, len(fast))
    matcher.fill_next_token_bitmask(mask)
    return bool(mask[0, special // 32].item() >> (special % 32) & 1)


found = {pattern: allows(pattern) for pattern in (r"<\|det\|>x", r"[^x]*", r"[0-9]+")}
print("xgrammar", version("xgrammar"), "lets the special token begin:", found, "special:", special in fast.all_special_ids)
same = list(found.values()) == [True, True, False] and special in fast.all_special_ids
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
"$folder/venv/bin/python" "$folder/show.py" 2> "$folder/errors" || { tail -5 "$folder/errors"; exit 1; }
