"""The endpoints as tools of MCP clients (gradio.mcp, Gradio 6.31): what these get, and how the tools come in."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import gradio as gr
from gradio_client import Client

from dsvl2_app.credentials import Credentials
from dsvl2_app.ui.gradio_quirks import is_upload


def open_tools(demo: gr.Blocks, credentials: Credentials) -> None:
    """Mend the tools of a page that is served, and let them in with the first of the names and passwords."""
    server = demo.mcp_server_obj
    assert server, "the page is served with tools"
    tell_each(server)
    if credentials:
        server._client_instance = log_in(demo, *credentials[0])


def tell_each(server: Any) -> None:
    """Give clients each output by itself: a picture as a picture, and what is no text as JSON.

    Gradio makes one text of all outputs, with the path of a picture in it, where a client does not ask for progress;
    and it writes lists and dicts as Python does.
    """
    execute, convert = server._execute_tool_without_progress, server.postprocess_output_data

    async def execute_each(job: Any) -> list[Any]:
        (result,) = await execute(job)
        return [*result] if isinstance(result, tuple) else [result]  # of one output it is that

    def convert_each(data: Any, root_url: str) -> Any:
        return convert([as_json(output) for output in data], root_url)

    server._execute_tool_without_progress = execute_each
    server.postprocess_output_data = convert_each


def as_json(output: Any) -> Any:
    """Lists and dicts as text, but for a file, which Gradio makes a picture or an address of."""
    return output if isinstance(output, str) or is_upload(output) else json.dumps(output, ensure_ascii=False)


def log_in(demo: gr.Blocks, user: str, password: str) -> Client:
    """What the tools ask the server by, which Gradio makes without a name and password, for when everybody must have
    some."""
    basic = b64encode(f"{user}:{password}".encode()).decode()
    return Client(
        demo.local_url or "",
        headers={"x-gradio-user": "mcp", "Authorization": f"Basic {basic}"},
        download_files=False,
        verbose=False,
        analytics_enabled=False,
        ssl_verify=False,
        _skip_components=False,
    )
