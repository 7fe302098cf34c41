"""Who answers. The page, the terminal and the evaluation ask a `Backend`, and know nothing of what runs behind it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module

from dsvl2_app.backend.backend import Backend
from dsvl2_app.backend.stream import Stream
from dsvl2_app.errors import SettingsError
from dsvl2_app.settings import Settings

__all__ = ["NAMES", "Backend", "Stream", "import_early", "is_zerogpu", "load", "load_meanwhile"]

# Names, and modules of this package, each with a function `load(settings) -> Backend`.
NAMES = {"local": "pool", "zerogpu": "zerogpu", "openai": "remote", "scripted": "scripted"}


def is_zerogpu(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process runs on ZeroGPU, told as the package `spaces` tells it."""
    return environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def import_early(settings: Settings) -> None:
    """Import what must come before anything asks for a GPU, and in the main thread: `spaces`, on ZeroGPU."""
    if _choose_name(settings) == "zerogpu":
        import_module(f"{__name__}.zerogpu")


def load(settings: Settings) -> Backend:
    """The backend that the settings name, ready to answer. Raises SettingsError, and CheckpointError where it loads a
    model that cannot be had."""
    return import_module(f"{__name__}.{NAMES[_choose_name(settings)]}").load(settings)


def load_meanwhile(settings: Settings) -> tuple[Backend, Callable[[], None]]:
    """The same, but before its weights are there, where it has any and another thread may load them: requests wait for
    them. What is returned besides raises the reason once these cannot be had."""
    if _choose_name(settings) != "local":
        return load(settings), lambda: None
    backend = import_module(f"{__name__}.loading").load(settings)
    return backend, backend.raise_failure


def _choose_name(settings: Settings) -> str:
    if settings.backend == "auto":
        return "zerogpu" if is_zerogpu() else "local"
    if settings.backend not in NAMES:
        raise SettingsError(f"--backend is {settings.backend!r}, but must be one of auto, {', '.join(NAMES)}.")
    return settings.backend
