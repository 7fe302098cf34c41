"""Adapters of peft in this model: put in from a folder, merged into the weights, and written with official names."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from dsvl2_app.errors import AppError, CheckpointError, SettingsError
from dsvl2_app.hub import ADAPTER_CONFIG
from dsvl2_app.model.adapter_names import from_official, has_official_names, to_official
from dsvl2_app.model.linear import NARROW
from dsvl2_app.model.weights import scale_views

PEFT_PREFIX, WEIGHTS_NAME = "base_model.model.", "adapter_model.safetensors"


def load(model: nn.Module, folder: Path, name: str = "default", trainable: bool = False) -> None:
    """Put the adapter in `folder`, with our names of layers or the official ones, into `model` under `name`.

    Raises CheckpointError where it cannot be read or does not fit, and SettingsError without peft.
    """
    try:
        from peft import PeftConfig, inject_adapter_in_model, load_peft_weights, set_peft_model_state_dict
    except ImportError as error:
        raise SettingsError(f"{folder} is an adapter, which needs peft; install it with: pip install peft") from error
    if not (folder / WEIGHTS_NAME).is_file():  # peft would unpickle another file, or ask the hub for the folder's name
        raise CheckpointError(f"{folder} has no {WEIGHTS_NAME}; save the adapter in that format.")
    try:
        config, state = PeftConfig.from_pretrained(str(folder)), load_peft_weights(str(folder), device="cpu")
        state = {key.removeprefix(PEFT_PREFIX): tensor for key, tensor in state.items()}
        if has_official_names(state):
            config, state = from_official(config, state, model)
        if getattr(config, "target_parameters", None) and scale_views(model):
            kind = next(NARROW[each.dtype] for each in model.parameters() if each.dtype in NARROW)
            raise SettingsError(f"{folder} adapts experts, which {kind} weights do not take; load it without quantize.")
        for replaced in getattr(config, "modules_to_save", None) or ():
            if kind := _find_narrow(model, replaced):
                raise SettingsError(f"{folder} replaces {replaced}, which is {kind}; load it without quantize.")
        config.inference_mode = not trainable
        with warnings.catch_warnings():  # peft misses stacks of experts among modules, yet uses their ranks
            warnings.filterwarnings("ignore", ".*pattern keys did not match any targeted module", RuntimeWarning)
            inject_adapter_in_model(config, model, name)
        result = set_peft_model_state_dict(model, state, name)
    except AppError:
        raise
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"The adapter in {folder} does not fit the model it is for ({error}).") from error
    missing = [key for key in result.missing_keys if "lora_" in key and f".{name}" in key]
    if lost := [*result.unexpected_keys, *missing]:
        raise CheckpointError(
            f"The adapter in {folder} does not fit the model it is for; {lost[0]} is in one of them alone."
        )
    model._hf_peft_config_loaded = True  # type: ignore[assignment]  # as transformers marks it
    model.eval()


def _find_narrow(model: nn.Module, layer: str) -> str | None:
    """ "int8" or "int4" where layers of that name hold such weights."""
    for name, parameter in model.named_parameters():
        if parameter.dtype in NARROW and f".{name}".endswith(f".{layer}.weight"):
            return NARROW[parameter.dtype]
    return None


def merge(model: Any) -> None:
    """Add the adapters to the weights and take them out, so that every layer is as it was made."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import ModulesToSaveWrapper

    for path, module in [*model.named_modules()][::-1]:  # inner ones first
        if isinstance(module, BaseTunerLayer):
            module.merge()
            whole = module.get_base_layer()
        elif isinstance(module, ModulesToSaveWrapper):
            whole = module.modules_to_save[str(module.active_adapter)]  # the only one
        else:
            continue
        owner, _, leaf = path.rpartition(".")
        setattr(model.get_submodule(owner), leaf, whole)
    model._hf_peft_config_loaded = False  # type: ignore[assignment]
    del model.peft_config


def save_official(model: Any, folder: str | Path, name: str = "default") -> None:
    """Write the LoRA adapter `name` of `model`, a PeftModel or a model with an adapter in it, as peft does, but with
    the official names of layers, for programs that follow the official code."""
    from peft import get_peft_model_state_dict

    folder = Path(folder)
    state = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    state = {key.removeprefix(PEFT_PREFIX): tensor.detach().cpu() for key, tensor in state.items()}
    config, state = to_official(model.peft_config[name], state)
    config.inference_mode = True
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(str(folder))
    whole = {PEFT_PREFIX + key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in state.items()}
    save_file(whole, folder / WEIGHTS_NAME, metadata={"format": "pt"})
    for file in (folder / WEIGHTS_NAME, folder / ADAPTER_CONFIG):
        file.chmod(0o644)  # safetensors makes files that only their owner can read
