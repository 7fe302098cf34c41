#!/usr/bin/env bash
# SGLang's chat endpoint moves all pictures of a DeepSeek-VL2 message before its words, and stops at "User:".
#
# Expected: parts of a message, words and image_url in turn, become the prompt in their order, as for other models there and as the
#   model was trained ("This is image_1: <image>\nThis is image_2: <image>\n ...").
# Happens: for this model alone parts of pictures write nothing where they stand; as many <image> as there are pictures are put before
#   the message afterwards, so that "Is the cup in A the one in B?" is asked as "Is the cup in  the one in ?". Whoever writes
#   <image> into the words keeps the order. Answers also end at the words "User:", which a photographed chat or form may hold.
# Shown: SGLang's own request and conversation classes build the prompt of a message of five parts; the same for llava beside it.
# Matters here: answers of one checkpoint differ between servers by the prompt alone; a comparison of ours with SGLang must write
#   <image> into the words. Our server keeps the parts where they stand.
# Source: sglang 0.5.23, sglang/srt/parser/conversation.py: generate_chat_conv and the template named deepseek-vl2.
set -euo pipefail
SGLANG=0.5.23
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# Without its kernels for GPUs: what builds prompts does not need them.
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps "sglang==$SGLANG"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.19.0 numpy pillow==12.3.0 \
    pydantic fastapi openai==2.8.0 psutil requests pybase64 msgspec pyzmq ipython aiohttp uvicorn orjson triton 2> /dev/null
cat > "$folder/show.py" <<'PYTHON'
import sys

import sglang
from sglang.srt.entrypoints.openai.protocol import ChatCompletionRequest
from sglang.srt.parser.conversation import Conversation, generate_chat_conv


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def picture(name: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": f"https://example.org/{name}.png"}}


def read(template: str) -> Conversation:
    parts = [text("Is the cup in "), picture("a"), text(" the one in "), picture("b"), text("?")]
    request = ChatCompletionRequest(model="any", messages=[{"role": "user", "content": parts}])
    return generate_chat_conv(request, template)


ours, other = read("deepseek-vl2"), read("vicuna_v1.1")
print(f"sglang {sglang.__version__}")
print(f"deepseek-vl2: {ours.get_prompt()!r}, stops at {ours.stop_str}")
print(f"vicuna_v1.1:  {other.get_prompt()!r}")
same = "<image>\n<image>\nIs the cup in  the one in ?" in ours.get_prompt() and "User:" in ours.stop_str
same = same and "Is the cup in <image>\n the one in <image>\n?" in other.get_prompt()
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py" 2> "$folder/log" || { tail -3 "$folder/log"; exit 1; }
