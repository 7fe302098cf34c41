#!/usr/bin/env bash
# Each update of a generator makes the browser copy the values of components that other events wrote, even of hidden progress.
#
# Expected: an update of a generator costs what its outputs cost; with show_progress="hidden" nothing is done about progress.
# Happens: each update tells how far the event is to every component that was an output of any event since the page was opened,
#   and for that the page copies each one's whole value, leaf by leaf. The cost grows with what the page has shown elsewhere.
#   show_progress_on=[], which the documentation does not mention, takes a component out of it; it must stand at all events that
#   write it.
# Shown: an app with a list of 2,000 words in a gr.JSON, and a generator of 20 updates of a gr.Textbox. Calls of structuredClone
#   while the generator runs: before the list is written, after it, and after it with show_progress_on=[] everywhere.
# Matters here: twenty updates a second of an answer left a browser with a sixth of the processor no time to press Stop. With
#   show_progress_on=[] and half as many updates 99,537 copies in four seconds became 4,773.
# Source: gradio 6.31.0, the page's update_loading_stati_state and update_state (get_data is a snapshot of all props); found by a
#   profile of the page. Needs a Chromium on PATH.
set -euo pipefail
GRADIO=6.31.0
chromium=$(command -v chromium-headless-shell || command -v chromium || command -v chromium-browser || command -v google-chrome)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO" playwright==1.65.2
cat > "$folder/copies.py" <<'PYTHON'
import sys
import time

import gradio as gr
from playwright.sync_api import expect, sync_playwright

WORDS, UPDATES = 2000, 20


def count():
    for number in range(1, UPDATES + 1):
        time.sleep(0.05)
        yield f"{number} of {UPDATES}"


def serve(**options):
    with gr.Blocks() as app:
        listed, text = gr.JSON(elem_id="listed"), gr.Textbox(elem_id="text")
        gr.Button("List").click(lambda: [f"word {number}" for number in range(WORDS)], None, listed, **options)
        gr.Button("Count").click(count, None, text, **options)
        gr.Button("Clear").click(lambda: "", None, text, **options)
    _, address, _ = app.launch(prevent_thread_lock=True, quiet=True)
    return address


COUNT_CALLS = """() => {
    const copy = window.structuredClone;
    window.calls = 0;
    window.structuredClone = (...given) => { window.calls++; return copy(...given); };
}"""


def measure(page):
    text = page.locator("#text textarea")
    page.get_by_role("button", name="Clear").click()
    expect(text).to_have_value("")
    before = page.evaluate("calls")
    page.get_by_role("button", name="Count").click()
    expect(text).to_have_value(f"{UPDATES} of {UPDATES}")
    return page.evaluate("calls") - before


hidden = {"show_progress": "hidden"}
found = {}
with sync_playwright() as player:
    browser = player.chromium.launch(executable_path=sys.argv[1], args=["--no-sandbox"])
    print(f"gradio {gr.__version__}, Chromium {browser.version}")
    for name, options in (("hidden", hidden), ("hidden, on []", {**hidden, "show_progress_on": []})):
        page = browser.new_page()
        page.goto(serve(**options))
        page.get_by_role("button", name="List").wait_for()
        page.evaluate(COUNT_CALLS)
        found[name, "empty"] = measure(page)
        page.get_by_role("button", name="List").click()
        expect(page.locator("#listed")).to_contain_text("word 1")
        found[name, "listed"] = measure(page)
        for state in ("empty", "listed"):
            print(f"progress {name}; the list {state}: {found[name, state]:,} copies in {UPDATES} updates")
        page.close()
    browser.close()
assert found["hidden", "listed"] > found["hidden", "empty"] + WORDS * UPDATES // 2
assert found["hidden, on []", "listed"] < WORDS
print("as described")
PYTHON
"$folder/venv/bin/python" "$folder/copies.py" "$chromium"
