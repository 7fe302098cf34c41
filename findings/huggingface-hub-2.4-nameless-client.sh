#!/usr/bin/env bash
# A stream of InferenceClient ends with its client: a function that makes one and returns the stream returns a dead one.
#
# Expected: the iterator that `chat_completion(stream=True)` gives holds what it reads from, as every file, generator or
#   response of Python does, and as the stream of the openai package does, whose API this is.
# Happens: the response is kept by an ExitStack of the client alone. Once nothing names the client, it is collected, the stack
#   with it, and the connection is closed. Reading the first piece raises StreamClosed. `InferenceClient(...).chat_completion(...)`
#   in one expression fails so, and so does a helper that makes a client for each question. With a name for the client the
#   same lines work; in 0.36.0 both do. Without stream=True nothing is wrong.
# Shown: a server of two pieces, asked through huggingface_hub with and without a name, and through openai without.
# Matters here: people try our /v1 with such one-liners, see an error about a closed stream, and look for it in the server.
# Source: huggingface_hub 2.4.0, inference/_client.py (exit_stack, _inner_post), httpx2 as it brings it, openai 3.57.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check huggingface_hub==2.4.0 openai==3.57.0
cat > "$folder/show.py" <<'PYTHON'
import json
import sys
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
        for text in ("one ", "two"):
            choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
            said = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(said)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}/v1"
question = [{"role": "user", "content": "?"}]


def ask_hub():
    return huggingface_hub.InferenceClient(base_url=address, api_key="x").chat_completion(question, stream=True)


def ask_openai():
    client = openai.OpenAI(base_url=address, api_key="x", max_retries=0)
    return client.chat.completions.create(model="m", messages=question, stream=True)


def read(stream):
    try:
        return "".join(piece.choices[0].delta.content for piece in stream)
    except Exception as error:
        return type(error).__name__


print(f"huggingface_hub {huggingface_hub.__version__}, openai {openai.__version__}")
named = huggingface_hub.InferenceClient(base_url=address, api_key="x")
found = {
    "client with a name": read(named.chat_completion(question, stream=True)),
    "client of a function that has returned": read(ask_hub()),
    "the same with openai": read(ask_openai()),
}
for way, text in found.items():
    print(f"{way}: {text}")
same = list(found.values()) == ["one two", "StreamClosed", "one two"]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
HF_HOME="$folder/home" timeout 120 "$folder/venv/bin/python" "$folder/show.py"
