"""The runner of a CPU."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future

from torch import Tensor

from dsvl2_app.errors import SettingsError
from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.runtime.cpu.decode import CompiledStep
from dsvl2_app.runtime.cpu.library import Library
from dsvl2_app.runtime.cpu.operations import CpuOperations
from dsvl2_app.runtime.devices import NARROW
from dsvl2_app.runtime.eager import EagerRunner
from dsvl2_app.runtime.runner import Options

logger = logging.getLogger(__name__)


class CpuRunner(EagerRunner):
    """Runs on `CpuOperations`; with a library a step of decode is one call of it."""

    operations_type = CpuOperations
    operations: CpuOperations

    def __init__(self, model: DeepseekVL2ForConditionalGeneration, library: Library | None = None) -> None:
        super().__init__(model)
        # tiles that are one piece of work: one of the released size takes a CPU a second
        self.tile_batch = 1 if model.config.vision_config.width >= NARROW else 4
        self.compiled: CompiledStep | None = None
        if library is not None:
            self.install(library)

    @classmethod
    def start(cls, model: DeepseekVL2ForConditionalGeneration, options: Options) -> CpuRunner:
        """With the library as soon as it is built. One that cannot be is done without, if it is not demanded."""
        runner, library = cls(model), options.library or prepare_library(options.compile)
        if library is not None:
            library.add_done_callback(runner._install_built)
        return runner

    def install(self, library: Library) -> None:
        """Use the library from now on; any thread may say so, between two operations as well."""
        self.operations.install(library)
        self.compiled = CompiledStep(self.model.decoder, library)

    def _install_built(self, library: Future[Library]) -> None:
        error = library.exception()
        if error is None:
            self.install(library.result())
        elif isinstance(error, SettingsError):
            logger.info("Answers come more slowly than they could: %s", error)
        else:
            logger.error("the compiled kernels could not be loaded", exc_info=error)

    def step(self, embeds: Tensor, caches: Sequence[KVCache]) -> Tensor:
        compiled = self.compiled
        if compiled is not None and compiled.supports(embeds, caches):
            return compiled(embeds, caches)
        return super().step(embeds, caches)

    def describe(self) -> str:
        library = self.operations.library
        if library is None:
            return "on torch's operations, because no kernels are compiled yet or wanted"
        return f"on compiled kernels for few tokens; many are multiplied {library.describe()}"


def prepare_library(when: str) -> Future[Library] | None:
    """ "on": built, or SettingsError; "auto": being built in a thread of its own; "off": none."""
    if when == "off":
        return None
    if when == "auto":
        return build_meanwhile()
    library: Future[Library] = Future()
    library.set_result(Library.build())
    return library


def build_meanwhile() -> Future[Library]:
    library: Future[Library] = Future()

    def build() -> None:
        try:
            library.set_result(Library.build())
        except Exception as error:
            library.set_exception(error)

    threading.Thread(target=build, name="build kernels", daemon=True).start()
    return library
