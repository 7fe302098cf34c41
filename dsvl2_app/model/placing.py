"""Which weight of a model goes to which device, and tensors on their way between several of them, by accelerate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.utils import get_balanced_memory
from torch import nn
from transformers import PreTrainedModel

from dsvl2_app.errors import SettingsError


def choose_places(model: PreTrainedModel, device_map: Any, max_memory: Any = None) -> dict[str, Any]:
    """Which module goes where: all to one device, as a map says, or spread by accelerate over `max_memory`, by default
    over what is free. Raises SettingsError where it does not fit."""
    if device_map in ("auto", "balanced", "balanced_low_0", "sequential"):
        options = {"no_split_module_classes": list(model._no_split_modules or ()), "max_memory": max_memory}
        if device_map != "sequential":
            options["max_memory"] = get_balanced_memory(model, low_zero=device_map == "balanced_low_0", **options)
        device_map = infer_auto_device_map(model, **options)
    if not isinstance(device_map, dict):
        device_map = {"": device_map if device_map is not None else "cpu"}
    if "disk" in device_map.values():
        raise SettingsError("The model does not fit into the memory given; choose a smaller one or allow more.")
    return device_map


def find_place(name: str, places: Mapping[str, Any]) -> Any:
    """Where a parameter goes. Raises SettingsError where no place is named."""
    owners = [part for part in places if f"{name}.".startswith(f"{part}.") or not part]
    if not owners:
        raise SettingsError(f'device_map has no place for {name}; name its module, or add "" for the rest.')
    return places[max(owners, key=len)]


def allocate(model: PreTrainedModel, places: Mapping[str, Any]) -> None:
    """Give parameters of the meta device memory there."""
    for name, parameter in model.named_parameters():
        owner, _, leaf = name.rpartition(".")
        memory = torch.empty_like(parameter, device=find_place(name, places))
        setattr(model.get_submodule(owner), leaf, nn.Parameter(memory, parameter.requires_grad))


def dispatch(model: PreTrainedModel, places: dict[str, Any]) -> None:
    """Let accelerate bring tensors and weights from place to place, where there are several."""
    if len(set(map(str, places.values()))) > 1:
        # loaded whole: decode reads kv_b_proj as a matrix, which is faster than to call it
        dispatch_model(model, places, preload_module_classes=["MultiHeadLatentAttention"])
