#!/usr/bin/env bash
# langchain carries a picture's `detail` into its own standard form and leaves it out of what it sends: "low" and "high" are one request.
#
# Expected: an image block of langchain's standard form keeps OpenAI's `detail`, since its own create_image_block takes it and its own reading of an
#   OpenAI message puts it there; or it is refused.
# Happens: what turns a standard block into the server's form writes the address and nothing else. `detail` goes wherever it
#   stands: as a key, in "extras", in the older form's "metadata"; to Chat Completions and to Responses. In OpenAI's own form it
#   passes. So one message loses it by being read through content_blocks, which is what makes it portable. Nothing is said.
# Shown: one picture with detail "high" in six forms, sent to a server of a few lines by both protocols: what arrived.
# Matters here: OpenAI's models and servers after them choose the number of tiles by `detail`, and with it what is seen and what a picture
#   costs; a page sent with "high" is read at the default. Use {"type": "image_url", "image_url": {"url": ..., "detail": ...}}. This
#   app's own server takes `detail` and goes by its own limit of tiles.
# Source: https://github.com/langchain-ai/langchain/issues/36297; langchain-core 1.8.3, messages/block_translators/openai.py
#   (convert_to_openai_image_block); langchain-openai 1.7.4.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check langchain-core==1.8.3 langchain-openai==1.7.4
cat > "$folder/show.py" <<'PYTHON'
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread

from langchain_core.messages import HumanMessage
from langchain_core.messages.content import create_image_block
from langchain_openai import ChatOpenAI

arrived = []
COMPLETION = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
COMPLETION["choices"] = [{"index": 0, "message": {"role": "assistant", "content": "A cup."}, "finish_reason": "stop"}]
RESPONSE = {"id": "1", "object": "response", "created_at": 1, "model": "m", "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
RESPONSE["output"] = [{"type": "message", "id": "2", "role": "assistant", "status": "completed"}]
RESPONSE["output"][0]["content"] = [{"type": "output_text", "text": "A cup.", "annotations": []}]


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        arrived.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(RESPONSE if self.path.endswith("/responses") else COMPLETION).encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
URL = "http://127.0.0.1/cup.png"
own = HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "high"}}])
messages = {
    "OpenAI's form": own,
    "the same through content_blocks": HumanMessage(content_blocks=own.content_blocks),
    "create_image_block(detail=)": HumanMessage([create_image_block(url=URL, detail="high")]),
    "as a key": HumanMessage([{"type": "image", "url": URL, "detail": "high"}]),
    "in extras": HumanMessage([{"type": "image", "url": URL, "extras": {"detail": "high"}}]),
    "older form, metadata": HumanMessage([{"type": "image", "source_type": "url", "url": URL, "metadata": {"detail": "high"}}]),
}
print(f"langchain-core {version('langchain-core')}, langchain-openai {version('langchain-openai')}: detail that arrived")
kept = own.content_blocks[0]["extras"]
print(f"    in the standard block of OpenAI's form: {kept}")
same = kept == {"detail": "high"}
for name, message in messages.items():
    details = []
    for responses in (False, True):
        model = ChatOpenAI(
            model="m", api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1", use_responses_api=responses
        )
        model.invoke([message])
        part = arrived[-1]["input" if responses else "messages"][0]["content"][0]
        details.append((part if responses else part["image_url"]).get("detail"))
    print(f"    {name}: Chat Completions {details[0]}, Responses {details[1]}")
    same = same and details == (["high", "high"] if message is own else [None, None])
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
