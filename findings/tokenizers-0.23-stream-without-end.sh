#!/usr/bin/env bash
# The pieces of tokenizers' DecodeStream are not the text: what waits when the last id came is never handed out.
#
# Expected: joined together, the pieces that `step` returns for an answer's ids are what `decode` makes of those ids.
# Happens: a piece that ends in U+FFFD is held back, since it may be half of a character. There is no call that says that no
#   more will come, so whatever is held back at the end is lost: a character that a limit of tokens cut in half, which
#   `decode` shows as U+FFFD, and also a U+FFFD that the model wrote itself, whole, as its last word. One in the middle
#   comes late, together with the letter after it.
# Shown: a byte-level tokenizer; ids of texts that end well, in half a character, and in a real U+FFFD: pieces and text.
# Matters here: text that is streamed and text that is read at once must be equal, which our tests ask of every answer; OCR
#   answers do end in half a Chinese character when max_tokens is reached. Our TextStream hands out the rest at the end.
# Source: tokenizers 0.23.3, tokenizers.decoders.DecodeStream.
set -euo pipefail
TOKENIZERS=0.23.3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "tokenizers==$TOKENIZERS"
cat > "$folder/show.py" <<'PYTHON'
import sys

import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.decoders import DecodeStream

tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
alphabet = pre_tokenizers.ByteLevel.alphabet()  # every byte has an id
tokenizer.train_from_iterator(["total"], trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))


def compare(ids):
    stream = DecodeStream()
    pieces = [stream.step(tokenizer, each) for each in ids]
    return "".join(filter(None, pieces)), tokenizer.decode(ids), pieces


whole = tokenizer.encode("total 合").ids
cases = {"ends well": whole, "ends in half a character": whole[:-1], "ends in U+FFFD": tokenizer.encode("total \ufffd").ids}
equal = {}
for name, ids in cases.items():
    streamed, text, pieces = compare(ids)
    equal[name] = streamed == text
    print(f"tokenizers {tokenizers.__version__}, {name}: decode {text!r}, joined {streamed!r} of {pieces}")
same = equal == {"ends well": True, "ends in half a character": False, "ends in U+FFFD": False}
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
