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
from typing import Any

import pytest
from gradio_client import Client
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect

from dsvl2_app.backend import Backend, load
from dsvl2_app.backend.scripted import CARD as SCRIPTED_CARD
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.settings import Settings
from dsvl2_app.ui.layout import build, launch


def pytest_configure(config: pytest.Config) -> None:
    expect.set_options(timeout=20_000)  # on a busy machine
    # Gradio's server and client leave sockets and loops to the garbage collector.
    config.addinivalue_line("filterwarnings", "ignore:unclosed:ResourceWarning")


CARD = replace(SCRIPTED_CARD, source="a test", notice="These words are a test's.")


@dataclass(frozen=True)
class App:
    url: str
    script: ScriptedBackend | None = None

    def client(self) -> Client:
        return Client(self.url, verbose=False)


def serve(backend: Backend, settings: Settings, script: ScriptedBackend | None = None) -> Iterator[App]:
    with socket.socket() as free:
        free.bind((settings.host, 0))
        settings = replace(settings, port=free.getsockname()[1])
    demo = build(backend, settings)
    yield App(launch(demo, settings, wait=False), script)
    demo.close(verbose=False)
    backend.close()
    gc.collect()  # now, while the filter above holds


@pytest.fixture(scope="session", autouse=True)
def uploads(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nobody else's: see ui/uploads."""
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("uploads"))


@pytest.fixture(scope="session")
def nano_backend() -> Backend:
    return load(Settings.parse(["--load-format", "dummy"], {}))


@pytest.fixture(scope="session")
def nano(nano_backend: Backend) -> Iterator[App]:
    yield from serve(nano_backend, Settings.parse(["--load-format", "dummy"], {}))


@pytest.fixture(scope="session")
def scripted_app() -> Iterator[App]:
    script = ScriptedBackend(card=CARD)
    yield from serve(script, Settings.parse([], {}), script)


@pytest.fixture(scope="session")
def trained() -> Iterator[App]:
    """nano as it is shipped."""
    settings = Settings.parse([], {})
    yield from serve(load(settings), settings)


@pytest.fixture(scope="session")
def mcp_app() -> Iterator[App]:
    script = ScriptedBackend(card=CARD)
    yield from serve(script, Settings.parse(["--mcp"], {}), script)


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
