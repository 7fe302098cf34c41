"""The limits of whoever runs the app, over HTTP: alike for the page, its API and /v1, and each says its value."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from dsvl2_app.backend.guarded import guard
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.settings import Settings
from dsvl2_app.ui.addresses import trust_space
from tests.ui.conftest import CARD, App, serve_page
from tests.ui.test_leaving import Visitor
from tests.ui.test_payloads import is_sentence
from tests.waiting import wait_until

pytestmark = pytest.mark.slow
LIMITS = ["--max-question-pictures", "2", "--max-pictures", "3", "--max-prompt-tokens", "2500"]
HAS_MCP = find_spec("mcp") is not None
LIMITS += ["--max-new-tokens", "40", "--max-per-address", "3", "--max-per-owner", "9"]
TOOLS = [pytest.param("MCP", marks=pytest.mark.skipif(not HAS_MCP, reason="mcp is not installed"))]


@pytest.fixture(scope="module")
def limited() -> Iterator[App]:
    script, settings = (
        ScriptedBackend(card=CARD),
        Settings.parse([*LIMITS, *["--mcp"] * HAS_MCP], {}),
    )
    yield from serve_page(guard(script, settings), settings, script)


class Asker:
    """Asks through one entrance, with a history of pictures; `said` is the answer or why there is none."""

    def __init__(self, app: App, entrance: str, address: str = "") -> None:
        self.app, self.entrance, self.visitor = app, entrance, Visitor(app.url)
        self.visitor.http.headers.update({"X-Forwarded-For": address} if address else {})

    def ask(self, text: str, before: list[Path], now: list[Path], tokens: int = 10) -> str:
        if self.entrance == "/v1":
            return self.ask_protocol(text, before, now, tokens)
        if self.entrance == "MCP":
            return self.ask_tool(text, before, now, tokens)
        files = [self.visitor.upload(path) for path in now]
        if self.entrance == "/chat":
            parts = [{"type": "image", "image": self.visitor.upload(path)} for path in before]
            history = [{"role": "user", "content": parts}, {"role": "assistant", "content": "Seen."}] if before else []
            ended = self.visitor.run("chat", {"text": text, "files": files}, history, 0, 1, 1, tokens, 1)
            return ended["output"]["data"][0] if ended["success"] else ended["output"]["error"]
        for number, path in enumerate(before):
            self.visitor.run("send", {"text": f"Question {number}", "files": [self.visitor.upload(path)]})
            self.visitor.run("answer")
        self.visitor.run("send", {"text": text, "files": files})
        return str(self.visitor.run("answer")["output"]["data"])

    def ask_protocol(self, text: str, before: list[Path], now: list[Path], tokens: int) -> str:
        from tests.ui.test_mcp import as_address

        def say(words: str, pictures: list[Path]) -> dict[str, Any]:
            shown = [{"type": "image_url", "image_url": {"url": as_address(each)}} for each in pictures]
            return {"role": "user", "content": [*shown, {"type": "text", "text": words}]}

        history = [say("This?", before), {"role": "assistant", "content": "Seen."}] if before else []
        body = {"model": "script", "messages": [*history, say(text, now)], "max_tokens": tokens}
        answer = httpx.post(f"{self.app.url}v1/chat/completions", json=body, timeout=30).json()
        return answer["error"]["message"] if "error" in answer else answer["choices"][0]["message"]["content"]

    def ask_tool(self, text: str, before: list[Path], now: list[Path], tokens: int = 10) -> str:
        from tests.ui.test_mcp import as_address

        parts = [{"type": "image", "image": as_address(path)} for path in before]
        history = [{"role": "user", "content": parts}, {"role": "assistant", "content": "Seen."}] if before else []
        message = {"text": text, "files": [as_address(path) for path in now]}
        given = {"message": message, "history": history, "max_new_tokens": tokens}
        params = {"name": "chat", "arguments": given, "_meta": {"progressToken": 1}}
        answer = self.visitor.http.post(
            f"{self.app.url}gradio_api/mcp/",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
            headers={"Accept": "application/json, text/event-stream"},
        )
        result = json.loads(answer.text.rpartition("data: ")[2])["result"]
        return "".join(each["text"] for each in result["content"])


@pytest.mark.parametrize("entrance", ["Chat tab", "/chat", "/v1", *TOOLS])
def test_what_a_request_may_hold(entrance: str, limited: App, pictures: dict[str, Path]) -> None:
    picture, script = pictures["tall"], limited.script
    assert script
    assert "Hello." in Asker(limited, entrance).ask("Well?", [picture], [picture, picture], tokens=500)
    assert script.requests[-1].sampling.max_new_tokens == 40
    asked = len(script.requests)
    said = Asker(limited, entrance).ask("Well?", [], [picture] * 3)
    assert "The question has 3 pictures, and this server takes 2 in a question" in said
    said = Asker(limited, entrance).ask("Well?", [], [pictures["wide"]] * 2)
    assert "The conversation has 2,831 tokens, and this server takes 2,500; shorten it" in said
    assert len(script.requests) == asked
    said = Asker(limited, entrance).ask("Well?", [picture, picture], [picture, picture])
    assert "The conversation has 4 pictures, and this server takes 3 in all" in said


def test_one_address_does_not_keep_everybody_waiting(limited: App) -> None:
    assert limited.script
    limited.script.__init__(card=CARD)  # type: ignore[misc]
    limited.script.endless = True
    greedy = [Asker(limited, "/chat", "203.0.113.7") for _ in range(12)]
    for each in greedy:
        each.visitor.join("chat", {"text": "Go on", "files": []}, [], 0, 1, 1, 40, 1)
    script = limited.script
    wait_until(lambda: len(script.requests) == 3)
    address, body = f"{limited.url}v1/chat/completions", {"model": "script", "stream": True}
    body["messages"] = [{"role": "user", "content": "Hi"}]
    refused = httpx.post(address, json=body, headers={"X-Forwarded-For": "203.0.113.7"}, timeout=30)
    assert refused.status_code == 429
    said = refused.json()["error"]["message"]
    assert said.startswith("3 requests from your network address are running or waiting")
    assert is_sentence(greedy[-1].visitor.listen()["output"]["error"])
    if HAS_MCP:
        said = Asker(limited, "MCP", "203.0.113.7").ask("Hi", [], [])
        assert "3 requests from your network address are running or waiting" in said
    with httpx.stream("POST", address, json=body, headers={"X-Forwarded-For": "203.0.113.8"}, timeout=30) as answer:
        assert answer.status_code == 200 and next(answer.iter_lines())
        Asker(limited, "/chat", "203.0.113.9").visitor.join("chat", {"text": "Hi", "files": []})
        wait_until(lambda: len(script.requests) == 5)
    script.endless = False
    wait_until(lambda: Asker(limited, "/chat", "203.0.113.7").ask("Hi", [], []) == "Hello.")


def test_one_address_does_not_fill_gradios_queue(limited: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs no model waits there, four at a time: 40 of one caller are refused from the fourth that waits on."""
    go_on = threading.Event()
    monkeypatch.setattr("dsvl2_app.ui.endpoints.tiles.uploaded_path", lambda _: go_on.wait(30))
    http = httpx.Client(base_url=f"{limited.url}gradio_api/", headers={"X-Forwarded-For": "203.0.113.20"}, timeout=30)
    statuses = [http.post("call/tiles", json={"data": [None, None, "1"]}).status_code for _ in range(40)]
    others = httpx.post(
        f"{limited.url}gradio_api/call/tiles",
        json={"data": [None, None, "1"]},
        headers={"X-Forwarded-For": "203.0.113.21"},
        timeout=30,
    )
    refused = http.post("call/tiles", json={"data": [None, None, "1"]})
    go_on.set()
    assert statuses.count(200) <= 4 + 3 + 4 and statuses[-1] == 429  # some may wait for a moment, before they run
    assert is_sentence(refused.json()["error"]) and others.status_code == 200


def test_on_a_space_its_proxies_are_believed() -> None:
    elsewhere: dict[str, str] = {}
    space, own = {"SPACE_ID": "a/b"}, {"SPACE_ID": "a/b", "FORWARDED_ALLOW_IPS": "*"}
    for env in (elsewhere, space, own):
        trust_space(env)
    assert elsewhere == {} and own["FORWARDED_ALLOW_IPS"] == "*"
    trusted = ProxyHeadersMiddleware(None, space["FORWARDED_ALLOW_IPS"]).trusted_hosts  # type: ignore[arg-type]
    assert trusted.get_trusted_client_address("198.51.100.9, 203.0.113.7, 10.1.2.3")[0] == "203.0.113.7"
