#!/usr/bin/env bash
# Of two Gradio apps with `delete_cache`, the first one to end takes the pictures of the other.
#
# Expected: `delete_cache` removes "the temporary files created by this Blocks instance", as its documentation says.
# Happens: every app of a machine keeps its files in one folder, under a name made of what they hold. A picture that two
#   apps show is therefore one file, which either of them counts as its own: the one that ends removes it, and the page of
#   the other, which still runs, answers 403 where it answered 200.
#   Pictures of a gr.Chatbot's examples are removed so; those of gr.Examples are kept by every app.
# Shown: two processes whose Chatbot offers the same example picture, with `delete_cache`; its address in the second page
#   before and after the first has ended.
# Matters here: someone who runs two of our pages on a machine, or stops a test's page beside another, lost the pictures
#   of the chat's examples. Each process of ours has a folder of its own, also within GRADIO_TEMP_DIR.
# Source: gradio 6.31.0, gradio/route_utils.py (delete_files_created_by_app), gradio/processing_utils.py.
set -euo pipefail
GRADIO=6.31.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO"
cat > "$folder/app.py" <<'PYTHON'
import sys

from PIL import Image

import gradio

Image.new("RGB", (8, 8), "teal").save("teal.png")
with gradio.Blocks(delete_cache=(3600, 86400)) as demo:
    chatbot = gradio.Chatbot(examples=[{"text": "What colour is this?", "files": ["teal.png"]}])
_, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
(file,) = chatbot.examples[0]["files"]
print(f"{url}gradio_api/file={file['path']}", flush=True)
sys.stdin.read()  # until the other side closes it
demo.close(verbose=False)
PYTHON
cat > "$folder/show.py" <<'PYTHON'
import subprocess
import sys
from urllib.error import HTTPError
from urllib.request import urlopen

import gradio


def ask(address):
    try:
        return urlopen(address).status
    except HTTPError as error:
        return error.code


def serve():
    app = subprocess.Popen([sys.executable, "app.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return app, app.stdout.readline().strip()


(first, one), (second, other) = serve(), serve()
before = ask(one), ask(other)
first.communicate()
after = ask(other)
second.communicate()
print(f"gradio {gradio.__version__}: both pages {before}, the second one's picture after the first has ended {after}")
same = before == (200, 200) and after == 403
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
cd "$folder"
export GRADIO_TEMP_DIR="$folder/uploads" GRADIO_ANALYTICS_ENABLED=False
timeout 300 venv/bin/python show.py
