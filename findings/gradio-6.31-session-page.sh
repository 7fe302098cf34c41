#!/usr/bin/env bash
# Every session of a Gradio app describes the whole page anew, in the event loop, also one that is a single call of a script.
#
# Expected: a new session costs a dictionary that is filled when something is kept in it.
# Happens: the state of a session begins with the configuration of every component of the page, three times their JSON schemas
#   included. That takes time for each component, in which the event loop serves nobody, and is kept as long as the session. Only
#   links to a state of the page read it. A plain POST to /gradio_api/call/NAME without a session is a session of its own,
#   named after its event, so scripts push out the state of visitors.
# Shown: a page of 150 text boxes: time and memory of one more state; and how many sessions an app has after five plain calls.
# Matters here: memory of a public page grew by 0.3 MB with each call, and conversations of visitors were dropped for calls
#   of scripts. Our page keeps of a session what its events need, and of such calls nothing.
# Source: gradio 6.31.0, gradio/state_holder.py (SessionState) and gradio/queueing.py; found by a soak with 32 chats.
set -euo pipefail
GRADIO=6.31.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO"
cat > "$folder/show.py" <<'PYTHON'
import json
import sys
import time
import tracemalloc
from urllib.request import Request, urlopen

import gradio
from gradio.state_holder import SessionState


def build(boxes):
    with gradio.Blocks() as demo:
        made = [gradio.Textbox() for _ in range(boxes)]
        made[0].submit(str.upper, made[0], made[0], api_name="upper")
    return demo


def cost(demo):
    SessionState(demo)
    times = []
    for _ in range(5):
        began = time.process_time()
        SessionState(demo)
        times.append(time.process_time() - began)
    tracemalloc.start()
    kept = SessionState(demo)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return 1e3 * min(times), size / 1e3


small, large = cost(build(1)), cost(build(150))
demo = build(1)
app, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
before = len(app.state_holder.session_data)
for _ in range(5):
    asked = Request(f"{url}gradio_api/call/upper", json.dumps({"data": ["a"]}).encode(), {"Content-Type": "application/json"})
    event = json.loads(urlopen(asked).read())["event_id"]
    urlopen(f"{url}gradio_api/call/upper/{event}").read()
sessions = len(app.state_holder.session_data) - before
print(
    f"gradio {gradio.__version__}: a session takes {small[0]:.2f} ms and {small[1]:.0f} kB with one component, "
    f"{large[0]:.1f} ms and {large[1]:.0f} kB with 150; five plain calls are {sessions} sessions"
)
same = large[0] > 20 * small[0] and large[1] > 20 * small[1] and sessions == 5
print("as described" if same else "NOT as described any more")
demo.close(verbose=False)
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
