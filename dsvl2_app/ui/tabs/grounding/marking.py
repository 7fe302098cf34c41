"""A rectangle around a thing in a picture: dragged with mouse, pen or finger, or typed (assets/mark.js)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from dsvl2_app.bundled import read_asset
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.ui.gradio_quirks import file_address
from dsvl2_app.ui.uploads import save_preview
from dsvl2_app.ui.words.translations import say

EDGES = ("Left", "Top", "Right", "Bottom")
# Handlebars, which escapes what it puts in.
_TEMPLATE = """{{#if value}}<div class="marking"><p>{{value.words.how}}</p>
<div class="canvas" style="--width:{{value.width}};--height:{{value.height}}">
<img src="{{value.source}}" alt="{{value.words.alt}}" draggable="false"><div class="rectangle" hidden></div></div>
<div class="edges">
{{#each value.words.edges}}<label>{{this}} <input type="number" min="0" step="1" inputmode="numeric"></label>{{/each}}
<button type="button" class="another">{{value.words.another}}</button></div></div>{{/if}}"""


def build_marking() -> gr.HTML:
    """A component whose value is None or `offer`'s, with the box once there is one; its event `another` asks for
    another picture."""
    return gr.HTML(
        None,
        html_template=_TEMPLATE,
        js_on_load=read_asset("mark.js"),
        apply_default_css=False,
        elem_id="grounding-marking",
    )


def offer(image: ImageRef, box: Sequence[int] | None = None) -> dict[str, Any]:
    """What the component shows for a picture, with the rectangle in it (left, top, right, bottom in px) if there is one
    already."""
    width, height = image.size
    words = {
        "how": say("Drag a rectangle around the thing, or type its edges in pixels."),
        "alt": say("The example picture"),
        "another": say("Another picture"),
        "edges": [say(edge) for edge in EDGES],
    }
    drawn = None if box is None else list(box)
    return {"source": file_address(save_preview(image)), "width": width, "height": height, "box": drawn, "words": words}
