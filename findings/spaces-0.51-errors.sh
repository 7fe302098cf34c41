#!/usr/bin/env bash
# Of an error in a ZeroGPU function its words are lost, and one that ends the process ends a stream as if it were complete.
#
# Expected: the exception that the function raises, or its message; a process that leaves in the middle of a generator
#   makes the generator raise.
# Happens: a ValueError with a sentence arrives as gradio.Error whose message is "ValueError". Only gradio.Error itself
#   crosses whole. `sys.exit(3)` after the first value ends the generator normally: list() gives what came so far.
# Shown: both functions, and what the caller sees.
# Matters here: one sentence that says what to do is the rule of the demo, and half an answer must not look whole. Our
#   backend yields errors as values, and takes an answer without its last event for a failure.
# Source: spaces 0.51.3, spaces/zero/wrappers.py; found while writing the backend for ZeroGPU.
set -euo pipefail
SPACES=0.51.3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "spaces==$SPACES"
cat > "$folder/service.py" <<'PYTHON'
import json
import os
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

asked = []


class Service(BaseHTTPRequestHandler):
    """The device API of ZeroGPU, as far as a call needs it: it lends a GPU that is not there."""

    def do_POST(self):
        address = urlsplit(self.path)
        asked.append((address.path.strip("/"), dict(parse_qsl(address.query))))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        lent = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "t"}
        self.wfile.write(json.dumps(lent).encode() if asked[-1][0] == "schedule" else b"")

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
Thread(target=server.serve_forever, daemon=True).start()
os.environ |= {"SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": f"http://127.0.0.1:{server.server_port}"}
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
warnings.simplefilter("ignore")
PYTHON
cat > "$folder/show.py" <<'PYTHON'
import os
import sys

from service import asked  # noqa: F401

import spaces


@spaces.GPU
def refuse():
    raise ValueError("The picture is too large; send a smaller one.")


@spaces.GPU
def leave():
    yield 1
    sys.exit(3)


try:
    refuse()
    heard = "nothing"
except Exception as error:
    heard = f"{type(error).__module__.split(chr(46))[0]}.{type(error).__name__}: {error}"
values = list(leave())
print("spaces 0.51.3: a ValueError arrives as", heard, "| a stream whose process left:", values)
same = "ValueError" in heard and "too large" not in heard and values == [1]
print("as described" if same else "NOT as described any more")
sys.stdout.flush()
os._exit(not same)
PYTHON
# Into files: processes that the package forks keep them open.
timeout 120 "$folder/venv/bin/python" "$folder/show.py" > "$folder/output" 2> "$folder/errors" && code=0 || code=$?
grep -v DEBUG "$folder/output"
[ "$code" = 0 ] || { tail -5 "$folder/errors"; exit 1; }
