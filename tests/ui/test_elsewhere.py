"""The page behind a real nginx below a path, in a frame of another site, and as a component in another site's page."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from gradio_client import Client, handle_file
from openai import OpenAI
from PIL import Image
from playwright.sync_api import Browser, Frame, Page, expect

from dsvl2_app.backend import load
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.bundled import EXAMPLES
from dsvl2_app.image.load import Limits
from dsvl2_app.settings import Settings
from dsvl2_app.ui.elsewhere import BehindProxy
from tests.ui.conftest import CARD, App, serve_page
from tests.ui.nginx import CONFIGURATION, nginx_before
from tests.ui.steps import ask, attach, bot
from tests.ui.test_mcp import call

SERVING = Path(__file__).parents[2] / "docs" / "serving.md"
PUBLIC = "https://example.org/demo/"  # as the documentation has it
WORDS = "One word after the other. " * 8
LOADED = """selector => {
    const all = [...document.querySelectorAll(selector)];
    all.find(image => !image.complete)?.scrollIntoView();  // some load when they come into sight
    return all.length > 0 && all.every(image => image.complete && image.naturalWidth > 0);
}"""


def read_snippet(tag: str) -> str:
    """The HTML of docs/serving.md that has this tag."""
    (found,) = [
        each
        for each in re.findall(r"^```html\n(.*?)^```", SERVING.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        if f"<{tag}" in each
    ]
    assert PUBLIC in found
    return found


class OtherSite(SimpleHTTPRequestHandler):
    """Answers /blog/page with `text`."""

    def __init__(self, *given: Any, text: str) -> None:
        self.text = text
        super().__init__(*given)

    def do_GET(self) -> None:
        found = self.path == "/blog/page"
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(f"<!doctype html><title>A blog</title><h1>A blog</h1>{self.text}".encode() if found else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other_site() -> Iterator[Callable[[str], str]]:
    """`other_site(html)` -> the address of a page of another site with it."""
    servers = []

    def serve(text: str) -> str:
        # Whatever else a browser asks a site for is not the demo's.
        text = f'<link rel="icon" href="data:,">{text}'
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), partial(OtherSite, text=text)))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://localhost:{servers[-1].server_port}/blog/page"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def plain() -> Iterator[App]:
    """nano at the root of a server of its own."""
    settings = Settings.parse(["--compile", "off"], {})
    yield from serve_page(load(settings), settings)


@pytest.fixture(scope="module")
def below() -> Iterator[App]:
    """nano for a proxy that shows it below /demo."""
    settings = Settings.parse(["--compile", "off", "--root-path", "/demo/"], {})
    yield from serve_page(load(settings), settings)


@pytest.fixture(scope="module")
def proxied(below: App, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with nginx_before(port_of(below), tmp_path_factory.mktemp("nginx")) as address:
        yield address


@pytest.fixture(scope="module")
def scripted_below() -> Iterator[App]:
    script = ScriptedBackend(card=CARD)
    settings = Settings.parse(["--root-path", "/demo", "--mcp"], {})
    yield from serve_page(script, settings, script)


@pytest.fixture(params=["http://127.0.0.1:7860/", "http://127.0.0.1:7860"], ids=["stripped", "whole"])
def scripted_proxied(scripted_below: App, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address behind nginx, which takes the prefix off or leaves it."""
    assert scripted_below.script
    scripted_below.script.__init__(card=CARD)  # type: ignore[misc]
    with nginx_before(port_of(scripted_below), tmp_path, request.param) as address:
        yield address


def port_of(app: App) -> int:
    port = urlsplit(app.url).port
    assert port
    return port


class Visit:
    """A page that is open, and all that it asked for and complained about."""

    def __init__(self, browser: Browser, address: str, root: str) -> None:
        self.page = browser.new_page(viewport={"width": 1280, "height": 1400})
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda each: self.complaints.append(each.text) if each.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("response", self.note)
        self.page.goto(address)
        self.root = root
        self.address = address

    def note(self, response: Any) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.url}")

    @property
    def outside(self) -> list[str]:
        """What was asked of anybody but the app below its root and the page itself."""
        return [url for url in self.asked if not url.startswith((self.root, "data:", "blob:")) and url != self.address]


