"""The four tools over MCP, as a client calls them: JSON-RPC over HTTP."""

from __future__ import annotations

import base64
import json
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from PIL import Image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mcp") is None, reason="mcp is not installed"),
]


def call(url: str, method: str, **params: Any) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    with urlopen(Request(f"{url}gradio_api/mcp/", body, headers), timeout=60) as response:
        text = response.read().decode()
    return json.loads(text.rpartition("data: ")[2])["result"]


def use(url: str, tool: str, *, progress: bool = False, **arguments: Any) -> list[dict[str, Any]]:
    asked = {"_meta": {"progressToken": 1}} if progress else {}
    result = call(url, "tools/call", name=tool, arguments=arguments, **asked)
    assert not result["isError"], result
    return result["content"]


def as_address(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()


def test_tools_describe_themselves(mcp_app):
    tools = {tool["name"]: tool for tool in call(mcp_app.url, "tools/list")["tools"]}
    assert set(tools) == {"chat", "ground", "describe_tiles", "inspect"}
    assert "$ref" not in json.dumps(tools)
    for tool in tools.values():
        assert tool["description"]
        assert all(parameter["description"] for parameter in tool["inputSchema"]["properties"].values())
    told = {name: each["description"] for name, each in tools["ground"]["inputSchema"]["properties"].items()}
    assert told["phrase"].endswith('unused "in_context".')  # which stands on its second line
    assert told["mode"].endswith("which is how many boxes there are.")  # on its third


def test_chat_takes_pictures_by_address(mcp_app, pictures):
    message = {"text": "Is <image> in <image>?", "files": [as_address(pictures[name]) for name in ("wide", "tall")]}
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    (answer,) = use(mcp_app.url, "chat", message=message, history=history, temperature=0)
    assert answer["text"] == "Hello."
    request = mcp_app.script.requests[-1]
    assert [part["image"].size for part in request.messages[-1]["content"] if part["type"] == "image"] == [
        (1000, 400),
        (300, 500),
    ]
    assert request.messages[0]["content"] == "Hi"


@pytest.mark.parametrize("progress", [False, True])
def test_ground_gives_picture_boxes_and_text(mcp_app, pictures, progress):
    mcp_app.script.say = "<|ref|>der Hündin<|/ref|><|det|>[[0, 0, 999, 500]]<|/det|>"
    found = use(mcp_app.url, "ground", progress=progress, image=as_address(pictures["wide"]), phrase="dog")
    drawn, address, boxes, text = found
    assert drawn["type"] == "image"
    assert Image.open(BytesIO(base64.b64decode(drawn["data"]))).size == (1000, 400)
    assert f"{mcp_app.url}gradio_api/file=" in address["text"]
    (box,) = json.loads(boxes["text"])["boxes"]
    assert (box["label"], box["x2"], box["y2"]) == ("der Hündin", 999, 500) and "Hündin" in boxes["text"]
    assert text["text"] == mcp_app.script.say


@pytest.mark.parametrize("progress", [False, True])
def test_tiles_takes_pictures_by_address(mcp_app, pictures, progress):
    (layouts,) = use(mcp_app.url, "describe_tiles", progress=progress, images=[as_address(pictures["wide"])])
    assert json.loads(layouts["text"])["images"][0]["grid"] == [3, 2]


def test_inspect_gives_a_file_and_what_was_answered(mcp_app, pictures, way):
    if way == "openai":
        pytest.skip("a model's server elsewhere cannot be looked into")
    mcp_app.script.say = "Two words"
    content = use(mcp_app.url, "inspect", images=[as_address(pictures["wide"])], question="What is here?")
    assert len(content) > 1 and any("gradio_api/file=" in part["text"] for part in content)


@pytest.mark.parametrize(
    "address", ["/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/a.png", "data:image/png;base64,no"]
)
def test_what_is_no_picture_is_refused(mcp_app, address):
    result = call(mcp_app.url, "tools/call", name="describe_tiles", arguments={"images": [address]})
    assert result["isError"]
    assert "Traceback" not in json.dumps(result)
