#!/usr/bin/env bash
# xgrammar takes the "pattern" of a JSON schema for the whole string: "^INV-" yields "INV-" and not one character more.
#
# Expected: JSON Schema says that patterns are not anchored, so "^INV-" asks for strings that begin so; llguidance, the other engine
#   that servers offer, and validators read it so. An engine that reads it otherwise refuses it or warns.
# Happens: the string must be what the pattern matches, from its first to its last character. Every answer is valid by the schema
#   and wrong: the number behind the prefix cannot be written. "[0-9]+" anywhere in a string becomes digits alone.
# Shown: which strings xgrammar, llguidance and the validator jsonschema accept for three patterns. The vocabulary is that of bytes.
# Matters here: answers about forms and receipts are asked for by schema from servers of this model, and a prefix, "^https://" or
#   "^INV-", is the usual pattern. vLLM and SGLang take xgrammar unless told otherwise; the same request gives other answers by engine. A
#   pattern that says the whole, "^INV-[0-9]{4}$", is read alike by all.
# Source: https://github.com/mlc-ai/xgrammar/issues/838; JSON Schema 2020-12, validation, 6.3.3; run with xgrammar 0.2.8,
#   llguidance 1.9.1 and jsonschema 4.25.1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 xgrammar==0.2.8 numpy \
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


def by_xgrammar(schema, text):
    matcher = xgrammar.GrammarMatcher(compiler.compile_json_schema(json.dumps(schema)))
    return matcher.accept_string(text) and matcher.accept_token(END)


def by_llguidance(schema, text):
    matcher = llguidance.LLMatcher(byte_tokens, llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema)))
    tokens = byte_tokens.tokenize_str(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def by_jsonschema(schema, text):
    return jsonschema.Draft202012Validator(schema).is_valid(json.loads(text))


engines = (by_xgrammar, by_llguidance, by_jsonschema)
print(", ".join(f"{name} {version(name)}" for name in ("xgrammar", "llguidance", "jsonschema")))
expected = {
    ("^INV-", '"INV-"'): [True, True, True],
    ("^INV-", '"INV-2024"'): [False, True, True],
    ("[0-9]+", '"page 7"'): [False, True, True],
    ("^INV-[0-9]{4}$", '"INV-2024"'): [True, True, True],
    ("^INV-[0-9]{4}$", '"INV-20245"'): [False, False, False],
}
same = True
for (pattern, text), wanted in expected.items():
    found = [bool(engine({"type": "string", "pattern": pattern}, text)) for engine in engines]
    print(f"{pattern}  {text}: {dict(zip(('xgrammar', 'llguidance', 'jsonschema'), found, strict=True))}")
    same = same and found == wanted
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
