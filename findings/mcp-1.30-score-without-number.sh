#!/usr/bin/env bash
# A tool of the MCP SDK that returns a score of NaN or minus infinity has succeeded for its server and is an error to its client, which gets nothing.
#
# Expected: what the server sends fits the schema that it declares for the tool; a value that JSON has no number for is refused where the tool
#   runs, or comes through in a form that the schema allows.
# Happens: the schema says "number", and the value is checked as a Python float, which NaN is. It is then written as null, which is no number.
#   The server reports success; the client of the same SDK compares with the schema and raises, so that the text beside it, which has
#   the other values, is lost too. One score of a list or of a dictionary is enough. With structured_output=False the answer comes.
# Shown: tools that return a score, scores by name and scores in a row, with a number, NaN and minus infinity: what was sent,
#   and what call_tool() of the client gives.
# Matters here: scores of pictures and answers are such numbers: the overlap of two empty boxes, a mean of nothing, the log-likelihood of
#   a word that a grammar forbids. The tool works for months and fails on a picture without a find. Declare "float | None" and return None.
# Source: mcp 1.30.0, server/fastmcp/utilities/func_metadata.py (convert_result), client/session.py (_validate_tool_result).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mcp==1.30.0
cat > "$folder/show.py" <<'PYTHON'
import asyncio
import logging
import math
import sys
from importlib.metadata import version

from mcp import types
from mcp.server.fastmcp import FastMCP
from mcp.shared.memory import create_connected_server_and_client_session

logging.disable(logging.CRITICAL)
VALUES = {"0.5": 0.5, "NaN": math.nan, "-inf": -math.inf}
server = FastMCP("scores")


@server.tool()
def score(of: str) -> float:
    return VALUES[of]


@server.tool()
def by_name(of: str) -> dict[str, float]:
    return {"cup": 0.25, "dog": VALUES[of]}


@server.tool()
def in_a_row(of: str) -> list[float]:
    return [0.25, VALUES[of]]


@server.tool(structured_output=False)
def as_text(of: str) -> list[float]:
    return [0.25, VALUES[of]]


@server.tool()
def or_none(of: str) -> float | None:
    return VALUES[of] if math.isfinite(VALUES[of]) else None


def sent(result):
    return result.isError, [part.text for part in result.content], result.structuredContent


async def ask(client, name, of):
    call = types.CallToolRequest(params=types.CallToolRequestParams(name=name, arguments={"of": of}))
    raw = sent(await client.send_request(types.ClientRequest(call), types.CallToolResult))  # not compared with the schema
    try:
        return raw, sent(await client.call_tool(name, {"of": of})) == raw
    except RuntimeError as error:
        return raw, str(error).splitlines()[0]


async def show():
    same = True
    print(f"mcp {version('mcp')}: error, texts and values that were sent; what the client gives")
    async with create_connected_server_and_client_session(server._mcp_server) as client:
        await client.list_tools()
        for name in ("score", "by_name", "in_a_row", "as_text", "or_none"):
            for of in VALUES:
                raw, given = await ask(client, name, of)
                print(f"    {name} of {of}: {raw}; {'the same' if given is True else given}")
                lost = of != "0.5" and name not in ("as_text", "or_none")
                same = same and raw[0] is False and (("None is not of type 'number'" in str(given)) if lost else given is True)
    return same


same = asyncio.run(show())
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/show.py"
