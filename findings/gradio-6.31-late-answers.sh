#!/usr/bin/env bash
# An event that begins while the end of the page's stream is still on its way is never answered on the page.
#
# Expected: whichever of two answers comes first, an event whose request was accepted shows its result, and a stream that no
#   event waits for is ended: what the network does to the order of two connections changes when something is seen, not whether.
# Happens: all events of a page share one stream. The server ends it as soon as it knows of no event; the page opens one after a
#   request was accepted, if it believes that none is open. (1) The end is on its way, the next event is accepted by the server,
#   the page still counts on the stream: nobody opens another, and the result stays in the server until the next click on anything
#   brings it. (2) A request's acceptance comes after the stream that carried its result has ended: the page opens a stream for a
#   result that it has, and the server keeps that open, with heartbeats alone.
#   A quick event that finds a stream open can end so by itself.
# Shown: an app behind a line of our own that can hold back the answers of one address. (1) The last words of a stream are held
#   back until a second event has been accepted. (2) The acceptance of a second event is held back until the stream has ended.
#   In both: whether the result is shown, and whether a stream is open, five seconds later and after one more event.
# Matters here: visitors with phones in trains click again within the second in which an answer ends; they wait for ever,
#   or hold one of the six connections that a browser has for a host. A question that ends in neither is to be asked again.
# Source: gradio 6.31.0, gradio/routes.py (sse_stream) and the page's open_stream; found by a browser test that held answers
#   back. Needs a Chromium on PATH.
set -euo pipefail
GRADIO=6.31.0
chromium=$(command -v chromium-headless-shell || command -v chromium || command -v chromium-browser || command -v google-chrome)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO" playwright==1.65.2
cat > "$folder/line.py" <<'PYTHON'
import asyncio
import threading
import time


class Line:
    """Passes connections on to the app; answers of one address can be held back, in order and whole."""

    def __init__(self, app_port):
        self.app_port, self.port, self.held, self.ended = app_port, 0, "", 0  # ended: streams, by the app
        threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True).start()
        while not self.port:
            time.sleep(0.05)

    async def serve(self):
        server = await asyncio.start_server(self.connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    async def connect(self, reader, writer):
        app_reader, app_writer = await asyncio.open_connection("127.0.0.1", self.app_port)
        asked, answers = [""], asyncio.Queue()

        async def to_app():
            while data := await reader.read(65536):
                line = data.split(b"\r\n")[0].decode("latin-1")
                if line.startswith(("GET ", "POST ")):
                    asked[0] = line
                app_writer.write(data)
            app_writer.close()

        async def from_app():
            while data := await app_reader.read(65536):
                self.ended += b"close_stream" in data
                answers.put_nowait(data)
            answers.put_nowait(b"")

        async def to_browser():
            while data := await answers.get():
                while self.held and self.held in asked[0]:
                    await asyncio.sleep(0.02)
                writer.write(data)
            writer.close()

        await asyncio.gather(to_app(), from_app(), to_browser(), return_exceptions=True)
PYTHON
cat > "$folder/show.py" <<'PYTHON'
import asyncio
import sys
import time

import gradio
from line import Line
from playwright.sync_api import sync_playwright

last = False  # whether the streamed answer may end


async def stream():
    yield "streaming"
    while not last:
        await asyncio.sleep(0.05)
    yield "streamed"


async def answer():
    return "answered"


async def more():
    await asyncio.sleep(0.5)  # longer than its acceptance takes, or the page has case (2) anew
    return "more"


with gradio.Blocks() as demo:
    boxes = [gradio.Textbox(label=name) for name in ("streamed", "answered", "more")]
    for name, function, box in zip(("stream", "ask", "ask more"), (stream, answer, more), boxes, strict=True):
        gradio.Button(name).click(function, None, box)
demo.launch(prevent_thread_lock=True, quiet=True)
line = Line(demo.server_port)
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=sys.argv[1])
    found = []
    for held in ("", "queue/data", "queue/join"):
        last, line.ended = False, 0
        page, streams = browser.new_page(), set()
        page.on("request", lambda request: "queue/data" in request.url and streams.add(request))
        for end in ("requestfinished", "requestfailed"):
            page.on(end, lambda request: streams.discard(request))
        page.goto(f"http://127.0.0.1:{line.port}")
        click = lambda name: page.get_by_role("button", name=name, exact=True).click()  # noqa: E731
        value = lambda name: page.get_by_label(name, exact=True).input_value()  # noqa: E731

        def wait(condition, what):
            for _ in range(600):
                if condition():
                    return
                page.wait_for_timeout(50)
            sys.exit(f"in vain waited for {what}")

        click("stream")
        wait(lambda: value("streamed") == "streaming", "the first value")
        if held == "queue/data":  # the stream's end is on its way while the second event is accepted
            line.held, last = held, True
            wait(lambda: line.ended, "the end of the stream")
            with page.expect_response("**/queue/join**"):
                click("ask")
        else:
            line.held = held
            click("ask")
            page.wait_for_timeout(500)
            last = True
            wait(lambda: not len(streams), "the end of the stream")
        line.held = ""
        wait(lambda: value("streamed") == "streamed", "the streamed answer")
        page.wait_for_timeout(5000)
        found += [(value("answered") or "nothing", len(streams))]
        click("ask more")
        wait(lambda: value("more") == "more", "a third event")
        wait(lambda: not len(streams), "the end of its stream")
        found += [(value("answered") or "nothing", len(streams))]
        print(f"gradio {gradio.__version__}, held back {held or 'nothing'}: shown, open streams: {found[-2]}, then {found[-1]}")
        page.close()
        time.sleep(1)
    browser.close()
demo.close(verbose=False)
done = ("answered", 0)
same = found == [done, done, ("nothing", 0), done, ("answered", 1), done]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
timeout 300 "$folder/venv/bin/python" "$folder/show.py" "$chromium"
