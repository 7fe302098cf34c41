#!/usr/bin/env bash
# Behind a path prefix, two addresses that Gradio hands out lie outside of it.
#
# Expected: with `launch(root_path="/demo")`, which is what a proxy needs that serves the app below /demo/ and takes this
#   off, every address that the app tells begins with /demo/.
# Happens: the page asks for /manifest.json at the root of the host (all of its other addresses are relative or below the
#   prefix), and the page that explains the MCP server names http://HOST/gradio_api/mcp/, which the proxy does not pass on.
# Shown: the page and the MCP page of an app, asked for as such a proxy does, with X-Forwarded-Host.
# Matters here: our page adds a relative address of the manifest, and docs/serving.md says that MCP is below it too.
# Source: gradio 6.31.0, templates/frontend/index.html and gradio/mcp.py (_server_url_from_scope).
set -euo pipefail
GRADIO=6.31.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio[mcp]==$GRADIO"
cat > "$folder/show.py" <<'PYTHON'
import re
import sys
from urllib.request import Request, urlopen

import gradio


def repeat(word: str) -> str:
    """Say it twice."""
    return 2 * word


demo = gradio.Interface(repeat, "text", "text", api_name="repeat")
_, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, root_path="/demo", mcp_server=True)


def ask(path):
    headers = {"Accept": "text/html", "X-Forwarded-Host": "example.org", "X-Forwarded-Proto": "https"}
    return urlopen(Request(f"{url.rstrip('/').removesuffix('/demo')}{path}", headers=headers)).read().decode()


manifests = re.findall(r'<link rel="manifest" href="([^"]*)"', ask("/"))
addresses = set(re.findall(r'https?://example\.org[^\s"\'<]*/mcp', ask("/gradio_api/mcp/")))
print(f"gradio {gradio.__version__} below /demo: manifest {manifests}, MCP {sorted(addresses)}")
same = manifests == ["/manifest.json"] and addresses and not any("/demo/" in address for address in addresses)
print("as described" if same else "NOT as described any more")
demo.close(verbose=False)
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
