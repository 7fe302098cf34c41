"""Parameters -> checkpoint files, through the views of weights.py."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from dsvl2_app.errors import SettingsError
from dsvl2_app.model.linear import NARROW, SCALE
from dsvl2_app.model.weights import FILE_NAME, INDEX_NAME, name_officially

_WRITTEN = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")


def save(tensors: Mapping[str, Tensor], folder: Path, dtype: torch.dtype, max_shard_bytes: int) -> None:
    """Write tensors with our names or the official ones in the official layout: one model.safetensors, or numbered
    shards with an index."""
    if any(name.endswith(SCALE) for name in tensors):
        kind = next(NARROW[tensor.dtype] for tensor in tensors.values() if tensor.dtype in NARROW)
        raise SettingsError(f"{kind} weights are not written to disk; load the model without --quantize and save that.")
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():
        if _WRITTEN.fullmatch(stale.name):
            stale.unlink()
    shards: list[dict[str, Tensor]] = [{}]
    room = max_shard_bytes
    views = {key: _narrow(view, dtype) for key, view in name_officially(tensors).items()}
    for key, tensor in views.items():
        if tensor.nbytes > room and shards[-1]:
            shards.append({})
            room = max_shard_bytes
        shards[-1][key] = tensor
        room -= tensor.nbytes
    if len(shards) == 1:
        _save_file(shards[0], folder / FILE_NAME)
        return
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _save_file(shard, folder / name)
        weight_map.update(dict.fromkeys(shard, name))
    size = sum(tensor.nbytes for tensor in views.values())
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / INDEX_NAME).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _narrow(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The router's bias is float32 in memory; it goes back to the model's dtype where it came from there."""
    if tensor.dtype == dtype:
        return tensor
    narrowed = tensor.to(dtype)
    return narrowed if torch.equal(narrowed.to(tensor.dtype), tensor) else tensor


def _save_file(shard: dict[str, Tensor], path: Path) -> None:
    whole = {key: tensor.cpu().clone(memory_format=torch.contiguous_format) for key, tensor in shard.items()}
    save_file(whole, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors makes files that only their owner can read
