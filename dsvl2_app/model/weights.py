"""Checkpoint files -> parameters, through a table of views that saving.py shares.

`official_views` gives, for every key of the official layout, the piece of our parameters that it names: loading copies
files into these views, saving writes them out. Our parameters differ where speed asks for it: gate and up projections
are one matrix, and the experts of a layer are stacks.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from tqdm import tqdm

from dsvl2_app.errors import CheckpointError
from dsvl2_app.model.int4 import inputs_of
from dsvl2_app.model.linear import SCALE, narrow
from dsvl2_app.model.operations import widen
from dsvl2_app.progress import Meter

if TYPE_CHECKING:
    from dsvl2_app.model.pretrained import OfficialLayoutModel

INDEX_NAME = "model.safetensors.index.json"
FILE_NAME = "model.safetensors"
# Files are mapped into memory and mapped pages count as ours, so a file is reopened after this many bytes.
BYTES_PER_MAPPING = 32 * 2**20
PIECE = 8 * 2**20  # numbers of a tensor that are read at once, or a row of it

PREFIXES = (  # ours, official
    ("decoder.", "language.model."),
    ("lm_head.", "language.lm_head."),
    ("adaptor.mlp.", "projector.layers."),
    ("adaptor.tile_newline", "image_newline"),
    ("adaptor.view_separator", "view_seperator"),  # the official spelling
    ("vision.", "vision."),
)
OURS = tuple(ours for ours, _ in PREFIXES)
POOL = "vision.attn_pool."
ROUTER = ((".router.weight", ".gate.weight"), (".router.bias", ".gate.e_score_correction_bias"))


def official_views(model: nn.Module) -> dict[str, Tensor]:
    """Official key -> the part of our parameters that holds it (shares memory; writes go through)."""
    return name_officially({name: parameter.detach() for name, parameter in model.named_parameters()})


def name_officially(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under our names -> views of them under the official ones, without scales; official names stay."""
    views: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not name.startswith(OURS):
            views[name] = tensor
        elif not name.endswith(SCALE):
            views.update(_pieces(official_name(name), tensor))
    return views


def scale_views(model: nn.Module) -> dict[str, Tensor]:
    """Official key -> where the scales of its int8 or int4 weights belong."""
    views: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        if name.endswith(SCALE):
            views.update(_pieces(official_name(name.removesuffix(SCALE)), parameter.detach()))
    return views


def official_name(name: str) -> str:
    ours, official = next(pair for pair in PREFIXES if name.startswith(pair[0]))
    name = official + name.removeprefix(ours)
    if name.startswith(POOL):
        name = POOL + name.removeprefix(POOL).replace("_", ".")
    for ours, official in ROUTER:
        if name.endswith(ours):
            name = name.removesuffix(ours) + official
    return name


