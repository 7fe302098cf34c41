#!/usr/bin/env bash
# Of several triggers that one gr.on has, the first alone decides whether changes that come late are kept.
#
# Expected: the order in which triggers are listed is no option. A change that comes while the one before is served is sent
#   afterwards, as the documentation says of `change`: what is shown in the end belongs to what the visitor chose last.
# Happens: `trigger_mode` is one value for all triggers of an event, and where none is given it is that of the first one in the
#   list: "always_last" if that is change or key_up, "multiple" if it is stream, else "once". Behind a click or an upload in the
#   list, `change` loses its own, and changes that come while one is served are dropped without a word; before it, clicks that
#   would have been dropped are sent again.
# Shown: a choice and a button that start one slow function, listed in both orders. Three quick choices, then what was served
#   last, which is what the page shows beside the choice.
# Matters here: "run again when the picture or an option changes, or Go is pressed" is the usual gr.on of a demo. With Go first,
#   quick visitors see the result of their first choice under their last. Name trigger_mode in every gr.on of several triggers.
# Source: gradio 6.31.0, gradio/blocks.py (set_event_trigger); read there, then seen. Needs a Chromium on PATH.
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

NAMES = ["first", "second", "third"]


def answer(name):
    time.sleep(2)
    return name


with gradio.Blocks() as demo:
    for order in ("change, click", "click, change"):
        choice, button = gradio.Radio(NAMES, label=order), gradio.Button()
        box = gradio.Textbox(label=f"answer to {order}")
        triggers = {"change": choice.change, "click": button.click}
        gradio.on([triggers[name] for name in order.split(", ")], answer, choice, box)
modes = [event["trigger_mode"] for event in demo.config["dependencies"]]
demo.launch(prevent_thread_lock=True, quiet=True)
found = []
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=sys.argv[1])
    page = browser.new_page()
    page.goto(demo.local_url)
    for order in ("change, click", "click, change"):
        choices = page.get_by_role("group").filter(has_text=order)
        for name in NAMES:
            choices.get_by_label(name, exact=True).check()
            page.wait_for_timeout(300)
        page.wait_for_timeout(6000)
        found.append(page.get_by_label(f"answer to {order}").input_value())
        print(f"gradio {gradio.__version__}, listed as {order}: chosen third, answered {found[-1]}")
    browser.close()
demo.close(verbose=False)
print(f"trigger_mode: {modes}")
same = (found, modes) == (["third", "first"], ["always_last", "once"])
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
timeout 120 "$folder/venv/bin/python" "$folder/show.py" "$chromium"
