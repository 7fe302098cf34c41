#!/usr/bin/env bash
# Over HTTP Gradio answers every event that fails with status 500, also a gr.Error that is meant for the person.
#
# Expected: a refusal that an app words for its visitor (gr.Error: "one picture at most") is the caller's mistake, a status of
#   the 4xx kind; an event that does not exist is 404.
# Happens: both are 500. The refusal's sentence is in the body; an unknown event's number is not looked up safely, so that
#   it ends as a bare "Internal Server Error" with a traceback in the server's log, and no JSON.
# Shown: an app of one function that refuses in words, asked through /gradio_api/run: by name, and with an unknown number.
# Matters here: whoever watches a public page by its share of 5xx counts visitors' mistakes as outages, and retries that
#   proxies make on 5xx send a refused request again. Our /v1 answers refusals with statuses of its own.
# Source: gradio 6.31.0, gradio/routes.py and gradio/route_utils.py.
set -euo pipefail
GRADIO=6.31.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO"
cat > "$folder/show.py" <<'PYTHON'
import sys

import gradio
import httpx


def refuse(words: str) -> str:
    raise gradio.Error("One picture at most.", print_exception=False)


demo = gradio.Interface(refuse, "text", "text", api_name="refuse")
_, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
refused = httpx.post(f"{url}gradio_api/run/refuse", json={"data": ["a"]})
unknown = httpx.post(f"{url}gradio_api/run/predict", json={"data": ["a"], "fn_index": 999})
print(f"gradio {gradio.__version__}")
print(f"a refusal in words: status {refused.status_code}, {refused.text[:80]}")
print(f"an unknown event: status {unknown.status_code}, {unknown.headers.get('content-type')}, {unknown.text[:60]}")
same = refused.status_code == 500 and "One picture at most." in refused.text and unknown.status_code == 500
same = same and "json" not in unknown.headers.get("content-type", "")
print("as described" if same else "NOT as described any more")
demo.close(verbose=False)
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
timeout 300 "$folder/venv/bin/python" "$folder/show.py" 2> "$folder/log" || { tail -3 "$folder/log"; exit 1; }
