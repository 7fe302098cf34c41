"""DeepSeek-VL2 on current software: a picture and a question in, a streamed answer out.

    bytes -> image.load -> image.tiles -> model.vision -> model.adaptor -> model.decoder -> text.sampling
          -> text.stream -> text.boxes -> image.overlay -> ui

Importing this package makes transformers' Auto classes know the model type `deepseek_vl_v2`. It imports neither torch
nor transformers: a public name imports its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dsvl2_app import registration

if TYPE_CHECKING:
    from dsvl2_app.backend import Backend
    from dsvl2_app.model.configuration import DeepseekVL2Config
    from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
    from dsvl2_app.request import Request, Sampling
    from dsvl2_app.text.processor import DeepseekVL2Processor

__all__ = [
    "DeepseekVL2Config",
    "DeepseekVL2ForConditionalGeneration",
    "DeepseekVL2Processor",
    "Request",
    "Sampling",
    "__version__",
    "load",
]
__version__ = "0.1.0"  # the only place; pyproject.toml reads it here

_MODULES = {
    "DeepseekVL2Config": "dsvl2_app.model.configuration",
    "DeepseekVL2ForConditionalGeneration": "dsvl2_app.model.modeling",
    "DeepseekVL2Processor": "dsvl2_app.text.processor",
    "Request": "dsvl2_app.request",
    "Sampling": "dsvl2_app.request",
}


def load(model: str = "nano", **settings: Any) -> Backend:
    """A model as the page runs it, with its kernels, caches and batches: `submit` a `Request`, iterate over its events.

    `model` and `settings` are the fields of `settings.Settings`, as --help lists them: `device`, `dtype`, `quantize`,
    `compile` and so on; the environment is not asked. Raises SettingsError for what it does not know or cannot meet,
    and CheckpointError where the model cannot be had.
    """
    from dsvl2_app import backend
    from dsvl2_app.settings import Settings

    return backend.load(Settings.read(model=model, **settings))


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


registration.when_transformers_is_imported()
