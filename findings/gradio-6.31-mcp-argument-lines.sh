#!/usr/bin/env bash
# In the schema of an MCP tool Gradio keeps the first line alone of what a docstring says of an argument.
#
# Expected: whatever stands under an argument's name in "Args:", to the next name, describes the argument.
# Happens: each line is read by itself; a line that does not begin with a name and a colon is left out, so that the sentence
#   breaks off wherever the author's editor wrapped it. A wrapped line that holds a colon is taken for another argument.
# Shown: a tool with an argument described in two lines; what tools/list gives to a client.
# Matters here: a client decides by these words which values it sends; ours said "left, top, right and" and stopped. Our
#   endpoints describe each argument in one line, and a test compares what a client gets with it.
# Source: gradio 6.31.0, gradio/utils.py (get_function_description).
set -euo pipefail
GRADIO=6.31.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio[mcp]==$GRADIO"
cat > "$folder/show.py" <<'PYTHON'
import sys

import gradio
import httpx


def find(phrase: str, rectangle: str) -> str:
    """Find something.

    Args:
        phrase: what to find
        rectangle: left, top, right and
            bottom of an example, in pixels
    """
    return phrase + rectangle


demo = gradio.Interface(find, ["text", "text"], "text", api_name="find")
_, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, mcp_server=True)
tools = httpx.get(f"{url}gradio_api/mcp/schema").json()
(tool,) = [each for each in tools if each["name"].endswith("find")]
told = {name: about.get("description") for name, about in tool["inputSchema"]["properties"].items()}
print(f"gradio {gradio.__version__}: {told}")
same = told["phrase"] == "what to find" and told["rectangle"] == "left, top, right and"
print("as described" if same else "NOT as described any more")
demo.close(verbose=False)
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
