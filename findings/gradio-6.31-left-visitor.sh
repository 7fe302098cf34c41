#!/usr/bin/env bash
# A visitor who has left is noticed when there is something to tell them, and the handler runs on until it tells.
#
# Expected: a closed connection ends what runs for it: the client of a stream is gone, which a server sees at once.
# Happens: the stream of events waits for a message for ten seconds before it looks at its connection, and a handler that has
#   been started is looked at after each value that it yields, never while it waits. One that computes for a minute before
#   its first value computes for nobody, and keeps its place in the queue.
# Shown: a handler that works for six seconds before it yields; its visitor joins the queue, opens the stream and closes the
#   connection after one second. The handler's own note of having reached the end appears all the same.
# Matters here: a prompt with pictures takes seconds before its first token, on a GPU that others wait for. Our page asks for
#   the connection twice a second, and ends such requests within one.
# Source: gradio 6.31.0, gradio/routes.py (sse_stream) and gradio/queueing.py (process_events).
set -euo pipefail
GRADIO=6.31.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO"
cat > "$folder/show.py" <<'PYTHON'
import asyncio
import json
import sys
import time
from urllib.request import Request, urlopen

import gradio

events = []


async def work(word):
    events.append("began")
    try:
        await asyncio.sleep(6)
        events.append("worked to the end")
        yield word
        events.append("went on after its value")
    except (asyncio.CancelledError, GeneratorExit):
        events.append("was ended")
        raise


with gradio.Blocks() as demo:
    box = gradio.Textbox()
    box.submit(work, box, box, api_name="work")
_, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
asked = {"data": ["word"], "fn_index": 0, "session_hash": "visitor"}
headers = {"Content-Type": "application/json"}
urlopen(Request(f"{url}gradio_api/queue/join", json.dumps(asked).encode(), headers)).read()
stream = urlopen(f"{url}gradio_api/queue/data?session_hash=visitor")
stream.readline()
time.sleep(1)
stream.close()  # the visitor leaves
time.sleep(8)
print(f"gradio {gradio.__version__}: left after 1 s of 6; the handler {', '.join(events)}")
same = events[:2] == ["began", "worked to the end"]
print("as described" if same else "NOT as described any more")
demo.close(verbose=False)
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
