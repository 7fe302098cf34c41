#!/usr/bin/env bash
# With "maximum": 0.95 in a schema, llguidance lets a model write every number up to 0.95 except 0.9.
#
# Expected: {"type": "number", "minimum": 0, "maximum": 0.95} allows 0.9, as it allows 0.89, 0.90 and 0.91.
# Happens: the digits that the bound begins with may not end before it does. Of a bound 0.95 that is 0.9; of 0.955 0.9 and 0.95; of
#   99.99 it is 99.9; in front of the least of a negative range (-0.95) it is -0.9. With a nought behind, as 0.90, which hardly any text
#   has, it passes. Nothing is said: the mask leaves the comma or brace out, so that the model goes on and writes 0.90, 0.94 or 0.91.
#   xgrammar and the validator take them all.
# Shown: which of a number of values llguidance, xgrammar and jsonschema allow under five bounds. The vocabulary is that of bytes.
# Matters here: scores, prices and shares of a page are asked for by schema from servers of this model, and 0.9 is the score that models
#   like most. Servers choose between these engines by themselves, so that the same request gives 0.9 or 0.90 or another number.
#   A bound of one digit or a whole number has no such gap.
# Source: llguidance 1.9.1 (grammar_from_json_schema), xgrammar 0.2.9, jsonschema 4.25.1, compared value by value.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 xgrammar==0.2.9 numpy \
    llguidance==1.9.1 jsonschema==4.25.1
cat > "$folder/show.py" <<'PYTHON'
import json
import sys
from importlib.metadata import version

import jsonschema
import llguidance
import xgrammar

END = 256
vocabulary = [bytes([number]) for number in range(256)] + [b"</s>"]
compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo(vocabulary, stop_token_ids=[END]))
byte_tokens = llguidance.LLTokenizer("byte")


def by_llguidance(schema, text):
    matcher = llguidance.LLMatcher(byte_tokens, llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema)))
    assert not matcher.get_error(), matcher.get_error()
    tokens = byte_tokens.tokenize_str(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def by_xgrammar(schema, text):
    matcher = xgrammar.GrammarMatcher(compiler.compile_json_schema(json.dumps(schema)))
    return matcher.accept_string(text) and matcher.accept_token(END)


def by_jsonschema(schema, text):
    return jsonschema.Draft202012Validator(schema).is_valid(json.loads(text))


print(", ".join(f"{name} {version(name)}" for name in ("llguidance", "xgrammar", "jsonschema")))
cases = (
    ({"minimum": 0, "maximum": 0.95}, ["0.8", "0.89", "0.9", "0.90", "0.91", "0.95"], ["0.9"]),
    ({"minimum": 0, "maximum": 0.955}, ["0.9", "0.94", "0.95", "0.955"], ["0.9", "0.95"]),
    ({"maximum": 99.99}, ["99", "99.8", "99.9", "99.90", "99.99"], ["99.9"]),
    ({"minimum": -0.95, "maximum": 0}, ["-0.8", "-0.9", "-0.95"], ["-0.9"]),
    ({"minimum": 0, "maximum": 1}, ["0.8", "0.9", "0.95", "1"], []),
)
same = True
for bounds, texts, left_out in cases:
    schema = {"type": "number"} | bounds
    refused = {
        name: [text for text in texts if not allows(schema, text)]
        for name, allows in (("llguidance", by_llguidance), ("xgrammar", by_xgrammar), ("jsonschema", by_jsonschema))
    }
    print(f"{bounds}, of {', '.join(texts)}: refused by {refused}")
    same = same and refused == {"llguidance": left_out, "xgrammar": [], "jsonschema": []}
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
