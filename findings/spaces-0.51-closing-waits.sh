#!/usr/bin/env bash
# Closing the generator of a ZeroGPU function waits for the next value that the GPU process yields.
#
# Expected: `generator.close()`, which is what Gradio does when a visitor presses stop or leaves, ends the work or returns
#   at once.
# Happens: closing sets a flag that the process looks at after its next step, and the thread that waits for that step is
#   joined. Until then the caller stands still: a step of three seconds makes closing take as long.
# Shown: a function that yields, sleeps three seconds and yields again; the time of `close()` after the first value.
# Matters here: a first token can take seconds, and an event loop that closes such a generator stops for everybody. Our
#   backend lets a thread read each call, and says "stopped" before that thread closes it.
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
import time

from service import asked

import spaces


@spaces.GPU
def count():
    yield 1
    time.sleep(3)
    yield 2


generator = count()
first = next(generator)
began = time.monotonic()
generator.close()
seconds = time.monotonic() - began
print(f"spaces 0.51.3: closing after {first} took {seconds:.1f} s; calls of the device API: {[name for name, _ in asked]}")
same = first == 1 and seconds > 2
print("as described" if same else "NOT as described any more")
sys.stdout.flush()
os._exit(not same)
PYTHON
# Into files: processes that the package forks keep them open.
timeout 120 "$folder/venv/bin/python" "$folder/show.py" > "$folder/output" 2> "$folder/errors" && code=0 || code=$?
grep -v DEBUG "$folder/output"
[ "$code" = 0 ] || { tail -5 "$folder/errors"; exit 1; }
