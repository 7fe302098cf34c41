#!/usr/bin/env bash
# With trigger_mode="always_last" the last event is served with the newest inputs and with the data of the first.
#
# Expected: "always_last" serves the last event: its inputs and its event data (which cell, which picture, which word) belong
#   together, and to what was clicked last.
# Happens: what comes while one is served is not kept; the page only remembers that something came. When the one that is served
#   ends, that one is sent again: its inputs are read anew, its event data are not. A function that takes gr.SelectData hears
#   of the first click twice and of the last one never, beside inputs that say the last.
# Shown: a gr.Radio, whose select gives the chosen value both as input and in gr.SelectData; three quick choices while the
#   function takes two seconds for the first.
# Matters here: clicks on thumbnails, words and boxes carry their place in the event data. "once" drops the last click, "multiple"
#   serves all, and "always_last", which is made for this, answers the wrong one. The choice has to travel in a component, or in
#   one object that the page's script fills anew, until the data are read anew too.
# Source: gradio 6.31.0, the page's dispatch of events; found by a browser test that held an answer back. Needs a Chromium on
#   PATH.
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

served = []


def look(value: str, event: gradio.SelectData) -> str:
    served.append((value, event.value))
    time.sleep(2)
    return f"{len(served)} served"


with gradio.Blocks() as demo:
    choice = gradio.Radio(["first", "second", "third"], label="choice")
    told = gradio.Textbox(label="told")
    choice.select(look, choice, told, trigger_mode="always_last")
demo.launch(prevent_thread_lock=True, quiet=True)
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=sys.argv[1])
    page = browser.new_page()
    page.goto(demo.local_url)
    for name in ("first", "second", "third"):
        page.get_by_label(name, exact=True).check()
        page.wait_for_timeout(300)
    page.wait_for_timeout(6000)
    browser.close()
demo.close(verbose=False)
print(f"gradio {gradio.__version__}: clicked first, second, third; served (value of the input, value of the event): {served}")
same = served == [("first", "first"), ("third", "first")]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
timeout 120 "$folder/venv/bin/python" "$folder/show.py" "$chromium"