def try_everything(page: Page | Frame, top: Page) -> None:
    """Chat, Grounding with a download, and Tiles, with nano: every picture must load."""
    page.get_by_role("tab", name="Chat").wait_for()
    page.wait_for_function(LOADED, arg="#conversation .examples img")
    attach(page, EXAMPLES / "one.png")
    ask(page, "What do you see?")
    expect(bot(page).locator("summary")).to_be_visible()
    expect(bot(page)).to_contain_text("cyan")
    page.wait_for_function(LOADED, arg="#conversation .pictures img")
    ask(page, "<|ref|>The black triangle<|/ref|>.")
    page.wait_for_function(LOADED, arg="#conversation .found img")

    page.get_by_role("tab", name="Grounding").click()
    page.wait_for_function(LOADED, arg="#grounding-examples img")
    page.locator("#grounding-picture input[type=file]").set_input_files(EXAMPLES / "one.png")
    page.locator("#grounding-phrase :is(textarea, input)").fill("The black triangle")
    page.locator("#grounding-start").click()
    expect(page.locator("#grounding-exports")).to_be_visible()
    expect(page.locator("#grounding-boxes .box")).to_have_count(1)
    page.wait_for_function(LOADED, arg="#grounding-boxes img")
    files = {}
    for name in ("Picture (PNG)", "JSON"):
        with top.expect_download() as download:
            page.locator("#grounding-exports").get_by_role("button", name=name, exact=True).click()
        files[name] = download.value
    with Image.open(files["Picture (PNG)"].path()) as drawn, Image.open(EXAMPLES / "one.png") as original:
        assert drawn.size == original.size
    assert files["Picture (PNG)"].suggested_filename == "one-boxes.png"
    (box,) = json.loads(files["JSON"].path().read_text())["boxes"]
    assert box["label"] == "The black triangle"

    page.get_by_role("tab", name="Tiles").click()
    page.locator("#tiles-pictures input[type=file]").first.set_input_files(EXAMPLES / "one.png")
    for selector in ("#tiles-grid img", "#tiles-cut img"):
        page.wait_for_function(LOADED, arg=selector)
    expect(page.locator("#tiles-tokens section")).to_be_visible()


def finish(visit: Visit) -> None:
    visit.page.wait_for_timeout(500)
    visit.page.close()
    assert (visit.complaints, visit.outside) == ([], [])


@pytest.mark.slow
def test_the_page_at_the_root_of_a_server(browser: Browser, plain: App) -> None:
    visit = Visit(browser, plain.url, plain.url)
    try_everything(visit.page, visit.page)
    finish(visit)


@pytest.mark.slow
def test_the_page_behind_nginx_below_a_path(browser: Browser, proxied: str) -> None:
    visit = Visit(browser, proxied, proxied)
    try_everything(visit.page, visit.page)
    finish(visit)


@pytest.mark.slow
def test_the_page_in_a_frame_of_another_site(browser: Browser, proxied: str, other_site: Callable[[str], str]) -> None:
    visit = Visit(browser, other_site(read_snippet("iframe").replace(PUBLIC, proxied)), proxied)
    (frame,) = visit.page.main_frame.child_frames
    try_everything(frame, visit.page)
    finish(visit)


@pytest.mark.slow
def test_the_page_as_a_component_of_another_sites_page(
    browser: Browser, plain: App, other_site: Callable[[str], str]
) -> None:
    visit = Visit(browser, other_site(read_snippet("gradio-app").replace(PUBLIC, plain.url)), plain.url)
    address = visit.page.url
    try_everything(visit.page, visit.page)
    assert visit.page.url == address  # which is the other site's own
    finish(visit)


