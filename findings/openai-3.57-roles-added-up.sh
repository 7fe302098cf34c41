#!/usr/bin/env bash
# A server that says "assistant" in each piece of a streamed answer makes openai's stream helper an answer of the role "assistantassistantassistant".
#
# Expected: chat.completions.stream() puts an answer together: texts are joined, what names something (a role, a call's id, a function) is taken
#   once, as the same client's objects would have it; what it does not know is kept as it came.
# Happens: whatever is a string in a delta is added to the one before, except for an index and a type; numbers are summed; lists must hold dictionaries.
#   A role that is repeated grows with each piece, and so do a call's id and the function's name, where pieces bring them again. A note of numbers
#   is a sum, boxes are a TypeError that ends the stream. What stands beside the choices (timings of llama.cpp and others) stays as the
#   first piece had it, except usage. Reading the plain stream (stream=True) meets none of this.
# Shown: a server of a few lines; streams with the role once, in each piece, with a call's names in each piece, with a number, with
#   timings and with boxes in the delta: what the helper gives at the end.
# Matters here: servers of such models repeat the role (Ollama long did, in each piece), and the answer goes back as history with a role that every server
#   refuses. Our server names the role once (api/), and has boxes in no delta.
# Source: openai 3.57.0, lib/streaming/_deltas.py (accumulate_delta) and lib/streaming/chat/_completions.py.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openai==3.57.0
cat > "$folder/show.py" <<'PYTHON'
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import openai

pieces = []


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none", max_retries=0)
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "What is it?"}]}


def piece(delta, reason=None, **beside):
    about = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"} | beside
    return about | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def call(arguments):
    function = {"name": "find", "arguments": arguments}
    return {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}


def answer(*sent):
    pieces[:] = sent
    with client.chat.completions.stream(**QUESTION) as stream:
        for _ in stream:
            pass
        completion = stream.get_final_completion()
    plain = sum(1 for _ in client.chat.completions.create(**QUESTION, stream=True))
    return completion, completion.choices[0].message, plain == len(sent)


end = piece({}, "stop")
_, once, all_came = answer(piece({"role": "assistant", "content": "A "}), piece({"content": "cup."}), end)
print(f"openai {openai.__version__}: role once: {once.role!r}, {once.content!r}")
same = all_came and (once.role, once.content) == ("assistant", "A cup.")

_, each, all_came = answer(*(piece({"role": "assistant", "content": text}) for text in ("A ", "cup", ".")), end)
print(f"    role in each of three pieces: {each.role!r}, {each.content!r}")
same = same and all_came and (each.role, each.content) == (3 * "assistant", "A cup.")

_, called, all_came = answer(piece(call('{"what": ')), piece(call('"cup"}')), piece({}, "tool_calls"))
found = called.tool_calls[0]
print(f"    id and name in both pieces of a call: {found.id!r}, {found.function.name!r}, {found.function.arguments!r}")
same = same and all_came and (found.id, found.function.name, found.function.arguments) == ("call_1call_1", "findfind", '{"what": "cup"}')

completion, counted, all_came = answer(
    piece({"content": "A ", "count": 1}, timings={"tokens": 1}), piece({"content": "cup.", "count": 2}, timings={"tokens": 2}), end
)
print(f"    a count of 1, then 2: {counted.count}; timings of 1 token, then 2: {completion.timings}")
same = same and all_came and counted.count == 3 and completion.timings == {"tokens": 1}

try:
    answer(piece({"content": "A ", "boxes": [[1, 2, 3, 4]]}), piece({"content": "cup.", "boxes": [[5, 6, 7, 8]]}), end)
    error = None
except TypeError as raised:
    error = raised
print(f"    boxes in two pieces: {error!r}")
same = same and error is not None
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
