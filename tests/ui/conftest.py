"""The page served over HTTP: with the random-weight nano, and with an engine that says what a test wants said.

Both run behind the real worker. `open_page` fails a test whose page reports an error in its console.
"""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect

from dsvl2_app.engine.worker import Worker
from dsvl2_app.image.tiles import TileGeometry
from dsvl2_app.request import Event, ModelCard, PromptPlan, Request, Timings
from dsvl2_app.settings import Settings
from dsvl2_app.ui.layout import build, launch


def pytest_configure(config: pytest.Config) -> None:
    expect.set_options(timeout=20_000)  # on a busy machine
    # Gradio's server and client leave sockets and loops to the garbage collector.
    config.addinivalue_line("filterwarnings", "ignore:unclosed:ResourceWarning")


CARD = ModelCard(
    "script", "a test", "These words are a test's.", 12_345_678, 5_000_000, "float32", "cpu", 4096, TileGeometry()
)


@dataclass
class Script:
    """An engine without a model. `say` is the answer or an exception; with `endless` it never ends by itself. It takes
    `pause` seconds for seven letters."""

    say: str | Exception = "Hello."
    endless: bool = False
    pause: float = 0.01
    card: ModelCard = CARD
    requests: list[Request] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    def serve(self, request: Request) -> Iterator[Event]:
        self.requests.append(request)
        self.closed.clear()
        try:
            timings = Timings(tiles=3, encoded_tiles=2, vision=0.5, prefill=0.25, prompt_tokens=900)
            yield Event("vision", done=2, total=2, timings=timings)
            if isinstance(self.say, Exception):
                raise self.say
            pieces = [self.say[start : start + 7] for start in range(0, len(self.say), 7)]
            while pieces:
                timings = replace(timings, new_tokens=timings.new_tokens + 1, decode=timings.decode + 0.1)
                yield Event("decode", pieces[0], 5, timings=timings)
                pieces = [*pieces[1:], *(pieces[:1] if self.endless else [])]
                time.sleep(self.pause)
            yield Event("done", finish="eos", timings=timings)
        finally:
            self.closed.set()

    def plan(
        self, messages: list[dict[str, Any]], tiling: bool | None = None, max_tiles: int | None = None
    ) -> PromptPlan:
        return PromptPlan(1, (), self.card.context)


@dataclass(frozen=True)
class App:
    url: str
    script: Script | None = None

    def client(self) -> Client:
        return Client(self.url, verbose=False)


def serve(worker: Worker, settings: Settings, script: Script | None = None) -> Iterator[App]:
    with socket.socket() as free:
        free.bind((settings.host, 0))
        settings = replace(settings, port=free.getsockname()[1])
    demo = build(worker, settings)
    yield App(launch(demo, settings, wait=False), script)
    demo.close(verbose=False)
    worker.close()
    gc.collect()  # now, while the filter above holds


@pytest.fixture(scope="session", autouse=True)
def uploads(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nobody else's: see ui/uploads."""
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("uploads"))


@pytest.fixture(scope="session")
def nano_worker() -> Worker:
    return Worker.load(Settings.parse(["--load-format", "dummy"], {}))


@pytest.fixture(scope="session")
def nano(nano_worker: Worker) -> Iterator[App]:
    yield from serve(nano_worker, Settings.parse(["--load-format", "dummy"], {}))


@pytest.fixture(scope="session")
def scripted_app() -> Iterator[App]:
    script = Script()
    yield from serve(Worker(script), Settings.parse([], {}), script)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def trained() -> Iterator[App]:
    """nano as it is shipped."""
    settings = Settings.parse([], {})
    yield from serve(Worker.load(settings), settings)


@pytest.fixture(scope="session")
def mcp_app() -> Iterator[App]:
    script = Script()
    yield from serve(Worker(script), Settings.parse(["--mcp"], {}), script)  # type: ignore[arg-type]


@pytest.fixture
def scripted(scripted_app: App) -> App:
    assert scripted_app.script
    scripted_app.script.__init__()  # type: ignore[misc]
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
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    pages: list[Page] = []
    complaints: list[str] = []

    def open_page(app: App, width: int = 1280, height: int = 800, **options: Any) -> Page:
        page = browser.new_page(viewport={"width": width, "height": height}, **options)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(app.url)
        page.get_by_role("tab").first.wait_for()
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not complaints
