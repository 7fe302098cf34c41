#!/usr/bin/env bash
# gr.Image says nothing where there is no camera: its own error is never shown, and the browser reports an uncaught one.
#
# Expected: without a camera, or without leave to use it, "Click to Access Webcam" says so; the page even has a sentence about
#   access to the webcam.
# Happens: nothing changes on the page, and the rejection of getUserMedia is reported as uncaught: the call stands in a try, but its
#   promise is not awaited there.
# Shown: an app with a gr.Image of the source "webcam", opened in a Chromium without a camera; what the page says before and after
#   the click, and the errors that the browser reports.
# Matters here: visitors of Grounding and Tiles who choose the camera on a machine without one get no word.
# Source: gradio 6.31.0, the page's Webcam component (access_webcam); found by a visitor who tried the camera. Needs a Chromium on
#   PATH.
set -euo pipefail
GRADIO=6.31.0
chromium=$(command -v chromium-headless-shell || command -v chromium || command -v chromium-browser || command -v google-chrome)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO" playwright==1.65.2
cat > "$folder/camera.py" <<'PYTHON'
import sys

import gradio as gr
from playwright.sync_api import sync_playwright

with gr.Blocks() as app:
    picture = gr.Image(sources=["webcam"], elem_id="picture")
_, address, _ = app.launch(prevent_thread_lock=True, quiet=True)
with sync_playwright() as player:
    browser = player.chromium.launch(executable_path=sys.argv[1], args=["--no-sandbox"])
    page = browser.new_context(permissions=["camera"]).new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.get_by_role("button", name="Click to Access Webcam").wait_for()
    before = page.locator("body").inner_text()
    cameras = page.evaluate(
        "() => navigator.mediaDevices.enumerateDevices().then((all) => all.filter((each) => each.kind === 'videoinput').length)"
    )
    page.get_by_role("button", name="Click to Access Webcam").click()
    page.wait_for_timeout(3000)
    after = page.locator("body").inner_text()
    print(f"gradio {gr.__version__}, Chromium {browser.version}, cameras: {cameras}")
    print("errors that the browser reports:", errors)
    print("the page says the same before and after:", before == after)
    browser.close()
assert cameras == 0 and before == after
assert any("device not found" in error for error in errors)
print("as described")
PYTHON
"$folder/venv/bin/python" "$folder/camera.py" "$chromium"
