"""What clients are told of an endpoint's arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Handler = TypeVar("Handler", bound=Callable[..., Any])


def whole_arguments(handler: Handler) -> Handler:
    """A decorator: what a docstring says of an argument on several lines stands on one. Gradio tells MCP clients the
    first one alone (gradio.utils.get_function_description)."""
    lines = inspect.cleandoc(handler.__doc__ or "").split("\n")
    joined: list[str] = []
    for line in lines:
        if line.startswith(8 * " ") and joined:
            joined[-1] += f" {line.strip()}"
        else:
            joined.append(line)
    handler.__doc__ = "\n".join(joined)
    return handler
