"""What the page asks of a tab."""

from __future__ import annotations

from typing import ClassVar, Protocol

import gradio as gr

from dsvl2_app.backend import Backend
from dsvl2_app.image.load import Limits


class Tab(Protocol):
    """One tab, made once for all visitors: what belongs to a visitor is in a gr.State of it."""

    title: ClassVar[str]  # in English; chinese.py has it in Chinese
    id: ClassVar[str]

    def __init__(self, backend: Backend, limits: Limits) -> None:
        """`limits` are those of uploads."""
        ...

    def build(self, demo: gr.Blocks) -> None:
        """Make the components and say which event does what. Called within the gr.Tab, which is within `demo`."""
        ...
