#!/usr/bin/env bash
# Two listeners of one click run one after the other in Gradio 6: the second begins when the first one's generator has ended.
#
# Expected: `button.click(answer, ...)` and `button.click(note, ...)` are two events that begin with the click, as in Gradio 5;
#   what is to follow another event is written with `.then`. A listener of JavaScript alone needs no server and runs at once.
# Happens: the page walks through the listeners of a click and awaits each to its end before it sends the next. The second
#   request leaves the browser when the first stream has closed, whatever room the queue has; also a listener with `js` alone
#   waits. Written in the other order both begin at once, so that nothing is seen until somebody moves a line.
# Shown: buttons with two listeners, in Chromium: the first is a generator that ends after three seconds, the second one of Python or
#   of JavaScript. Whether the second was done while the first still ran, in Gradio 5.50 and in 6.31.
# Matters here: a chat streams its answer from a click; what the page does beside it (clears the box, locks a button, moves the focus)
#   came when the answer was complete, or after minutes. Ours comes before the streaming listener, or in its own first value.
# Source: gradio 6.31.0 and 5.50.0; found by a browser test that clicked while an answer was streamed. Needs a Chromium on PATH.
set -euo pipefail
chromium=$(command -v chromium-headless-shell || command -v chromium || command -v chromium-browser || command -v google-chrome)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/show.py" <<'PYTHON'
import asyncio
import sys

import gradio
from playwright.sync_api import sync_playwright


async def stream():
    for number in range(6):
        await asyncio.sleep(0.5)
        yield f"value {number}"
    yield "ended"


async def note():
    return "noted"


SCRIPT = "() => 'noted'"
ORDERS = ("stream, then Python", "stream, then JavaScript", "JavaScript, then stream")
with gradio.Blocks() as demo:
    streamed, noted = gradio.Textbox(label="streamed"), gradio.Textbox(label="noted")
    first, second, third = map(gradio.Button, ORDERS)
    first.click(stream, None, streamed)
    first.click(note, None, noted)
    second.click(stream, None, streamed)
    second.click(None, None, noted, js=SCRIPT)
    third.click(None, None, noted, js=SCRIPT)
    third.click(stream, None, streamed)
_, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
together = []
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=sys.argv[1])
    for name in ORDERS:
        page = browser.new_page()
        page.goto(url)
        page.get_by_role("button", name=name, exact=True).click()
        page.wait_for_function("document.querySelectorAll('textarea, input')[1].value == 'noted'", timeout=30_000)
        together.append(page.get_by_label("streamed", exact=True).input_value() != "ended")
        print(f"gradio {gradio.__version__}: {name}: the note came {'during' if together[-1] else 'after'} the stream")
        page.close()
    browser.close()
demo.close(verbose=False)
expected = [True] * 3 if gradio.__version__.startswith("5.") else [False, False, True]
print("as described" if together == expected else "NOT as described any more")
sys.exit(together != expected)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
for version in 5.50.0 6.31.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "gradio==$version" playwright==1.65.2
    timeout 180 "$folder/$version/bin/python" "$folder/show.py" "$chromium"
done
