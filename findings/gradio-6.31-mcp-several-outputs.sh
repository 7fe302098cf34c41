#!/usr/bin/env bash
# A tool with two outputs gives an MCP client no picture, unless the client asks to be told of progress; and JSON is Python's, not JSON.
#
# Expected: each output of a function is a content of the tool's answer: a picture as an image, gr.JSON as JSON. Asking for progress adds
#   notes of progress.
# Happens: without a progress token the outputs are taken for one value and become one text: the words of Python for a list of
#   dicts, with the path of the picture's file on the server. With a token the same call gives them one by one, the picture as an image. A tool of one
#   output is not concerned, so it is met when a second output is added. Either way gr.JSON's value is written as Python writes it,
#   with single quotes, True and None, which a JSON reader refuses.
# Shown: a tool of one picture, one of a picture and boxes, and one of boxes alone, called by the MCP SDK with and without a callback for
#   progress: kinds of contents, and whether the boxes are read as JSON.
# Matters here: a tool that finds things returns the picture with boxes drawn, the boxes and the answer. Most clients send no token; they
#   show a path of the server's disk. Ours are mended (dsvl2_app/ui/tools.py).
# Source: gradio 6.31.0, gradio/mcp.py (_execute_tool_without_progress, postprocess_output_data), mcp 1.30.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check gradio==6.31.0 mcp==1.30.0
cat > "$folder/show.py" <<'PYTHON'
import asyncio
import json
import sys

import gradio
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from PIL import Image

BOXES = {"boxes": [[1, 2, 3, 4]], "complete": True, "score": None}


def picture(name):
    return Image.new("RGB", (20, 10))


def picture_and_boxes(name):
    return Image.new("RGB", (20, 10)), BOXES


def boxes(name):
    return BOXES


with gradio.Blocks() as demo:
    gradio.Interface(picture, "text", gradio.Image(), api_name="picture")
    gradio.Interface(picture_and_boxes, "text", [gradio.Image(), gradio.JSON()], api_name="picture_and_boxes")
    gradio.Interface(boxes, "text", gradio.JSON(), api_name="boxes")
demo.launch(prevent_thread_lock=True, quiet=True, mcp_server=True)


def is_json(text):
    try:
        return json.loads(text) == BOXES
    except ValueError:
        return False


async def progressed(*_):
    pass


async def answers():
    found = {}
    async with streamablehttp_client(f"{demo.local_url}gradio_api/mcp/") as (reads, writes, _):
        async with ClientSession(reads, writes) as client:
            await client.initialize()
            for tool in ("picture", "picture_and_boxes", "boxes"):
                for progress in (None, progressed):
                    answer = await client.call_tool(tool, {"name": "cup"}, progress_callback=progress)
                    texts = [part.text for part in answer.content if part.type == "text"]
                    if str(BOXES) in "".join(texts):
                        print(f"  the boxes of {tool}: ... {texts[-1][-62:]}")
                    kinds = [part.type for part in answer.content]
                    found[tool, progress is not None] = kinds, any(map(is_json, texts))
    return found


found = asyncio.run(answers())
for (tool, progress), (kinds, as_json) in found.items():
    how = "with progress" if progress else "without progress"
    print(f"gradio {gradio.__version__}, {tool}, {how}: {kinds}, JSON: {as_json}")
demo.close(verbose=False)
shown = ["image", "text"]  # the text is its address
kinds = {key: kinds for key, (kinds, _) in found.items()}
same = kinds["picture", False] == kinds["picture", True] == shown and not any(as_json for _, as_json in found.values())
same = same and kinds["picture_and_boxes", False] == ["text"] and kinds["picture_and_boxes", True] == [*shown, "text"]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
GRADIO_TEMP_DIR="$folder/files" timeout 200 "$folder/venv/bin/python" "$folder/show.py" 2> "$folder/errors" || { tail -5 "$folder/errors"; exit 1; }
