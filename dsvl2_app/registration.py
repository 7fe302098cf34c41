"""transformers' Auto classes know our model type as soon as transformers is imported, before or after this package.

Registering needs the classes themselves, and with them torch, so it waits until a program has transformers. Each class
is registered in its own module, below its definition; here those modules are imported in time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader

AUTO_BODY = ("AutoModel",)  # all but the head, as AutoModel is of other models
# The official samples load the model as a causal LM; AutoModelForMultimodalLM is younger than some releases.
AUTO_MODELS = ("AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoModelForMultimodalLM")


def when_transformers_is_imported() -> None:
    """Register at once where transformers is there already, else right after its first import."""
    if "transformers" in sys.modules:
        register()
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


def register() -> None:
    """Import the modules that register their classes.

    One of them may be the one that is importing transformers; `import_module` then leaves it to finish by itself.
    """
    import_module("dsvl2_app.model.modeling")
    import_module("dsvl2_app.text.processor")


def register_model(model_class: Any, names: Sequence[str] = AUTO_MODELS) -> None:
    """Make each Auto class in `names` that this release of transformers has load `model_class` for its
    `config_class`."""
    import transformers

    for name in names:
        if hasattr(transformers, name):
            getattr(transformers, name).register(model_class.config_class, model_class, exist_ok=True)


def register_processor(processor_class: Any) -> None:
    """Make AutoProcessor load `processor_class` for our model type."""
    from transformers import AutoProcessor

    config_class = import_module("dsvl2_app.model.configuration").DeepseekVL2Config
    AutoProcessor.register(config_class, processor_class, exist_ok=True)


def _is_half_imported() -> bool:
    """Whether a part of the processor is being imported now, so that the processor itself cannot be yet."""
    ours = [module for name, module in sys.modules.items() if name.startswith("dsvl2_app.text.")]
    parts = [module for module in ours if module.__name__ != "dsvl2_app.text.processor"]
    return any(getattr(module.__spec__, "_initializing", False) for module in parts)


class _Watch:
    """Finds transformers as the other finders do, and calls `register` once its code has run; where a part of the
    processor imports it, at the first import after that part is whole."""

    waits = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if self.waits:
            self._register()
        if fullname != "transformers":
            return None
        others = (finder.find_spec(fullname, path, target) for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, others), None)
        if spec and spec.loader:
            self._register_after(spec.loader)
        return spec

    def _register_after(self, loader: Loader) -> None:
        execute = loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            self._register()

        loader.exec_module = execute_and_register

    def _register(self) -> None:
        self.waits = _is_half_imported()
        if not self.waits and self in sys.meta_path:
            sys.meta_path.remove(self)
            register()
