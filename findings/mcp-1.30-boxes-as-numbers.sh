#!/usr/bin/env bash
# A tool of the MCP SDK that returns boxes, [[1, 2, 3, 4], [5, 6, 7, 8]], tells its client eight numbers, a text each.
#
# Expected: what a tool returns reaches the content of its answer as JSON, as a dict does: one text, from which a client reads two
#   boxes. A picture, for which the SDK has a class, is image content wherever it stands, or is refused.
# Happens: lists are taken for lists of contents, at any depth, and each entry becomes a content of its own; whether there were two
#   boxes of four numbers or four points, or which list was empty, cannot be told. structuredContent has the nesting, where the function's
#   return type is declared; without it there is none. A picture in a dict becomes the text of a Python object, with its address, and no
#   error: isError is false.
# Shown: tools that return two boxes with and without a declared type, boxes of two pictures of which one has none, a dict of boxes and
#   a picture, and a list of a text and a picture; what a client gets.
# Matters here: boxes are what this model is asked for by other programs, and clients hand the content, not the structure, to their
#   model. Return a dict, or a text of JSON. Pictures stand in a list of their own, beside texts.
# Source: mcp 1.30.0, mcp/server/fastmcp/utilities/func_metadata.py (_convert_to_content).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mcp==1.30.0 pillow==12.3.0
cat > "$folder/show.py" <<'PYTHON'
import asyncio
import io
import logging
import sys
from importlib.metadata import version

from mcp.server.fastmcp import FastMCP, Image
from mcp.shared.memory import create_connected_server_and_client_session
from PIL import Image as Pictures

file = io.BytesIO()
Pictures.new("RGB", (8, 8)).save(file, "PNG")
picture = Image(data=file.getvalue(), format="png")
server = FastMCP("boxes")
logging.disable()


@server.tool()
def undeclared():
    return [[1, 2, 3, 4], [5, 6, 7, 8]]


@server.tool()
def declared() -> list[list[int]]:
    return [[1, 2, 3, 4], [5, 6, 7, 8]]


@server.tool()
def by_picture() -> list[list[list[int]]]:
    return [[], [[1, 2, 3, 4]]]


@server.tool()
def in_a_dict():
    return {"boxes": [[1, 2, 3, 4]], "picture": picture}


@server.tool()
def beside_text():
    return ["[[1, 2, 3, 4]]", picture]


async def answers():
    found = {}
    async with create_connected_server_and_client_session(server._mcp_server) as client:
        for tool in (await client.list_tools()).tools:
            answer = await client.call_tool(tool.name, {})
            assert not answer.isError
            found[tool.name] = [getattr(part, "text", part.type) for part in answer.content], answer.structuredContent
    return found


found = asyncio.run(answers())
for name, (contents, structure) in found.items():
    print(f"mcp {version('mcp')}, {name}: {len(contents)} contents {contents}; structure {structure}")
texts = {name: contents for name, (contents, _) in found.items()}
same = texts["undeclared"] == texts["declared"] == list("12345678") and texts["by_picture"] == list("1234")
same = same and found["undeclared"][1] is None and found["declared"][1] == {"result": [[1, 2, 3, 4], [5, 6, 7, 8]]}
same = same and len(texts["in_a_dict"]) == 1 and "Image object at 0x" in texts["in_a_dict"][0]
same = same and texts["beside_text"] == ["[[1, 2, 3, 4]]", "image"]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
