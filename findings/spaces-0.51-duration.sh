#!/usr/bin/env bash
# The seconds that a ZeroGPU function asks for by a callable are cut: a fraction is lost, and so is every whole day.
#
# Expected: `@spaces.GPU(duration=lambda ...: steps * 3.75)`, as the documentation of ZeroGPU writes it, asks for at least
#   that long; a number that is too large is refused.
# Happens: the number becomes a timedelta of which `.seconds` is read. 3.75 asks for 3 seconds, 0.9 for none, and 90,000,
#   which is a day and an hour, for 3,600. A plain number is treated the same way.
# Shown: what the package asks the device API for. The service is a stand-in of a few lines; no GPU is used.
# Matters here: our estimate for a question is a product of measured rates. It is rounded up and bounded before it is
#   handed over, or short answers would ask for 0 seconds and be ended.
# Source: spaces 0.51.3, spaces/zero/decorator.py; found while writing the backend for ZeroGPU.
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

from service import asked

import spaces

wanted = (3.75, 0.9, 90_000)
for seconds in wanted:
    spaces.GPU(lambda: None, duration=lambda seconds=seconds: seconds)()
got = [int(parameters["durationSeconds"]) for name, parameters in asked if name == "schedule"]
print("spaces 0.51.3: seconds wanted", wanted, "asked for", got)
same = got == [3, 0, 3600]
print("as described" if same else "NOT as described any more")
sys.stdout.flush()
os._exit(not same)
PYTHON
# Into files: processes that the package forks keep them open.
timeout 120 "$folder/venv/bin/python" "$folder/show.py" > "$folder/output" 2> "$folder/errors" && code=0 || code=$?
grep -v DEBUG "$folder/output"
[ "$code" = 0 ] || { tail -5 "$folder/errors"; exit 1; }
