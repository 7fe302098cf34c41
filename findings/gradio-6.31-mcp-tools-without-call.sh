#!/usr/bin/env bash
# Gradio lists MCP tools that nobody can call: those that take several pictures, a conversation, or JSON.
#
# Expected: a tool that tools/list describes is called with arguments that are as described.
# Happens: the schema of a component that is made of several parts refers to definitions from the schema's root, where a component's own
#   schema had them; in the tool's they lie below the parameter. Of gr.JSON the schema's type is an empty object, which is no type.
#   The server checks the arguments before it calls, and fails at the schema: "does not exist within ...", "is not valid under any of the
#   given schemas". An empty list passes, since no entry of it is looked at. Clients that check for themselves leave such tools out.
# Shown: a tool for each of nine components, called over MCP with nothing in its value and with something; whether the handler was reached.
# Matters here: several pictures, a history and boxes to draw are what a tool of such a model takes. Our page writes schemas out without
#   references before it is served (ui/gradio_quirks.py).
# Source: gradio 6.31.0, gradio/mcp.py (get_input_schema), mcp 1.30.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check gradio==6.31.0 mcp==1.30.0
cat > "$folder/show.py" <<'PYTHON'
import asyncio
import base64
import io
import sys

import gradio
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from PIL import Image

file = io.BytesIO()
Image.new("RGB", (40, 30)).save(file, "PNG")
picture = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
gallery, several = gradio.Gallery(render=False), gradio.File(file_count="multiple", render=False)
message = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}]}]
# name: component, value with nothing in it, value with something
tools = {
    "text": (gradio.Textbox(render=False), "", "cup"),
    "picture": (gradio.Image(render=False), None, picture),
    "choices": (gradio.CheckboxGroup(["cup"], render=False), [], ["cup"]),
    "table": (gradio.Dataframe(render=False), None, {"headers": ["cup"], "data": [[1]]}),
    "gallery": (gallery, [], [{"image": picture, "caption": "cup"}]),
    "files": (several, [], [picture]),
    "message": (gradio.MultimodalTextbox(render=False), {"text": "?", "files": []}, {"text": "?", "files": [picture]}),
    "history": (gradio.Chatbot(render=False), [], message),
    "json": (gradio.JSON(render=False), None, {"boxes": [[1, 2, 3, 4]]}),
}


def handler(name):
    def reached(value):
        return f"{name} reached"

    reached.__name__ = name  # which becomes the tool's
    return reached


with gradio.Blocks() as demo:
    for name, (component, _, _) in tools.items():
        component.render()
        gradio.Button(name).click(handler(name), component, gradio.Textbox(), api_name=name)
demo.launch(prevent_thread_lock=True, quiet=True, mcp_server=True)


async def results():
    found = {}
    async with streamablehttp_client(f"{demo.local_url}gradio_api/mcp/") as (reads, writes, _):
        async with ClientSession(reads, writes) as client:
            await client.initialize()
            for tool in (await client.list_tools()).tools:
                (parameter,) = tool.inputSchema["properties"]
                for value in tools[tool.name][1:]:
                    if value is None:
                        found.setdefault(tool.name, []).append(None)
                        continue
                    answer = await client.call_tool(tool.name, {parameter: value})
                    text = answer.content[0].text
                    fault = text.startswith("PointerToNowhere") or "is not valid under any of the given schemas" in text
                    reached = text == f"{tool.name} reached"
                    found.setdefault(tool.name, []).append("reached" if reached else "schema" if fault else text)
    return found


found = asyncio.run(results())
for name, (empty, filled) in found.items():
    print(f"gradio {gradio.__version__}, {name}: with nothing in it {empty}, with something {filled}")
demo.close(verbose=False)
works, refers = {"text", "picture", "choices", "table"}, {"gallery", "files", "message", "history"}
same = found.keys() == tools.keys() and all(found[name][1] == "reached" for name in works)
same = same and all(found[name] == ["reached", "schema"] for name in refers) and found["json"][1] == "schema"
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
GRADIO_TEMP_DIR="$folder/files" timeout 200 "$folder/venv/bin/python" "$folder/show.py" 2> "$folder/errors" || { tail -5 "$folder/errors"; exit 1; }
