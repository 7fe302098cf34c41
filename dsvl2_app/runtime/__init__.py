"""How a model runs: the only folder that asks for a device, a number format or an instruction set.

`choose` is the one place of choice. A runner is a folder or a file beside the others: `eager` is the layers' own
forward, `cpu` and `cuda` are faster. A new one is its own file and a line of `RUNNERS`.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future

import torch
from torch import nn

from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.operations import use
from dsvl2_app.runtime.cpu.library import Library
from dsvl2_app.runtime.cpu.runner import CpuRunner, prepare_library
from dsvl2_app.runtime.cuda.runner import CudaRunner
from dsvl2_app.runtime.eager import EagerRunner
from dsvl2_app.runtime.runner import Options, Runner

logger = logging.getLogger(__name__)
RUNNERS: dict[str, type[EagerRunner]] = {"cpu": CpuRunner, "cuda": CudaRunner}  # by type of device; else eager


def choose(
    model: DeepseekVL2ForConditionalGeneration,
    compile: str = "auto",
    context: int | None = None,
    library: Future[Library] | None = None,
) -> Runner:
    """The runner of a model where its weights are; the layers of `model` are its own from now on.

    `compile` is "on": with the kernels of its device; "auto": meanwhile without, where they take time to build; "off":
    without. `context` bounds the tokens of a conversation (default: what the model was made for). `library` is what
    `prepare` gave, if it was asked. Raises SettingsError where kernels are demanded and cannot be built.
    """
    options = Options(compile, context or model.config.language_config.max_position_embeddings, library)
    runner = RUNNERS.get(model.device.type, EagerRunner).start(model, options)
    logger.info("The model runs on %s, %s.", model.device, runner.describe())
    return runner


def prepare(compile: str, device: torch.device) -> Future[Library] | None:
    """What `choose` will need on `device` and what takes a while, so that weights can be read meanwhile; `compile` and
    errors as there."""
    return prepare_library(compile) if device.type == "cpu" else None


def use_operations(model: nn.Module, device: torch.device) -> None:
    """Let the layers of a model that no runner runs, such as one in training, call what `device` does fastest."""
    use(model, RUNNERS.get(device.type, EagerRunner).operations_type())
