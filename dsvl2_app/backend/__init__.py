"""Who answers. The page, the terminal and the evaluation ask a `Backend`, and know nothing of what runs behind it."""

from __future__ import annotations

from importlib import import_module

from dsvl2_app.backend.backend import Backend
from dsvl2_app.backend.stream import Stream
from dsvl2_app.errors import SettingsError
from dsvl2_app.settings import Settings

__all__ = ["NAMES", "Backend", "Stream", "load"]

# Names, and modules of this package, each with a function `load(settings) -> Backend`.
NAMES = {"local": "local", "openai": "remote", "scripted": "scripted"}


def load(settings: Settings) -> Backend:
    """The backend that the settings name, ready to answer. Raises SettingsError, and CheckpointError where it loads a
    model that cannot be had."""
    if settings.backend not in NAMES:
        raise SettingsError(f"--backend is {settings.backend!r}, but must be one of {', '.join(NAMES)}.")
    return import_module(f"{__name__}.{NAMES[settings.backend]}").load(settings)
