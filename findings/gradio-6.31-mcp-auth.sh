#!/usr/bin/env bash
# With `auth`, a Gradio app's MCP tools answer that they lack credentials, whatever the caller sends.
#
# Expected: an MCP client that logged in (its requests carry the session's cookie) can call the tools of an app with `auth`.
# Happens: tools/list works, and each call of a tool whose event is queued, which all are by default, ends as an error about
#   missing credentials. The server calls its own app over HTTP with a client that it gives none, and no option sets them.
# Shown: an app with auth and mcp_server: logged in, the tool is listed and fails; the same app without auth answers.
# Matters here: `--auth` together with `--mcp`. Our page gives the MCP server a client of its own.
# Source: gradio 6.31.0, gradio/mcp.py (_get_or_create_client); found while writing --auth.
set -euo pipefail
GRADIO=6.31.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio[mcp]==$GRADIO"
cat > "$folder/show.py" <<'PYTHON'
import json
import sys

import gradio
import httpx


def shout(word: str) -> str:
    """Say it loudly."""
    return word.upper()


def ask(auth):
    demo = gradio.Interface(shout, "text", "text", api_name="shout")
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, mcp_server=True, auth=auth)
    with httpx.Client(base_url=url, timeout=60) as client:
        if auth:
            client.post("login", data={"username": auth[0], "password": auth[1]}).raise_for_status()
        said = []
        for method, given in (("tools/list", {}), ("tools/call", {"name": "shout", "arguments": {"word": "a"}})):
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": given}
            accepted = {"Accept": "application/json, text/event-stream"}
            answer = client.post("gradio_api/mcp/", json=body, headers=accepted, follow_redirects=True)
            told = answer.text if answer.text.startswith("{") else answer.text.partition("data: ")[2]
            said.append(json.loads(told)["result"])
    demo.close(verbose=False)
    listed, called = said
    return [tool["name"] for tool in listed["tools"]], called.get("isError", False), called["content"][0]["text"]


plain, guarded = ask(None), ask(("ann", "a password"))
print(f"gradio {gradio.__version__}: without auth {plain}")
print(f"logged in with auth: tools {guarded[0]}, error {guarded[1]}, which mentions credentials: {'credentials' in guarded[2]}")
same = not plain[1] and bool(guarded[0]) and guarded[1] and "credentials" in guarded[2]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
