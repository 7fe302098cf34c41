"""Who answers. The page, the terminal and the evaluation ask a `Backend`, and know nothing of what runs behind it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from dsvl2_app.backend.backend import Backend
from dsvl2_app.backend.stream import Stream
from dsvl2_app.errors import SettingsError
from dsvl2_app.settings import Settings

__all__ = ["NAMES", "Backend", "Stream", "load", "load_meanwhile"]

# Names, and modules of this package, each with a function `load(settings) -> Backend`.
NAMES = {"local": "local", "openai": "remote", "scripted": "scripted"}


def load(settings: Settings) -> Backend:
    """The backend that the settings name, ready to answer. Raises SettingsError, and CheckpointError where it loads a
    model that cannot be had."""
    _check_name(settings)
    return import_module(f"{__name__}.{NAMES[settings.backend]}").load(settings)


def load_meanwhile(settings: Settings, on_failure: Callable[[], None]) -> tuple[Backend, Callable[[], None]]:
    """The same, but before its weights are there, where it has any: requests wait for them. `on_failure` is called from
    another thread where these cannot be had; what is returned besides then raises the reason."""
    _check_name(settings)
    if settings.backend != "local":
        return load(settings), lambda: None
    backend = import_module(f"{__name__}.loading").load(settings, on_failure)
    return backend, backend.raise_failure


def _check_name(settings: Settings) -> None:
    if settings.backend not in NAMES:
        raise SettingsError(f"--backend is {settings.backend!r}, but must be one of {', '.join(NAMES)}.")
