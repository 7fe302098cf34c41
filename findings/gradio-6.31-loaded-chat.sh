#!/usr/bin/env bash
# A chat that gradio.load_chat makes of an OpenAI-compatible server answers one question per client of its API, and no more.
#
# Expected: `gradio.load_chat(url, model)` gives an app whose API keeps a conversation, as its page does: a second
#   `client.predict("...")` of the same gradio_client sends the first question and answer along.
# Happens: the second call fails on the app's side with "Invalid message format" and never reaches the server. ChatInterface
#   keeps what its API was asked in a state as it came, while the loader's format_conversation (gradio/external.py) reads
#   messages whose content is a list of parts with a "type". Where file_types
#   let pictures in it is the same.
# Shown: a server of the protocol that answers "yes" and counts requests; two questions of one client.
# Matters here: whoever tries our /v1 with Gradio's own loader meets it and looks for the fault in us. Our test of that
#   loader asks one question each time, with a client of its own.
# Source: gradio 6.31.0, gradio_client as it brings it, gradio/external.py; found while testing our endpoint.
set -euo pipefail
GRADIO=6.31.0 OPENAI=3.57.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO" "openai==$OPENAI"
cat > "$folder/show.py" <<'PYTHON'
import json
import logging
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
import gradio as gr
from gradio_client import Client

logging.disable(logging.CRITICAL)
asked = []


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"])
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta, reason in (({"role": "assistant", "content": "yes"}, None), ({}, "stop")):
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
chat = gr.load_chat(f"http://127.0.0.1:{server.server_port}/v1", "m", token="any", file_types=None)
_, url, _ = chat.launch(prevent_thread_lock=True, quiet=True)
name = next(name for name in Client(url, verbose=False).view_api(return_format="dict")["named_endpoints"] if "stream" in name)
client, said = Client(url, verbose=False), []
for question in ("First?", "Second?"):
    try:
        said.append(client.predict(question, api_name=name))
    except Exception as error:
        said.append(f"{type(error).__name__}: {error}")
print("gradio", gr.__version__, "answers:", said, "requests that reached the server:", len(asked))
chat.close()
same = said[0] == "yes" and said[1] != "yes" and len(asked) == 1
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
