"""The page behind a real nginx below a path, for clients."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from gradio_client import Client, handle_file
from openai import OpenAI
from PIL import Image

from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.image.load import Limits
from dsvl2_app.settings import Settings
from dsvl2_app.ui.elsewhere import BehindProxy
from tests.ui.conftest import CARD, App, serve_page
from tests.ui.nginx import CONFIGURATION, nginx_before
from tests.ui.test_mcp import call

WORDS = "One word after the other. " * 8


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
    assert tools == {"chat", "ground", "describe_tiles"}
    landing = httpx.get(f"{scripted_proxied}gradio_api/mcp/", headers={"Accept": "text/html"})
    assert f"{scripted_proxied}gradio_api/mcp/" in landing.text


@pytest.mark.slow
def test_visitors_behind_nginx_are_told_apart(scripted_below: App, scripted_proxied: str) -> None:
    assert scripted_below.script
    body = {"model": "script", "messages": [{"role": "user", "content": "Hi"}]}
    for visitor in ("192.0.2.1", "192.0.2.2"):
        url = f"{scripted_proxied}v1/chat/completions"
        httpx.post(url, json=body, headers={"X-Forwarded-For": visitor}).raise_for_status()
        assert visitor in scripted_below.script.requests[-1].owner


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
