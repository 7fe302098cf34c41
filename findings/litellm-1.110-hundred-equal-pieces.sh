#!/usr/bin/env bash
# litellm breaks a streamed answer off at its hundredth equal piece, which a form or an empty table reaches without any fault.
#
# Expected: a client passes on what the server streams, or is told by an option to look for answers that go in circles.
# Happens: a hundred pieces in a row that are the same and longer than two characters end the stream with an InternalServerError
#   that speaks of the model, though the server has answered with 200 and goes on. Pieces are what the server sends at a time, one
#   token mostly: "____" of a form's line, "...." of a table of contents, "<td></td>" of empty cells. The same answer that is not streamed
#   passes whole, and so does a streamed one with pieces of one or two characters.
# Shown: a server of the protocol of a few lines; answers of 150 equal pieces, streamed and whole: how many pieces came.
# Matters here: this model reads forms, tables and pages out, and litellm is the usual way to put such a server beside others. Raise
#   litellm.REPEATED_STREAMING_CHUNK_LIMIT (or set it in the environment) for such work.
# Source: litellm 1.110.2, litellm/litellm_core_utils/streaming_handler.py.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.110.2
cat > "$folder/show.py" <<'PYTHON'
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

litellm.suppress_debug_info = True
piece = ""


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        streamed = json.loads(self.rfile.read(int(self.headers["Content-Length"]))).get("stream")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if streamed else "application/json")
        self.end_headers()
        about = {"id": "1", "created": 1, "model": "m", "object": "chat.completion.chunk" if streamed else "chat.completion"}
        if not streamed:
            choice = {"index": 0, "message": {"role": "assistant", "content": 150 * piece}, "finish_reason": "stop"}
            self.wfile.write(json.dumps(about | {"choices": [choice]}).encode())
            return
        for delta, reason in [({"content": piece}, None)] * 150 + [({}, "stop")]:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            self.wfile.write(f"data: {json.dumps(about | {'choices': [choice]})}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
question = {"model": "openai/m", "messages": [{"role": "user", "content": "Read the form."}], "api_key": "none"}
question |= {"api_base": f"http://127.0.0.1:{server.server_port}/v1", "num_retries": 0}


def streamed():
    text = ""
    try:
        for chunk in litellm.completion(**question, stream=True):
            text += chunk.choices[0].delta.content or ""
    except Exception as error:
        return len(text) // len(piece), type(error).__name__, "repeating the same chunk" in str(error)
    return len(text) // len(piece), None, False


same = True
for piece in ("__", "____", "....", "<td></td>"):
    whole = len(litellm.completion(**question).choices[0].message.content) // len(piece)
    came, error, blamed = streamed()
    print(f"litellm {version('litellm')}: {piece!r} 150 times: whole {whole}, streamed {came} {error or ''}")
    same = same and whole == 150 and (came, blamed) == ((150, False) if len(piece) == 2 else (100, True))
litellm.REPEATED_STREAMING_CHUNK_LIMIT = 1000
print("with a higher limit:", streamed()[0])
same = same and streamed()[0] == 150
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
