"""The app as `serve` puts it together, over real HTTP, in front of nano or of a script."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import gradio as gr
import httpx
import pytest

from dsvl2_app import health
from dsvl2_app.api.routes import build_routes
from dsvl2_app.backend import Backend
from dsvl2_app.settings import Settings
from dsvl2_app.ui.gradio_quirks import takes_events
from dsvl2_app.ui.page import build, launch
from dsvl2_app.ui.uploads import image_limits

Serve = Callable[..., httpx.Client]


def pytest_configure(config: pytest.Config) -> None:
    # Gradio's server and HTTP clients leave sockets to the garbage collector.
    config.addinivalue_line("filterwarnings", "ignore:unclosed:ResourceWarning")


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(backend, field=value...)` -> a client of the app in front of it."""
    with ExitStack() as stack:
        yield lambda backend, **settings: stack.enter_context(serving(backend, **settings))


@contextmanager
def serving(backend: Backend, **given: Any) -> Iterator[httpx.Client]:
    settings = Settings(compile="off", **given)
    with socket.socket() as free:
        free.bind((settings.host, 0))
        settings = replace(settings, port=free.getsockname()[1])
    demos: list[gr.Blocks] = []
    watched, watching = health.watch(backend, settings, lambda: not demos or takes_events(demos[0]))
    demos.append(demo := build(watched, settings))
    url = launch(demo, settings, [*build_routes(watched, settings, image_limits(settings)), *watching])
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client
    demo.close(verbose=False)
    backend.close()
    gc.collect()  # now, while the filter above holds


def ask(client: httpx.Client, words: str = "What do you see?", **more: Any) -> dict[str, Any]:
    name = client.get("/v1/models").json()["data"][0]["id"]
    body = {"model": name, "messages": [{"role": "user", "content": words}], "max_tokens": 12, **more}
    return client.post("/v1/chat/completions", json=body).raise_for_status().json()
