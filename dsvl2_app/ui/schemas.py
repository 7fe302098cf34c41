"""The types of the named endpoints' parameters, spelled out so that MCP clients accept them.

Gradio 6.31 hands MCP clients schemas that refer to definitions which are not where they look for them, and of gr.JSON
a type that is no type; they refuse to call such a tool.
"""

from __future__ import annotations

from typing import Any

import gradio as gr


def spell_out_schemas(demo: gr.Blocks) -> None:
    for event in demo.fns.values():
        if event.api_visibility == "public":
            for component in event.inputs:
                _spell_out(component)


def _spell_out(component: Any) -> None:
    schema = component.api_info()
    plain = _resolve(schema, schema.get("$defs", {}))
    component.api_info = lambda: plain
    if "$defs" in schema:  # lists of files: from MCP clients they are addresses, which uploads.uploaded_path checks
        component.data_model = None


def _resolve(node: Any, definitions: dict[str, Any]) -> Any:
    """Definitions in place of references to them."""
    if isinstance(node, list):
        return [_resolve(each, definitions) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _resolve(definitions[node["$ref"].rpartition("/")[2]], definitions)
    return {
        key: _resolve(value, definitions)
        for key, value in node.items()
        if key != "$defs" and (key, value) != ("type", {})
    }
