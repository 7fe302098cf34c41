"""Who leaves is answered no longer: over HTTP, by whichever way they asked, whether or not there are words yet."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from dsvl2_app.backend.stream import Stream
from dsvl2_app.request import Request
from tests.ui.conftest import App
from tests.waiting import PATIENCE, wait_until

SOON = 5.0  # seconds until the work has stopped: half of those after which Gradio looks by itself


class Visitor:
    """Speaks to the page as its script in a browser does."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=f"{url}gradio_api/", timeout=PATIENCE)
        self.session = uuid4().hex
        self.config = httpx.get(f"{url}config", timeout=PATIENCE).json()

    def upload(self, file: Path) -> dict[str, Any]:
        answer = self.http.post("upload", files={"files": (file.name, file.read_bytes())}).raise_for_status()
        return {"path": answer.json()[0], "orig_name": file.name, "meta": {"_type": "gradio.FileData"}}

    def join(self, handler: str, *data: Any) -> None:
        """Begin the first event of that handler; what is missing of its inputs has the page's values."""
        event = next(event for event in self.config["dependencies"] if event["api_name"] == handler)
        values = {part["id"]: part["props"].get("value") for part in self.config["components"]}
        rest = [values[number] for number in event["inputs"][len(data) :]]
        body = {"data": [*data, *rest], "fn_index": event["id"], "session_hash": self.session}
        self.http.post("queue/join", json=body).raise_for_status()

    def run(self, handler: str, *data: Any) -> dict[str, Any]:
        """To its end, which is returned."""
        self.join(handler, *data)
        return self.listen()

    def listen(self) -> dict[str, Any]:
        """To the end of what was begun, which is returned."""
        with self.http.stream("GET", "queue/data", params={"session_hash": self.session}) as answer:
            messages = (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
            return next(each for each in messages if each["msg"] == "process_completed")


@pytest.fixture
def streams(scripted: App, monkeypatch: pytest.MonkeyPatch) -> list[Stream]:
    """All that are begun."""
    begun: list[Stream] = []
    assert scripted.script
    submit = scripted.script.submit

    def note(request: Request) -> Stream:
        begun.append(submit(request))
        return begun[-1]

    monkeypatch.setattr(scripted.script, "submit", note, raising=False)
    return begun


def connect(url: str, method: str, path: str, body: Any = None) -> socket.socket:
    """A request whose answer nobody has read yet."""
    address, sent = urlsplit(url), json.dumps(body).encode() if body is not None else b""
    connection = socket.create_connection((address.hostname, address.port), PATIENCE)
    head = f"{method} /{path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent)
    return connection


@pytest.mark.slow
@pytest.mark.parametrize("silent", [False, True], ids=["writing", "silent"])
@pytest.mark.parametrize("way", ["local"], indirect=True)
@pytest.mark.parametrize("entrance", ["Chat tab", "Grounding tab", "/chat", "/ground", "/v1", "/v1 streamed"])
def test_who_leaves_is_answered_no_longer(
    entrance: str, silent: bool, scripted: App, pictures: dict[str, Path], streams: list[Stream]
) -> None:
    assert scripted.script
    scripted.script.endless, scripted.script.pause = True, 3600.0 if silent else 0.02
    visitor = Visitor(scripted.url)
    wide = visitor.upload(pictures["wide"])
    if entrance.startswith("/v1"):
        body = {"model": "script", "messages": [{"role": "user", "content": "Hi"}], "stream": "streamed" in entrance}
        connection = connect(scripted.url, "POST", "v1/chat/completions", body)
    else:
        if entrance == "Chat tab":
            visitor.run("send", {"text": "Well?", "files": []})
        question = {
            "Chat tab": ("answer",),
            "Grounding tab": ("find", wide, "ball", "find", True, None, None, None),
            "/chat": ("chat", {"text": "Well?", "files": []}, [], 0, 1, 1, 100, 1),
            "/ground": ("ground", wide, "ball", "find", None, None, True),
        }[entrance]
        visitor.join(*question)
        connection = connect(scripted.url, "GET", f"gradio_api/queue/data?session_hash={visitor.session}")
    wait_until(lambda: streams)
    time.sleep(0.5)  # it is under way
    assert not streams[0].is_cancelled
    connection.close()
    assert wait_until(lambda: streams[0].is_cancelled) < SOON
