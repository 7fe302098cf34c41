#!/usr/bin/env bash
# InferenceClient of huggingface_hub 2.4 breaks off a streamed answer at a character that 0.36 passed on: U+2028.
#
# Expected: lines of an event stream end with line feeds and carriage returns, as its standard says, so that JSON may hold any
#   other character unescaped. vLLM and most servers write it so; 0.36.0, upon requests, and openai read it so.
# Happens: since huggingface_hub went over to httpx2, its lines are those of httpx2, which end at everything that Python's
#   splitlines() takes for an end. Half a JSON object is parsed, and the answer ends in a JSONDecodeError. U+2029 and U+0085
#   do the same.
# Shown: a server whose answer holds U+2028 within a string, read by huggingface_hub 0.36.0 and 2.4.0 and by openai.
# Matters here: text that was typeset holds such characters, and a model that reads a page may write them. Our own reader of
#   servers was built upon httpx's lines and had the same fault; it splits bytes now (backend/wire.py).
# Source: https://github.com/florimondmanca/httpx-sse/issues/34 on httpx; huggingface_hub 2.4.0, inference/_client.py
#   (iter_lines) and inference/_common.py; WHATWG HTML, 9.2.6.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/show.py" <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import openai


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for text in ("one", "\u2028two"):
            choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
            said = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(said, ensure_ascii=False)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_):
        pass


def read(stream):
    try:
        return "".join(piece.choices[0].delta.content for piece in stream)
    except Exception as error:
        return type(error).__name__


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}/v1"
question = [{"role": "user", "content": "?"}]
hub = huggingface_hub.InferenceClient(base_url=address, api_key="x")
other = openai.OpenAI(base_url=address, api_key="x", max_retries=0)
print(f"huggingface_hub {huggingface_hub.__version__}:", ascii(read(hub.chat_completion(question, stream=True))))
print("openai:", ascii(read(other.chat.completions.create(model="m", messages=question, stream=True))))
PYTHON
for version in 0.36.0 2.4.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "huggingface_hub==$version" openai==3.57.0
    HF_HOME="$folder/home" timeout 120 "$folder/$version/bin/python" "$folder/show.py" | tee -a "$folder/output"
done
grep -qF "huggingface_hub 0.36.0: 'one\\u2028two'" "$folder/output"
grep -qF "huggingface_hub 2.4.0: 'JSONDecodeError'" "$folder/output"
[ "$(grep -cF "openai: 'one\\u2028two'" "$folder/output")" = 2 ]
echo "as described"
