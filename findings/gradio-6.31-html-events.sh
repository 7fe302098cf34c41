#!/usr/bin/env bash
# Events that a gr.HTML component defines are no events to gr.on, and some names cannot be given to them at all.
#
# Expected: `html.pick(function)` works once the component's script triggers "pick", so `gr.on([html.pick, box.change],
#   function)` works too, and so does any other name.
# Happens: the event is a bare functools.partial, which gr.on does not know. And a name that the constructor of gr.HTML also
#   uses, "head" say, gives that attribute: None, which cannot be called. Neither error says what is wrong.
# Shown: a component whose script triggers "pick" and "head", wired in both ways.
# Matters here: our views are such components, drawn in the browser from one value. Each of their events has a line of its
#   own, and names that no attribute has.
# Source: gradio 6.31.0, gradio/components/html.py, gradio/events.py (on).
set -euo pipefail
GRADIO=6.31.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO"
cat > "$folder/show.py" <<'PYTHON'
import sys
from collections.abc import Callable

import gradio

SCRIPT = "element.onclick = () => trigger('pick', {}); element.onkeydown = () => trigger('head', {});"


def attempt(wire: Callable[[], object]) -> str:
    try:
        wire()
        return "works"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


with gradio.Blocks():
    html, box = gradio.HTML("", js_on_load=SCRIPT), gradio.Checkbox()
    found = {
        "html.pick(...)": attempt(lambda: html.pick(lambda: None)),
        "gr.on([html.pick, ...], ...)": attempt(lambda: gradio.on([html.pick, box.change], lambda: None)),
        "html.head(...)": attempt(lambda: html.head(lambda: None)),
    }
print(f"gradio {gradio.__version__}")
for way, outcome in found.items():
    print(f"{way}: {outcome}")
one, together, head = found.values()
same = one == "works" and together.startswith("AttributeError") and head.startswith("TypeError")
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
