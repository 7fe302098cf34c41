"""The endpoint as it is served: beside the page, over real HTTP, in front of nano or of a script."""

from __future__ import annotations

import base64
import gc
import io
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from openai import OpenAI
from PIL import Image

from dsvl2_app.api.routes import build_routes
from dsvl2_app.backend import Backend, load
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.settings import Settings
from dsvl2_app.ui.page import build, launch
from dsvl2_app.ui.uploads import image_limits

KEYS = ("first key", "second key")


def pytest_configure(config: pytest.Config) -> None:
    # Gradio's server and HTTP clients leave sockets to the garbage collector.
    config.addinivalue_line("filterwarnings", "ignore:unclosed:ResourceWarning")


@dataclass(frozen=True)
class Served:
    url: str
    backend: Backend

    def client(self, key: str = "any", **options: Any) -> OpenAI:
        return OpenAI(base_url=f"{self.url}v1", api_key=key, max_retries=0, **options)


def serve(backend: Backend, settings: Settings, keys: tuple[str, ...] = ()) -> Iterator[Served]:
    with socket.socket() as free:
        free.bind((settings.host, 0))
        settings = replace(settings, port=free.getsockname()[1])
    demo = build(backend, settings)
    routes = build_routes(backend, settings, image_limits(settings), keys)
    yield Served(launch(demo, settings, routes), backend)
    demo.close(verbose=False)
    backend.close()
    gc.collect()  # now, while the filter above holds


@pytest.fixture(scope="session")
def trained() -> Iterator[Served]:
    """nano as it is shipped."""
    settings = Settings.parse(["--image-domains", "127.0.0.1", "--compile", "off"], {})
    yield from serve(load(settings), settings)


@pytest.fixture(scope="session")
def scripted_server() -> Iterator[Served]:
    yield from serve(ScriptedBackend(), Settings())


@pytest.fixture(scope="session")
def guarded() -> Iterator[Served]:
    """It wants a key."""
    yield from serve(ScriptedBackend(), Settings(), KEYS)


@pytest.fixture
def scripted(scripted_server: Served) -> Served:
    scripted_server.backend.__init__()  # type: ignore[misc]
    return scripted_server


@pytest.fixture(scope="session")
def as_address() -> Callable[[Image.Image], str]:
    def write(image: Image.Image) -> str:
        file = io.BytesIO()
        image.save(file, "PNG")
        return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()

    return write
