#!/usr/bin/env bash
# A tokenizer that transformers 5 has saved cannot be opened by transformers 4.57, though its tokenizer.json can.
#
# Expected: tokenizer.json is the portable file; saving a PreTrainedTokenizerFast again gives a folder that the last
#   4.x release opens, since neither the vocabulary nor the file's format has changed.
# Happens: 5.24.0 writes `"tokenizer_class": "TokenizersBackend"` (a class that 4.x does not have), keeps
#   extra special tokens as a list where 4.x wants a mapping, and writes no special_tokens_map.json. AutoTokenizer of
#   4.57.3 refuses the folder. Setting the class alone is not always enough.
# Matters: servers and converters that read a checkpoint (vLLM, exporters) may be on 4.57 while the one who fine-tuned
#   it is on 5.x; whoever saves has to rewrite tokenizer_config.json.
# Source: run below.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
cat > "$folder/save.py" <<'P'
import json, sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

words = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3, "b": 4}, unk_token="<unk>"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>", additional_special_tokens=["<image>"]
)
tokenizer.save_pretrained(sys.argv[1])
saved = json.load(open(sys.argv[1] + "/tokenizer_config.json"))
print("saved:", {name: saved[name] for name in ("tokenizer_class", "extra_special_tokens") if name in saved})
P
cat > "$folder/open.py" <<'P'
import sys
import transformers
from transformers import AutoTokenizer

try:
    print(f"transformers {transformers.__version__}:", AutoTokenizer.from_pretrained(sys.argv[1])("a b")["input_ids"])
except Exception as error:
    print(f"transformers {transformers.__version__}: {type(error).__name__}: {str(error)[:120]}")
P
for version in 5.24.0 4.57.3; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install -q "transformers==$version" "numpy==2.3.5"
done
"$folder/5.24.0/bin/python" "$folder/save.py" "$folder/saved" | tee "$folder/output"
for version in 5.24.0 4.57.3; do
    "$folder/$version/bin/python" "$folder/open.py" "$folder/saved" 2>/dev/null | tee -a "$folder/output"
done
grep -q "saved: .*TokenizersBackend" "$folder/output"
grep -q "transformers 5.24.0: \[3, 4\]" "$folder/output"
grep -q "transformers 4.57.3: ValueError: Tokenizer class TokenizersBackend" "$folder/output"
