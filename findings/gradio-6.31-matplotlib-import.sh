#!/usr/bin/env bash
# The first event of a Gradio app imports pyplot in the event loop, where matplotlib is installed, plots or not.
#
# Expected: an app that draws nothing imports no plotting library; or imports it when it starts.
# Happens: around each event Gradio sets matplotlib's backend, in case the handler draws, and asks for the one before; asking
#   resolves the backend, which imports pyplot. This runs in the event loop, so that no request is answered for as long.
# Shown: an app of one text box with matplotlib installed: whether pyplot is there before and after the first event, and which
#   thread imported it; the time of that import in a process of its own.
# Matters here: the first visitor's question silenced health checks, on a busy machine for half a minute. Our page leaves
#   the backend as it is.
# Source: gradio 6.31.0, gradio/utils.py (MatplotlibBackendMananger, as it is spelt); found by asking for /healthz all the time.
set -euo pipefail
GRADIO=6.31.0 MATPLOTLIB=3.11.2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO" "matplotlib==$MATPLOTLIB"
cat > "$folder/show.py" <<'PYTHON'
import asyncio
import importlib.abc
import subprocess
import sys

import gradio
from gradio_client import Client

seen = []


class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "matplotlib.pyplot":
            try:
                asyncio.get_running_loop()
                seen.append("in the event loop")
            except RuntimeError:
                seen.append("in a thread")


sys.meta_path.insert(0, Watch())
demo = gradio.Interface(str.upper, "text", "text", api_name="upper")
_, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
client = Client(url, verbose=False)
before = "matplotlib.pyplot" in sys.modules
client.predict("a", api_name="/upper")
after = "matplotlib.pyplot" in sys.modules
timed = "import time; b = time.process_time(); import matplotlib.pyplot; print(round(time.process_time() - b, 2))"
seconds = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True).stdout.strip()
print(f"gradio {gradio.__version__}: pyplot before the first event {before}, after it {after}, imported {seen}: {seconds} s")
same = not before and after and seen[:1] == ["in the event loop"]
print("as described" if same else "NOT as described any more")
demo.close(verbose=False)
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
