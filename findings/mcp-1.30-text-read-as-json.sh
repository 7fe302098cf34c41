#!/usr/bin/env bash
# A text given to an MCP tool whose parameter is `str | None` is read as JSON first: boxes as text are refused, "null" is nothing.
#
# Expected: the schema that the tool publishes says string or null, and the client sends a JSON string: the function gets these
#   characters, as it does where the parameter is declared as `str`.
# Happens: for clients that send numbers and lists as texts the SDK tries to read every text as JSON, unless the declared type is exactly
#   `str`. What that gives is kept unless it is a text or a number. So "[[1, 2, 3, 4]]" arrives as a list, which is no string: "Input should
#   be a valid string". "null" arrives as None; "12", "true" and "a cup" pass. Nobody who writes
#   `question: str | None = None` sees it, since questions hardly ever look so.
# Shown: a tool with parameters `str` and `str | None`, given six texts by a client; whether the function got the text that was sent.
# Matters here: answers of this model are such texts: boxes to be drawn, JSON to be checked. A tool that takes one must
#   declare `str` with "" for none.
# Source: mcp 1.30.0, mcp/server/fastmcp/utilities/func_metadata.py (pre_parse_json).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mcp==1.30.0
cat > "$folder/show.py" <<'PYTHON'
import asyncio
import json
import logging
import sys
from importlib.metadata import version

from mcp.server.fastmcp import FastMCP
from mcp.shared.memory import create_connected_server_and_client_session

server = FastMCP("texts")
logging.disable()


@server.tool()
def required(text: str) -> str:
    return json.dumps(text)


@server.tool()
def optional(text: str | None = None) -> str:
    return json.dumps(text)


async def got():
    found = {}
    async with create_connected_server_and_client_session(server._mcp_server) as client:
        for text in ("a cup", "12", "[[1, 2, 3, 4]]", '{"boxes": []}', "null", "true"):
            for tool in ("required", "optional"):
                answer = await client.call_tool(tool, {"text": text})
                found[text, tool] = "refused" if answer.isError else json.loads(answer.content[0].text)
    return found


found = asyncio.run(got())
for (text, tool), arrived in found.items():
    print(f"mcp {version('mcp')}, {tool}: sent {text!r}, arrived {arrived!r}")
other = {"[[1, 2, 3, 4]]": "refused", '{"boxes": []}': "refused", "null": None}
same = all(arrived == (text if tool == "required" else other.get(text, text)) for (text, tool), arrived in found.items())
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
