"""The weights of a checkpoint as the heads of its safetensors files list them, here or on the hub; none is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import NotASafetensorsRepoError, SafetensorsParsingError
from safetensors import SafetensorError, safe_open

from dsvl2_app.checkpoints.fetch import Listing, explained, list_files
from dsvl2_app.checkpoints.parts import Weight
from dsvl2_app.errors import CheckpointError
from dsvl2_app.hub import find_folder, read_config

BITS = {"F8_E4M3": 8, "F8_E5M2": 8, "BF16": 16, "BOOL": 8}  # else the number in the name


@dataclass(frozen=True, slots=True)
class Heads:
    """`shapes` by official names; `config` is config.json."""

    source: str
    config: dict[str, Any]
    weights: tuple[Weight, ...]
    shapes: dict[str, tuple[int, ...]]
    files: int


def read_heads(model: str, revision: str | None = None) -> Heads:
    """Of a folder, or of a repository: where it was not fetched, of the hub, without its files. Raises
    CheckpointError."""
    folder = Path(model) if Path(model).is_dir() else _find_fetched(model, revision)
    if folder is None:
        config, tensors, files = _ask_hub(list_files(model, revision))
    else:
        config, (tensors, files) = read_config(folder), _read_folder(folder)
    weights = tuple(
        Weight(name, prod(shape), format, prod(shape) * _count_bits(format) // 8)
        for name, (format, shape) in tensors.items()
    )
    return Heads(model, config, weights, {name: shape for name, (_, shape) in tensors.items()}, files)


def _find_fetched(repo: str, revision: str | None) -> Path | None:
    try:
        return find_folder(repo, revision=revision, local_files_only=True)
    except CheckpointError:
        return None


Tensors = dict[str, tuple[str, tuple[int, ...]]]  # name -> format, shape


def _read_folder(folder: Path) -> tuple[Tensors, int]:
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise CheckpointError(f"{folder} has no safetensors files; give the folder of a whole checkpoint.")
    tensors: Tensors = {}
    for path in paths:
        try:
            with safe_open(path, framework="np") as file:
                for name in file.offset_keys():
                    piece = file.get_slice(name)
                    tensors[name] = piece.get_dtype(), tuple(piece.get_shape())
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is damaged or incomplete ({error}); download it again.") from error
    return tensors, len(paths)


def _ask_hub(listing: Listing) -> tuple[dict[str, Any], Tensors, int]:
    repo, commit = listing.repo, listing.commit
    try:
        with explained(repo, commit):
            config = read_config(Path(hf_hub_download(repo, "config.json", revision=commit)).parent)
            found = HfApi().get_safetensors_metadata(repo, revision=commit)
    except (NotASafetensorsRepoError, SafetensorsParsingError, json.JSONDecodeError) as error:
        raise CheckpointError(f"The weights of {repo} cannot be read ({error}); choose another repository.") from error
    heads = found.files_metadata.values()
    return config, {name: (t.dtype, tuple(t.shape)) for head in heads for name, t in head.tensors.items()}, len(heads)


def _count_bits(format: str) -> int:
    return BITS.get(format) or int("".join(filter(str.isdigit, format)))
