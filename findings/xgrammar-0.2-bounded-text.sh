#!/usr/bin/env bash
# "minLength": 1 on a text of a schema takes line ends and quotation marks from it in xgrammar, and lets control characters in that are no JSON.
#
# Expected: a bound on the length of a string counts its characters and changes nothing about which ones there may be.
# Happens: without a bound a string has all escapes; with "minLength" or "maxLength", whatever the number, it has none: no \n, no \" and
#   no \\ can be written, so that a text ends at its first quotation mark and has one line. In their place what JSON forbids is allowed:
#   a bare tab, U+0001 or U+0000 in the string, which no JSON reader takes back. llguidance does neither. Nothing is said.
# Shown: which strings xgrammar and llguidance allow under {"type": "string"}, with "minLength": 1 and with "maxLength": 2000, and which of them
#   Python's json reads. The vocabulary is that of bytes.
# Matters here: the text of a page or a form is asked for by schema from servers of this model, and pydantic writes these bounds
#   for Field(min_length=1) and Field(max_length=2000). What comes back is one line without quotation marks, or, where a table is read
#   out with tabs, an answer that cannot be parsed. Leave the bounds out and check lengths afterwards.
# Source: https://github.com/mlc-ai/xgrammar/issues/800 (open; the escapes); run with xgrammar 0.2.9 and llguidance 1.9.1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 xgrammar==0.2.9 numpy \
    llguidance==1.9.1
cat > "$folder/show.py" <<'PYTHON'
import json
import sys
from importlib.metadata import version

import llguidance
import xgrammar

END = 256
vocabulary = [bytes([number]) for number in range(256)] + [b"</s>"]
compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo(vocabulary, stop_token_ids=[END]))
byte_tokens = llguidance.LLTokenizer("byte")
SCHEMAS = [{"type": "string"}, {"type": "string", "minLength": 1}, {"type": "string", "maxLength": 2000}]


def by_xgrammar(schema, text):
    matcher = xgrammar.GrammarMatcher(compiler.compile_json_schema(json.dumps(schema)))
    return bool(matcher.accept_string(text) and matcher.accept_token(END))


def by_llguidance(schema, text):
    matcher = llguidance.LLMatcher(byte_tokens, llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema)))
    tokens = byte_tokens.tokenize_str(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


print(f"xgrammar {version('xgrammar')}, llguidance {version('llguidance')}: without a bound, minLength 1, maxLength 2000")
same = True
for text in ('"one line"', r'"two\nlines"', r'"the word \"cup\""', r'"C:\\pages"', '"\u4e2d\u6587"', '"a\ttab"', '"U+0001 \x01"'):
    valid = is_json(text)
    ours, theirs = ([allows(schema, text) for schema in SCHEMAS] for allows in (by_xgrammar, by_llguidance))
    print(f"{text!r}, {'JSON' if valid else 'no JSON'}: xgrammar {ours}, llguidance {theirs}")
    bounded = valid and "\\" not in text or not valid
    same = same and ours == [valid, bounded, bounded] and theirs == 3 * [valid]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
