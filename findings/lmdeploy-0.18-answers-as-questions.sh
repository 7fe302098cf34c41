#!/usr/bin/env bash
# LMDeploy puts DeepSeek-VL2's own earlier answers into its user's mouth.
#
# Expected: a conversation of several turns is laid out with <|User|> and <|Assistant|> in turn, as LMDeploy's template for this model has it.
# Happens: the model's class gives every message the role of the user before the template sees it, so that an answer comes back as a
#   question; and a message whose content is plain text, which the OpenAI format allows and clients send for answers, ends in a KeyError.
# Shown: the method that lays messages out, with LMDeploy's own template, for question, answer, question; beside it the template alone.
# Matters here: a follow-up question to the same checkpoint is answered otherwise there than by our server, and worse; whoever compares
#   servers can compare first turns only.
# Source: lmdeploy 0.18.0, lmdeploy/vl/model/deepseek_vl2.py: proc_messages and proc_single_message.
set -euo pipefail
LMDEPLOY=0.18.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# Without what only a GPU needs.
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps "lmdeploy==$LMDEPLOY"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 numpy pillow==12.3.0 \
    mmengine-lite fastapi pydantic openai psutil requests pybase64 pyzmq termcolor triton 2> /dev/null
cat > "$folder/show.py" <<'PYTHON'
import sys
from importlib.metadata import version

from lmdeploy.model import MODELS
from lmdeploy.vl.model.deepseek_vl2 import DeepSeek2VisionModel

template = MODELS.get("deepseek-vl2")()


def text(words: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": words}]


turns = [("user", "What is it?"), ("assistant", "A cup."), ("user", "What colour?")]
parts = [{"role": role, "content": text(words)} for role, words in turns]
parts[0]["content"].append({"type": "image"})
laid, _ = DeepSeek2VisionModel.proc_messages(parts, template)
plain = template.messages2prompt([{"role": role, "content": words} for role, words in turns])
parts[1]["content"] = "A cup."
try:
    DeepSeek2VisionModel.proc_messages(parts, template)
    problem = "none"
except KeyError as error:
    problem = repr(error)
print(f"lmdeploy {version('lmdeploy')}")
print(f"with a picture: {laid!r}")
print(f"words alone:    {plain!r}")
print(f"an answer as plain text: {problem}")
same = "<|User|>: A cup." in laid and "<|Assistant|>: A cup." in plain and problem.startswith("KeyError")
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py" 2> "$folder/log" || { tail -3 "$folder/log"; exit 1; }
