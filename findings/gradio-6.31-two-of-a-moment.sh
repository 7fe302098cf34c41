#!/usr/bin/env bash
# Two changes of one moment start the same event twice, whatever its trigger_mode, and the older answer may stay.
#
# Expected: an event of several triggers with trigger_mode "once" runs once at a time: what comes while it runs is dropped. With
#   "always_last" what comes is served afterwards. In both, the answer that stays is that of the run that began last.
# Happens: the page takes an event for running only once its request was sent, which waits for all inputs to be read. What comes
#   before that, in the same turn of the page's loop, passes the check as well. One button that sets two numbers, each with a
#   `change` on the same event, so sends two requests with equal inputs, in both modes. Where the limit of concurrency is above
#   one they run side by side, and whichever ends last is what the page shows, though it began first.
# Shown: a button that sets two numbers, one event on the change of either, whose first run takes longer than its second: how
#   often it ran, and which answer is shown in the end.
# Matters here: examples, presets and conversations set several parts at once, and what follows their changes (a layout of tiles,
#   a meter of tokens) is computed twice, at twice the cost; with a slow machine the page ends with an answer to what was
#   there before. Such a function has to know by itself whether a newer run has begun.
# Source: gradio 6.31.0, the page's dispatch of events; looked for after a page test ended with the summary of an emptied gallery
#   under a picture. Needs a Chromium on PATH.
set -euo pipefail
GRADIO=6.31.0
chromium=$(command -v chromium-headless-shell || command -v chromium || command -v chromium-browser || command -v google-chrome)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO" playwright==1.65.2
cat > "$folder/show.py" <<'PYTHON'
import sys
import time

import gradio
from playwright.sync_api import sync_playwright

found = []
for mode in ("once", "always_last"):
    served = []

    def lay_out(width, height):
        number = len(served) + 1
        served.append((width, height))
        time.sleep(2 if number == 1 else 0.5)
        return f"answer {number}"

    with gradio.Blocks() as demo:
        width, height, area = gradio.Number(0), gradio.Number(0), gradio.Textbox(label="area")
        gradio.Button("preset").click(lambda: (3, 4), None, [width, height])
        triggers = [width.change, height.change]
        gradio.on(triggers, lay_out, [width, height], area, trigger_mode=mode, concurrency_limit=2)
    demo.launch(prevent_thread_lock=True, quiet=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=sys.argv[1])
        page = browser.new_page()
        page.goto(demo.local_url)
        page.get_by_role("button", name="preset").click()
        page.wait_for_timeout(8000)
        found.append((served, page.get_by_label("area").input_value()))
        browser.close()
    demo.close(verbose=False)
    print(f"gradio {gradio.__version__}, {mode}: one click, served {found[-1][0]}, shown {found[-1][1]!r}")
same = found == [([(3, 4)] * 2, "answer 1")] * 2
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
timeout 120 "$folder/venv/bin/python" "$folder/show.py" "$chromium"