@pytest.mark.slow
def test_streams_arrive_as_they_are_written(scripted_below: App, scripted_proxied: str) -> None:
    assert scripted_below.script
    scripted_below.script.say, scripted_below.script.pause = WORDS, 0.05
    body = {"model": "script", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    times = []
    with httpx.stream("POST", f"{scripted_proxied}v1/chat/completions", json=body, timeout=60) as answer:
        assert answer.status_code == 200
        for _ in answer.iter_bytes():
            times.append(time.monotonic())
    assert len(times) > 10
    assert times[-1] - times[0] > 0.5 * len(WORDS) / 7 * 0.05  # the script writes 7 letters a piece


@pytest.mark.slow
def test_streams_ask_not_to_be_held_back(scripted_below: App) -> None:
    address = f"http://127.0.0.1:{port_of(scripted_below)}"
    with httpx.stream("GET", f"{address}/gradio_api/heartbeat/any") as answer:
        assert answer.headers["X-Accel-Buffering"] == "no"
    assert "X-Accel-Buffering" not in httpx.get(f"{address}/healthz").headers


@pytest.mark.slow
def test_clients_find_everything_behind_nginx(
    scripted_below: App, scripted_proxied: str, pictures: dict[str, Path]
) -> None:
    assert scripted_below.script
    scripted_below.script.say = "<|ref|>disc<|/ref|><|det|>[[0, 0, 999, 500]]<|/det|>"
    client = Client(scripted_proxied, verbose=False)
    drawn, found, _ = client.predict(handle_file(pictures["wide"]), "disc", api_name="/ground")
    assert Image.open(drawn).size == (1000, 400)
    assert found["boxes"][0]["label"] == "disc"

    (model,) = OpenAI(base_url=f"{scripted_proxied}v1", api_key="any").models.list()
    assert model.id == "script"
    told = httpx.get(f"{scripted_proxied}healthz")
    assert (told.status_code, told.json()["status"]) == (200, "ready")

    tools = {tool["name"] for tool in call(scripted_proxied, "tools/list")["tools"]}
    assert tools == {"chat", "ground", "describe_tiles", "inspect"}
    landing = httpx.get(f"{scripted_proxied}gradio_api/mcp/", headers={"Accept": "text/html"})
    assert f"{scripted_proxied}gradio_api/mcp/" in landing.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["a b", "50%", "50%25", "a%2Fb", "a#b", "a?b=c&d", "a+b;c", "Äpfel", "狗", "it's", 'say "it"', "{0}", "~.."]
)
def test_pictures_of_any_name_come_and_go_through_nginx(
    scripted_below: App, scripted_proxied: str, tmp_path: Path, name: str
) -> None:
    assert scripted_below.script
    scripted_below.script.say = "<|ref|>disc<|/ref|><|det|>[[0, 0, 999, 500]]<|/det|>"
    picture = tmp_path / f"{name}.png"
    Image.new("RGB", (90, 60), "teal").save(picture)
    client = Client(scripted_proxied, verbose=False, download_files=str(tmp_path / "fetched"))
    drawn, found, _ = client.predict(handle_file(picture), "disc", api_name="/ground")
    assert Image.open(drawn).size == (90, 60)
    assert len(found["boxes"]) == 1


@pytest.mark.slow
def test_visitors_behind_nginx_are_told_apart(scripted_below: App, scripted_proxied: str) -> None:
    assert scripted_below.script
    body = {"model": "script", "messages": [{"role": "user", "content": "Hi"}]}
    for visitor in ("192.0.2.1", "192.0.2.2"):
        url = f"{scripted_proxied}v1/chat/completions"
        httpx.post(url, json=body, headers={"X-Forwarded-For": visitor}).raise_for_status()
        assert visitor in scripted_below.script.requests[-1].owner


@pytest.mark.slow
def test_the_page_names_nothing_outside_of_its_path(scripted_proxied: str) -> None:
    text = httpx.get(scripted_proxied).text
    named = {urljoin(scripted_proxied, each) for each in re.findall(r'\b(?:src|href)= ?"([^"{]+)"', text)}
    assert f"{scripted_proxied}manifest.json" in named
    assert {each for each in named if not each.startswith((scripted_proxied, "data:"))} == set()
    assert {each for each in named if each.startswith("http") and httpx.get(each).status_code != 200} == set()


def test_uploads_fit_through_nginx() -> None:
    (most,) = re.findall(r"client_max_body_size (\d+)m;", CONFIGURATION.read_text(encoding="utf-8"))
    assert int(most) * 2**20 >= 2 * Limits().max_bytes


@pytest.mark.parametrize(
    ("root_path", "path", "placed"),
    [
        ("/demo", "/", ("/demo", "/demo/")),
        ("/demo", "/demo/healthz", ("/demo", "/demo/healthz")),
        ("/demo", "/demonstration", ("/demo", "/demo/demonstration")),
        ("https://example.org/a/b", "/healthz", ("/a/b", "/a/b/healthz")),
    ],
)
def test_a_request_has_the_path_that_visitors_see(root_path: str, path: str, placed: tuple[str, str]) -> None:
    async def app(*_: Any) -> None:
        raise AssertionError

    scope = BehindProxy(app, root_path).place({"type": "http", "path": path})
    assert (scope["root_path"], scope["path"]) == placed
