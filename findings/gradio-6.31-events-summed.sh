#!/usr/bin/env bash
# After every event Gradio sums up all recent events with pandas, for a monitoring page that is switched off.
#
# Expected: `launch(enable_monitoring=False)` collects and computes nothing.
# Happens: each event ends with a summary over the last events that are remembered, up to 10,000: a DataFrame and a groupby,
#   which hold Python's lock. It costs more the longer the app runs, and is read by nobody. The environment variable for the
#   number of events remembered has a floor of one.
# Shown: an app without monitoring, in which calls of that method are counted for three events; then its processor time for
#   a memory of 100 and of 10,000 events.
# Matters here: with many small answers at once it was part of every one of them. Our page sets the number to nothing.
# Source: gradio 6.31.0, gradio/queueing.py (compute_analytics_summary); found by a soak with 32 chats.
set -euo pipefail
GRADIO=6.31.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO"
cat > "$folder/show.py" <<'PYTHON'
import sys
import time

import gradio
from gradio_client import Client

demo = gradio.Interface(str.upper, "text", "text", api_name="upper")
_, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, enable_monitoring=False)
queue, counted = demo._queue, []
summarise = queue.compute_analytics_summary


def count(events):
    counted.append(len(events))
    return summarise(events)


queue.compute_analytics_summary = count
client = Client(url, verbose=False)
for word in ("a", "b", "c"):
    client.predict(word, api_name="/upper")
time.sleep(1)
print(f"gradio {gradio.__version__}, monitoring off: summaries over {counted} events")
(one, *_) = queue.event_analytics.values()
times = {}
for number in (100, 10_000):
    queue.events_recorded, laps = number, []
    for _ in range(5):
        queue.event_count_at_last_cache = 0  # as after an event that was not summed up yet
        began = time.process_time()
        summarise([dict(one)] * number)
        laps.append(1e3 * (time.process_time() - began))
    times[number] = min(laps)
print(f"a summary of 100 events takes {times[100]:.1f} ms, of 10,000 {times[10_000]:.1f} ms")
same = len(counted) == 3 and times[10_000] > 2 * times[100] > 1
print("as described" if same else "NOT as described any more")
demo.close(verbose=False)
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
