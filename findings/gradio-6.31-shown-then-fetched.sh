#!/usr/bin/env bash
# A picture of an app that another site's page has shown cannot be fetched by its scripts; one that was not shown can.
#
# Expected: Gradio answers requests of other origins with their origin in Access-Control-Allow-Origin, so scripts of a page that
#   embeds an app may read the app's files, whatever was on the page before.
# Happens: an <img> asks without an Origin header, and that answer has neither Access-Control-Allow-Origin nor Vary: Origin. The
#   browser keeps it for a tenth of the file's age and takes it for the script's fetch(), too, which then fails as if the app
#   allowed no other origin. fetch(..., {cache: "reload"}) works.
# Shown: an app, and a page of another port with the app's file. The headers with and without Origin; fetch() of a file that was
#   not shown, of one that was, and of that one past the cache.
# Matters here: the app as a component of another site's page (<gradio-app>) keeps conversations in the browser by fetching the
#   pictures that it shows. They were not kept there; whether it happens depends on what was loaded when, so that a test of it
#   passed in one order and failed in another.
# Source: gradio 6.31.0, gradio/route_utils.py (CustomCORSMiddleware adds Vary only where there is an Origin); found by a browser
#   test that was run alone. Needs a Chromium on PATH.
set -euo pipefail
GRADIO=6.31.0
chromium=$(command -v chromium-headless-shell || command -v chromium || command -v chromium-browser || command -v google-chrome)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO" playwright==1.65.2
cat > "$folder/shown.py" <<'PYTHON'
import http.server
import io
import os
import sys
import threading
import time

import gradio as gr
import httpx
from PIL import Image
from playwright.sync_api import sync_playwright

with gr.Blocks() as app:
    gr.Image()
_, address, _ = app.launch(prevent_thread_lock=True, quiet=True)


def upload(name, side):
    stored = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(stored, "PNG")
    (path,) = httpx.post(f"{address}gradio_api/upload", files={"files": (name, stored.getvalue())}).json()
    os.utime(path, (time.time() - 3600,) * 2)  # browsers take a file for fresh for a tenth of its age
    return f"{address}gradio_api/file={path}"


fresh, shown = upload("fresh.png", 300), upload("shown.png", 400)
names = ("access-control-allow-origin", "vary")
for origin in ("", "http://localhost:1"):
    headers = httpx.get(shown, headers={"Origin": origin} if origin else {}).headers
    print(f"Origin {origin or 'none'}: " + ", ".join(f"{name} {headers.get(name, 'none')}" for name in names))
    assert ("vary" in headers) == ("access-control-allow-origin" in headers) == bool(origin)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f"<img src='{shown}'>".encode())

    def log_message(self, *_):
        pass


site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
threading.Thread(target=site.serve_forever, daemon=True).start()
READ = "([file, cache]) => fetch(file, {cache}).then(async (a) => (await a.blob()).size + ' bytes', (e) => e.message)"
with sync_playwright() as player:
    browser = player.chromium.launch(executable_path=sys.argv[1], args=["--no-sandbox"])
    page = browser.new_page()
    page.goto(f"http://localhost:{site.server_port}/")
    page.locator("img").evaluate("image => image.decode()")
    found = {
        "not shown before": page.evaluate(READ, [fresh, "default"]),
        "shown before": page.evaluate(READ, [shown, "default"]),
        "shown before, past the cache": page.evaluate(READ, [shown, "reload"]),
    }
    print(f"gradio {gr.__version__}, Chromium {browser.version}")
    for what, came in found.items():
        print(f"fetch of a picture {what}: {came}")
    browser.close()
assert "bytes" in found["not shown before"] and "bytes" in found["shown before, past the cache"]
assert found["shown before"] == "Failed to fetch"
print("as described")
PYTHON
"$folder/venv/bin/python" "$folder/shown.py" "$chromium"
