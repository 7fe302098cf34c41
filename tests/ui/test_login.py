"""--auth: who has no name and password gets nothing but the page that asks for them, over HTTP and in a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import Browser, expect

from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.settings import Settings
from dsvl2_app.ui import login
from tests.ui.conftest import CARD, App, serve_page

pytestmark = pytest.mark.slow
USER, PASSWORD = "ann", "open: sesame"
HAS_MCP = find_spec("mcp") is not None


@pytest.fixture(scope="module")
def closed() -> Iterator[App]:
    script = ScriptedBackend(card=CARD)
    settings = Settings.parse(["--metrics", *(["--mcp"] if HAS_MCP else [])], {"DSVL2_AUTH": f"{USER}:{PASSWORD}"})
    yield from serve_page(script, settings, script)


def ask_everywhere(app: App, auth: tuple[str, str] | None) -> dict[str, int]:
    """Statuses of all that tells, takes or answers something."""
    question = {"model": "script", "messages": [{"role": "user", "content": "Hi"}]}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    with httpx.Client(base_url=app.url, auth=auth, timeout=30, headers={"Accept": "application/json, */*"}) as http:
        asked = {
            "config": http.get("config"),
            "info": http.get("gradio_api/info"),
            "upload": http.post("gradio_api/upload", files={"files": ("a.txt", b"a")}),
            "run": http.post("gradio_api/run/tiles", json={"data": [None]}),
            "call": http.post("gradio_api/call/chat", json={"data": [{"text": "Hi", "files": []}]}),
            "join": http.post("gradio_api/queue/join", json={"data": [], "fn_index": 0, "session_hash": "a"}),
            "file": http.get("gradio_api/file=/nowhere/a.png"),
            "models": http.get("v1/models"),
            "completions": http.post("v1/chat/completions", json=question),
            "metrics": http.get("metrics"),
        }
        if HAS_MCP:
            headers = {"Accept": "application/json, text/event-stream"}
            asked["mcp"] = http.post("gradio_api/mcp/", json=call, headers=headers)
        return {name: answer.status_code for name, answer in asked.items()}


@pytest.mark.parametrize("auth", [None, (USER, "open"), ("bob", PASSWORD), ("", "")])
def test_without_a_name_and_its_password_all_is_closed(closed: App, auth: tuple[str, str] | None) -> None:
    assert set(ask_everywhere(closed, auth).values()) == {401}
    stream = httpx.get(f"{closed.url}gradio_api/queue/data", params={"session_hash": "a"}, auth=auth)
    assert stream.status_code == 401
    assert closed.script and not closed.script.requests


def test_those_who_watch_over_the_app_need_none(closed: App) -> None:
    assert [httpx.get(closed.url + path).status_code for path in ("healthz", "readyz")] == [200, 200]


def test_the_page_that_asks_tells_nothing_else(closed: App) -> None:
    page = httpx.get(closed.url)
    assert page.status_code == 200 and CARD.source not in page.text


def test_programs_send_them_with_each_request(closed: App) -> None:
    found = ask_everywhere(closed, (USER, PASSWORD))
    assert found.pop("run") == 400 and found.pop("file") in (403, 404)
    assert set(found.values()) == {200}, found


def test_challenge_is_of_http_basic(closed: App) -> None:
    answer = httpx.get(f"{closed.url}v1/models")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_wrong_passwords_of_an_address_are_few(closed: App) -> None:
    """Typed or sent, ten within a minute: then not even the right one is told apart. Others are not kept out."""
    http = httpx.Client(base_url=closed.url, headers={"X-Forwarded-For": "203.0.113.40"}, timeout=30)
    typed = [http.post("login", data={"username": USER, "password": f"{number}"}).status_code for number in range(5)]
    sent = [http.get("v1/models", auth=(USER, f"{number}")).status_code for number in range(5)]
    assert (typed, sent) == ([400] * 5, [401] * 5)
    for refused in (
        http.post("login", data={"username": USER, "password": PASSWORD}),
        http.get("v1/models", auth=(USER, PASSWORD)),
    ):
        assert refused.status_code == 429 and 1 <= int(refused.headers["Retry-After"]) <= 60
        assert refused.json()["detail"].startswith("10 wrong passwords came from your network address within a minute")
    assert http.get("healthz").status_code == 200
    others = {"X-Forwarded-For": "203.0.113.41"}
    assert httpx.get(f"{closed.url}v1/models", auth=(USER, PASSWORD), headers=others).status_code == 200


def test_tries_are_forgotten_after_a_minute_and_addresses_after_many() -> None:
    now = 0.0
    tries = login.Tries(lambda: now)
    for number in range(10):
        assert tries.wait("203.0.113.1") == 0
        now = float(number)
        tries.fail("203.0.113.1")
        tries.fail("127.0.0.1")
    assert tries.wait("203.0.113.1") == 51 and tries.wait("203.0.113.2") == tries.wait("127.0.0.1") == 0
    now = 60.0
    assert tries.wait("203.0.113.1") == 0
    tries.fail("203.0.113.1")
    assert tries.wait("203.0.113.1") == 1
    for number in range(login.MOST_ADDRESSES):
        tries.fail(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(tries._failed) == login.MOST_ADDRESSES and tries.wait("203.0.113.1") == 0


def test_clients_of_gradio_log_in(
    closed: App, pictures: dict[str, Path], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(closed.url, auth=(USER, PASSWORD), verbose=False)
    assert client.predict({"text": "Hi", "files": [handle_file(pictures["tall"])]}, api_name="/chat") == "Hello."
    written = "".join(capfd.readouterr()) + caplog.text
    assert PASSWORD not in written and json.dumps(PASSWORD) not in written


@pytest.mark.skipif(not HAS_MCP, reason="mcp is not installed")
def test_tools_work_for_those_who_may(closed: App) -> None:
    asked = {"name": "chat", "arguments": {"message": {"text": "Hi", "files": []}}, "_meta": {"progressToken": 1}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asked}
    headers = {"Accept": "application/json, text/event-stream"}
    answer = httpx.post(f"{closed.url}gradio_api/mcp/", json=body, headers=headers, auth=(USER, PASSWORD), timeout=30)
    assert "Hello." in answer.text


@pytest.mark.browser
def test_people_log_in(closed: App, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(closed.url)
    page.get_by_label("username").fill(USER)
    page.get_by_label("password").fill(PASSWORD)
    expect(page.get_by_role("tab")).to_have_count(0)
    around, panel = (
        page.locator(part).evaluate("part => getComputedStyle(part).backgroundColor")
        for part in (".wrap:has(> .panel)", ".wrap > .panel")
    )
    assert around == panel  # else there are two empty fields beside it
    page.get_by_role("button", name="Login").click()
    expect(page.get_by_role("tab", name="Chat")).to_be_visible()
    box = page.locator("#message textarea")
    box.fill("Hi")
    box.press("Enter")
    expect(page.get_by_text("Hello.")).to_be_visible()
    page.close()