def _pieces(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    stem, _, last = name.removesuffix(".weight").rpartition(".")
    if stem.endswith(".experts") and last in ("gate_up", "down"):
        for expert, matrix in enumerate(tensor):
            yield from _pieces(f"{stem}.{expert}.{last}.weight", matrix)
    elif last == "gate_up":
        gate, up = tensor.chunk(2)
        yield f"{stem}.gate_proj.weight", gate
        yield f"{stem}.up_proj.weight", up
    elif last == "down":
        yield f"{stem}.down_proj.weight", tensor
    else:
        yield name, tensor


def load(model: OfficialLayoutModel, folder: Path) -> None:
    """Fill every parameter from the folder's safetensors files, or raise CheckpointError that names what is wrong.
    The model's `unread_keys` may be there and are not read."""
    unread = frozenset(model.unread_keys)
    files = {key: path for key, path in _key_files(folder).items() if key not in unread}
    views, scales = official_views(model), scale_views(model)
    check_keys(files.keys(), views.keys(), f"The checkpoint in {folder}")
    paths = sorted(set(files.values()))
    size = sum(path.stat().st_size for path in paths if path.exists())
    meter = Meter("read", size)
    with tqdm(total=size, desc="Loading weights", unit="B", unit_scale=True, delay=0.5, leave=False) as bar:

        def count(number: int) -> None:
            bar.update(number)
            meter.add(number)

        for path in paths:
            promised = {key for key, holder in files.items() if holder == path}
            _load_file(path, views, scales, promised, unread, count)


def check_whole(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with our names or the official ones, under the official; CheckpointError if any lacks or is too many."""
    named = name_officially(tensors)
    check_keys(named.keys(), official_views(model).keys(), "state_dict")
    return named


@torch.no_grad()
def copy_in(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Fill every parameter from tensors with our names or the official ones; raises CheckpointError as `load` does."""
    sources, views, scales = check_whole(model, tensors), official_views(model), scale_views(model)
    for key, source in sources.items():
        _copy(key, source, views, scales, "state_dict")


def check_keys(found: Set[str], expected: Set[str], where: str) -> None:
    """Raise CheckpointError where official keys lack or are too many."""
    missing, unexpected = sorted(expected - found), sorted(found - expected)
    if missing or unexpected:
        parts = [f"lacks {_name_some(missing)}"] * bool(missing)
        parts += [f"has {_name_some(unexpected)} that the configuration has no place for"] * bool(unexpected)
        raise CheckpointError(f"{where} {' and '.join(parts)}; use files and config.json of one model.")


def check_shape(key: str, found: tuple[int, ...], expected: tuple[int, ...], where: str) -> None:
    """Raise CheckpointError where they differ."""
    if found != expected:
        raise CheckpointError(
            f"{key} in {where} is {found} where the configuration asks for {expected}; use files and config.json of "
            "one model."
        )


def _copy(key: str, source: Tensor, views: dict[str, Tensor], scales: dict[str, Tensor], where: str) -> None:
    check_shape(key, tuple(source.shape), _shape(key, views, scales), where)
    _put(source, views[key], scales.get(key))


def _shape(key: str, views: dict[str, Tensor], scales: dict[str, Tensor]) -> tuple[int, ...]:
    """Of the weight that files have for a key."""
    target = views[key]
    return (*target.shape[:-1], inputs_of(target)) if key in scales else tuple(target.shape)


def _put(source: Tensor, target: Tensor, scale: Tensor | None) -> None:
    if scale is not None:
        source, found = narrow(source, target.dtype)
        scale.copy_(found)
    target.copy_(source)


@torch.no_grad()
def take_official_keys(
    model: nn.Module, state_dict: dict[str, Tensor], prefix: str, missing: list[str], errors: list[str]
) -> None:
    """Put our parameters' names and shapes in the place of official keys in `state_dict`, all of them after `prefix`.

    A parameter of which only some pieces are there, as in one of several shards, keeps its other values; the pieces
    that lack are added to `missing`, and what is wrong with the others to `errors`.
    """
    for name, parameter in list(model.named_parameters()):
        if name.endswith(SCALE) or prefix + name in state_dict or not name.startswith(OURS):
            continue
        official, (module, _, leaf) = prefix + official_name(name), name.rpartition(".")
        scale = getattr(model.get_submodule(module), leaf + SCALE, None)
        whole = parameter.detach().clone() if scale is None else _widen(parameter.detach(), scale)
        pieces = dict(_pieces(official, whole))
        found = {key: state_dict.pop(key) for key in pieces if key in state_dict}
        if not found:
            continue
        missing += pieces.keys() - found.keys()
        for key, source in found.items():
            if source.shape == pieces[key].shape:
                pieces[key].copy_(source)
            else:
                errors.append(f"{key} is {tuple(source.shape)} and must be {tuple(pieces[key].shape)}")
        if scale is not None:
            whole, state_dict[prefix + name + SCALE] = narrow(whole, parameter.dtype)
        state_dict[prefix + name] = whole


def _widen(weight: Tensor, scale: Tensor) -> Tensor:
    """int8 or int4 as float32."""
    wide, rest = widen(weight, scale, torch.float32)
    return wide if rest is None else wide * rest[..., None]


@torch.no_grad()
def _load_file(
    path: Path,
    views: dict[str, Tensor],
    scales: dict[str, Tensor],
    promised: set[str],
    unread: frozenset[str],
    count: Callable[[int], None],
) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {key: _read_shape(file, key) for key in file.offset_keys() if key not in unread}
        if wrong := sorted(promised.symmetric_difference(shapes)):
            raise CheckpointError(
                f"{path} and {INDEX_NAME} do not agree about {_name_some(wrong)}; download both again."
            )
        for key, shape in shapes.items():
            check_shape(key, shape, _shape(key, views, scales), str(path))
        pieces = deque((key, rows) for key, shape in shapes.items() for rows in _cut_rows(shape))
        while pieces:
            with safe_open(path, framework="pt") as file:
                read = 0
                while pieces and read < BYTES_PER_MAPPING:
                    key, rows = pieces.popleft()
                    source = file.get_slice(key)[rows]
                    read += source.nbytes
                    count(source.nbytes)
                    scale = scales[key][rows] if key in scales else None
                    _put(source, views[key][rows], scale)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or incomplete ({error}); download it again.") from error


def _read_shape(file: Any, key: str) -> tuple[int, ...]:
    return tuple(file.get_slice(key).get_shape())


def _cut_rows(shape: tuple[int, ...]) -> Iterator[slice]:
    """Of a tensor, pieces of its first dimension."""
    most = max(1, PIECE // math.prod(shape[1:]))
    return (slice(start, start + most) for start in range(0, shape[0], most))


def has_weights(folder: Path) -> bool:
    return (folder / INDEX_NAME).exists() or (folder / FILE_NAME).exists()


def _key_files(folder: Path) -> dict[str, Path]:
    """Which file holds which key."""
    try:
        if (folder / INDEX_NAME).exists():
            index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
            return {str(key): _find_shard(folder, str(key), name) for key, name in index["weight_map"].items()}
        if (folder / FILE_NAME).exists():
            with safe_open(folder / FILE_NAME, framework="pt") as file:
                return dict.fromkeys(file.keys(), folder / FILE_NAME)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"The weights in {folder} cannot be read ({error}); download them again.") from error
    raise CheckpointError(
        f"{folder} has neither {FILE_NAME} nor {INDEX_NAME}; download the whole checkpoint, or start with "
        "--load-format dummy to try its shapes with random weights."
    )


def _find_shard(folder: Path, key: str, name: Any) -> Path:
    """A file of the folder itself: an index is not to be followed elsewhere, nor to files that are opened otherwise."""
    if not isinstance(name, str) or not re.fullmatch(r"[^/\\\0:]+\.safetensors", name):
        raise CheckpointError(
            f"{INDEX_NAME} in {folder} says that {key} is in {name!r}, which is no .safetensors file beside it; "
            "download the checkpoint again."
        )
    return folder / name


def _name_some(keys: list[str], most: int = 5) -> str:
    rest = f" and {len(keys) - most} more" if len(keys) > most else ""
    return f"{', '.join(keys[:most])}{rest}"
