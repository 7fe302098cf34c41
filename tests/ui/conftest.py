"""The page served over HTTP: with the random-weight nano, and with a backend that says what a test wants said.

`open_page` fails a test whose page reports an error in its console.
"""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from gradio_client import Client
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from dsvl2_app import health
from dsvl2_app.api.routes import build_routes
from dsvl2_app.backend import Backend, load
from dsvl2_app.backend.scripted import CARD as SCRIPTED_CARD
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.settings import Settings
from dsvl2_app.ui.page import build, launch
from dsvl2_app.ui.uploads import image_limits
from tests.ui.steps import is_complaint, watch
from tests.waiting import PATIENCE


def pytest_configure(config: pytest.Config) -> None:
    expect.set_options(timeout=20_000 * config.getoption("slow_browser"))  # ms, on a busy machine
    # Gradio's server and client leave sockets and loops to the garbage collector.
    config.addinivalue_line("filterwarnings", "ignore:unclosed:ResourceWarning")


CARD = replace(SCRIPTED_CARD, source="a test", notice="These words are a test's.")


@dataclass(frozen=True)
class App:
    url: str
    script: ScriptedBackend | None = None

    def client(self) -> Client:
        return Client(self.url, verbose=False)


RELEASED = str(Path(__file__).parents[1] / "reference" / "tiny" / "checkpoint")
# Of the tests through a server elsewhere, those that `make test` runs; `make test-remote` runs the rest.
REPRESENTATIVE = {
    "test_a_conversation_with_nano",
    "test_the_answer_grows_and_stop_keeps_it",
    "test_closing_the_tab_stops_the_answer",
    "test_a_refused_question_stays_where_it_was_typed",
    "test_find_with_nano",
    "test_stop_keeps_the_boxes_found",
    "test_boxes_are_drawn_listed_and_reported",
    "test_the_grammar_is_on_until_it_is_switched_off",
    "test_chat_streams_text_that_grows",
    "test_chat_places_pictures_and_takes_history",
    "test_failures_are_one_sentence_and_the_next_request_works",
    "test_ground_returns_picture_boxes_and_text",
    "test_ground_keeps_boxes_well_formed_and_knows_whose_request_it_is",
}


@pytest.fixture(scope="session", params=["local", "openai"])
def way(request: pytest.FixtureRequest) -> str:
    """Whether the page asks its model in this process, or over HTTP through the endpoint of another page."""
    return request.param


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is None or callspec.params.get("way") != "openai":
            continue
        if getattr(item, "originalname", "") not in REPRESENTATIVE:
            item.add_marker(pytest.mark.remote)
            item.add_marker(pytest.mark.slow)
        if item.path.name in ("test_inside.py", "test_layout_figures.py"):
            item.add_marker(pytest.mark.skip(reason="a model's server elsewhere cannot be looked into"))


def serve(backend: Backend, settings: Settings, way: str, script: ScriptedBackend | None = None) -> Iterator[App]:
    if way == "local":
        yield from serve_page(backend, settings, script)
        return
    for app in serve_page(backend, settings):  # stays until the page before it is closed
        flags = ["--backend", "openai", "--api-base", f"{app.url}v1", *(["--mcp"] if settings.mcp else [])]
        flags += ["--model", RELEASED] if script else []  # of which the script's tiles are
        remote = Settings.parse(flags, {})
        yield from serve_page(load(remote), remote, script)


def serve_page(backend: Backend, settings: Settings, script: ScriptedBackend | None = None) -> Iterator[App]:
    with socket.socket() as free:
        free.bind((settings.host, 0))
        settings = replace(settings, port=free.getsockname()[1])
    watched, watching = health.watch(backend, settings)
    demo = build(watched, settings)
    routes = [*build_routes(watched, settings, image_limits(settings)), *watching]
    yield App(launch(demo, settings, routes), script)
    demo.close(verbose=False)
    backend.close()
    gc.collect()  # now, while the filter above holds


@pytest.fixture(scope="session", autouse=True)
def uploads(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nobody else's: see ui/uploads."""
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("uploads"))


@pytest.fixture(scope="session")
def nano_backend(way: str) -> Backend:
    return load(Settings.parse(["--load-format", "dummy", "--compile", "off"], {}))


@pytest.fixture(scope="session")
def nano(nano_backend: Backend, way: str) -> Iterator[App]:
    yield from serve(nano_backend, Settings.parse(["--load-format", "dummy", "--compile", "off"], {}), way)


@pytest.fixture(scope="session")
def scripted_app(way: str) -> Iterator[App]:
    script = ScriptedBackend(card=CARD)
    yield from serve(script, Settings.parse([], {}), way, script)


@pytest.fixture(scope="session")
def trained(way: str) -> Iterator[App]:
    """nano as it is shipped."""
    settings = Settings.parse(["--compile", "off"], {})
    yield from serve(load(settings), settings, way)


@pytest.fixture(scope="session")
def mcp_app(way: str) -> Iterator[App]:
    script = ScriptedBackend(card=CARD)
    yield from serve(script, Settings.parse(["--mcp"], {}), way, script)


@pytest.fixture
def scripted(scripted_app: App) -> App:
    assert scripted_app.script
    scripted_app.script.__init__(card=CARD)  # type: ignore[misc]
    return scripted_app


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pictures")
    wide = Image.new("RGB", (1000, 400), "steelblue")
    ImageDraw.Draw(wide).ellipse((200, 80, 500, 320), fill="orange")
    wide.save(folder / "wide.png")
    Image.new("RGB", (300, 500), "seagreen").save(folder / "tall.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, shown upright: 400 x 1000
    wide.save(folder / "turned.jpg", exif=exif)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[Any], Event]]:
    """Lets the first call of a function wait with its result; returns what each call returned, and what ends the
    waiting."""

    def hold(owner: Any, name: str, is_meant: Callable[..., bool] = lambda *_: True) -> tuple[list[Any], Event]:
        function, go = getattr(owner, name), Event()
        calls: list[Any] = []

        def wait(*values: Any, **options: Any) -> Any:
            result = function(*values, **options)
            if calls or is_meant(*values):
                calls.append(result)
                if len(calls) == 1:
                    go.wait(PATIENCE)
            return result

        monkeypatch.setattr(owner, name, wait)
        return calls, go

    return hold


@pytest.fixture
def slow_down(pytestconfig: pytest.Config) -> Callable[[Page], None]:
    """Lets a page have as little of the processor as --slow-browser says."""

    def slow_down(page: Page) -> None:
        slowness = pytestconfig.getoption("slow_browser")
        if slowness > 1:
            page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slowness})

    return slow_down


@pytest.fixture
def open_page(browser: Browser, slow_down: Callable[[Page], None]) -> Iterator[Callable[..., Page]]:
    pages: list[Page] = []
    complaints: list[str] = []

    def complain(said: ConsoleMessage) -> None:
        if is_complaint(said):
            complaints.append(f"{said.text} {said.location}")

    def open_page(app: App, width: int = 1280, height: int = 800, at: str = "", **options: Any) -> Page:
        """`at`: what follows the page's address."""
        page = browser.new_page(viewport={"width": width, "height": height}, **options)
        watch(page)
        slow_down(page)
        page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{app.url}{at}")
        page.get_by_role("tab").first.wait_for()
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not complaints
