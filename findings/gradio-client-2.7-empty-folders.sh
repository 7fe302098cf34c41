#!/usr/bin/env bash
# Each file that gradio_client downloads leaves an empty folder in the system's temporary folder for good.
#
# Expected: a client told where downloads go (download_files=FOLDER) writes into that folder alone.
# Happens: every file is first written into a new folder, with a random name of 40 digits, in the system's temporary folder, and
#   then moved out of it; the folder stays, empty, after the client is closed and its process has ended. It is made anew for
#   a file that was downloaded before.
# Shown: an app that answers with a small file; a client in a process of its own, whose temporary folder is ours, asks it three times.
# Matters here: a program that asks a page for pictures with boxes (ours, or one behind ours) leaves one such folder an answer; a
#   few thousand answers of our own tests had made /tmp slow to list. Give such a process a temporary folder that goes with it.
# Source: gradio_client 2.7.2, gradio_client/client.py, the method that downloads a file of an answer.
set -euo pipefail
GRADIO=6.31.0
CLIENT=2.7.2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO" "gradio_client==$CLIENT"
mkdir "$folder/temporary" "$folder/downloads"
cat > "$folder/serve.py" <<'PYTHON'
import os
import subprocess
import sys
from pathlib import Path

import gradio
import gradio_client

ASK = """
import sys
from gradio_client import Client
client = Client(sys.argv[1], verbose=False, download_files=sys.argv[2])
for _ in range(3):
    print(client.predict(api_name="/answer"))
client.close()
"""
folder = Path(sys.argv[1])
note = folder / "note.txt"
note.write_text("seven apples")
demo = gradio.Interface(lambda: str(note), None, gradio.File(), api_name="answer")
_, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, allowed_paths=[str(folder)])
temporary, downloads = folder / "temporary", folder / "downloads"
environment = os.environ | {"TMPDIR": str(temporary)}
done = subprocess.run(
    [sys.executable, "-c", ASK, url, str(downloads)], env=environment, capture_output=True, text=True, timeout=120
)
demo.close(verbose=False)
left = [path for path in temporary.iterdir() if len(path.name) == 40]
print(f"gradio_client {gradio_client.__version__}")
print(f"answers: {len(done.stdout.split())}, different files: {len(set(done.stdout.split()))}")
print(f"folders left in the temporary folder: {len(left)}, files in them: {sum(len(list(p.iterdir())) for p in left)}")
same = len(done.stdout.split()) == len(left) == 3 and not any(list(path.iterdir()) for path in left)
print("as described" if same else f"NOT as described any more {done.stderr[-300:]}")
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
timeout 300 "$folder/venv/bin/python" "$folder/serve.py" "$folder" 2> "$folder/log" || { tail -3 "$folder/log"; exit 1; }
