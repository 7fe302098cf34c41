"""What a model needs to run, worked out on tensors without memory: what would lie where, and how fast it would be.

The model is that which loading makes, on PyTorch's meta device, and it is spread as loading spreads it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsvl2_app.checkpoints.machine import Place
from dsvl2_app.checkpoints.parts import EXPERTS, find_part
from dsvl2_app.checkpoints.rehearsal import rehearse
from dsvl2_app.engine.engine import FEATURE_SHARE
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.placing import choose_places, find_place
from dsvl2_app.model.weights import official_name
from dsvl2_app.runtime.cpu.runner import CpuRunner
from dsvl2_app.runtime.cuda.decode import BATCHES, POOL_SHARE
from dsvl2_app.runtime.cuda.prefill import MOST
from dsvl2_app.runtime.cuda.runner import CudaRunner
from dsvl2_app.runtime.devices import NARROW, fits_alone
from dsvl2_app.runtime.eager import ALONE, EagerRunner

# Share of the memory's read rate that a token's bytes reach, and seconds a layer besides, fitted to what
# docs/performance.md measures: compiled kernels, CUDA graphs, and layer by layer where several devices share a model.
SHARES = {"cpu": 0.85, "graphs": 0.78, "layers": 0.78}
LAUNCHES = {"cpu": 0.0, "graphs": 13.5e-6, "layers": 1.3e-3}
LINK = 6.9e9  # bytes/s at which weights come to a GPU from RAM, from pages that are not pinned (an H200's host)
ASIDE = ("vision head, unused", "vision encoder", "adaptor", "token embeddings")  # what a token of text does not pass


@dataclass
class Load:
    """Bytes of one place."""

    place: Place
    weights: int = 0
    layers: int = 0  # of the decoder
    conversations: int = 0  # keys and values
    workspace: int = 0
    kept: int = 0  # keys, values and features of earlier turns, at most
    read: float = 0.0  # by a token, of weights and keys and values
    brought: float = 0.0  # for a token from RAM, because the GPUs are full

    @property
    def total(self) -> int:
        return self.weights + self.conversations + self.workspace + self.kept

    @property
    def fits(self) -> bool:
        return self.total <= self.place.room


@dataclass(frozen=True)
class Plan:
    runner: str  # a key of SHARES
    loads: tuple[Load, ...]
    per_token: int  # bytes of keys and values
    per_conversation: int
    picture: int  # bytes of the features of the largest picture
    context: int
    chats: int
    layers: int
    rows: int  # conversations for which graphs have reserved memory; 0 without graphs

    @property
    def fits(self) -> bool:
        return all(load.fits for load in self.loads)

    @property
    def most_chats(self) -> int:
        """Conversations of `context` tokens at once, before one of the places is full."""
        if self.rows:
            return self.rows
        free = min(
            ((load.place.room - load.total + load.conversations) / share if (share := self._share(load)) else 1e9)
            for load in self.loads
        )
        return int(max(0, free) // self.per_conversation)

    def _share(self, load: Load) -> float:
        """Of the layers whose keys and values are there."""
        return load.layers / self.layers

    def seconds(self, bandwidth: float, *, share: float | None = None) -> float:
        """Of a token; at the read rate itself with `share` 1."""
        reached = SHARES[self.runner] if share is None else share
        launches = 0.0 if share == 1 else LAUNCHES[self.runner] * self.layers
        return sum(load.read / bandwidth / reached + load.brought / LINK for load in self.loads) + launches


def plan(
    model: DeepseekVL2ForConditionalGeneration,
    places: Sequence[Place],
    *,
    context: int,
    chats: int = 1,
    cache: int = 0,
    where: Mapping[str, int | str] | None = None,
) -> Plan:
    """`model` is on the meta device; `places` are GPUs and last, where there is one, RAM. `cache` is --cache-mb in
    bytes, `where` a device_map with the places' keys in place of the one that loading chooses. Raises SettingsError
    where the weights fit in no way."""
    config = model.config.language_config
    where = where or spread(model, places)
    loads = {place.key: Load(place) for place in places}
    per_token = config.num_hidden_layers * config.cache_width * model.dtype.itemsize
    main = places[0]
    _place_weights(model, where, loads, main)
    rows = _count_rows(loads[main.key], per_token * config.max_position_embeddings)
    runner = "cpu" if main.key == "cpu" else "graphs" if len(set(where.values())) == 1 and rows else "layers"
    if runner == "graphs":
        loads[main.key].conversations = (rows * config.max_position_embeddings + context) * per_token
    for load in loads.values():
        share = load.layers / config.num_hidden_layers
        if runner != "graphs":
            load.conversations = int(chats * context * per_token * share)
        load.kept = int(cache * (1 - FEATURE_SHARE) * share + cache * FEATURE_SHARE * (load.place == main))
        load.read += context * per_token * share
    _place_workspace(model, where, loads, main, runner, context)
    return Plan(
        runner,
        tuple(loads.values()),
        per_token,
        per_token * context,
        _measure_largest_picture(model),
        context,
        chats,
        config.num_hidden_layers,
        rows if runner == "graphs" else 0,
    )


def _measure_largest_picture(model: DeepseekVL2ForConditionalGeneration) -> int:
    """Bytes of the embeds of a picture in the largest grid."""
    geometry = model.config.geometry
    tokens = max(geometry.count_tokens(w // geometry.tile, h // geometry.tile) for w, h in geometry.candidates)
    return tokens * model.config.language_config.hidden_size * model.dtype.itemsize


def spread(model: DeepseekVL2ForConditionalGeneration, places: Sequence[Place]) -> dict[str, int | str]:
    """Which module goes where, as loading has it. Of a single GPU a tenth stays free for the work itself."""
    if len(places) == 1:
        return {"": places[0].key}
    gpus = [place for place in places if place.key != "cpu"]
    if len(gpus) > 1 and fits_alone(sum(parameter.nbytes for parameter in model.parameters()), places[0].room):
        return {"": places[0].key}
    room = {place.key: int(place.room * (0.9 if [place] == gpus else 1)) for place in places}
    talk = logging.getLogger("accelerate.utils.modeling")
    level, talk.level = talk.level, logging.ERROR  # it warns of GPUs that are not in this machine
    try:
        return choose_places(model, "auto", room)
    finally:
        talk.setLevel(level)


def _place_weights(
    model: DeepseekVL2ForConditionalGeneration, where: Mapping[str, Any], loads: Mapping[Any, Load], main: Place
) -> None:
    """Add the bytes of every parameter to its place, and what a token reads of it. What lies in RAM beside GPUs is
    brought to the first of them, whole."""
    config = model.config.language_config
    chosen = (config.num_experts_per_tok or 0) / (config.n_routed_experts or 1)
    layers: dict[Any, set[str]] = {key: set() for key in loads}
    for name, parameter in model.named_parameters():
        key, part = find_place(name, where), find_part(official_name(name))
        loads[key].weights += parameter.nbytes
        is_brought = key == "cpu" != main.key
        if found := re.match(r"decoder\.layers\.(\d+)\.", name):
            layers[main.key if is_brought else key].add(found[1])
        if is_brought and part not in ASIDE[:3]:
            loads[main.key].brought += parameter.nbytes
        elif part not in ASIDE:
            loads[key].read += parameter.nbytes * (chosen if part == EXPERTS else 1)
    for key, found in layers.items():
        loads[key].layers = len(found)


def _count_rows(load: Load, per_row: int) -> int:
    """Conversations for which a GPU that records graphs reserves memory."""
    return int(min(BATCHES[-1], max(0, load.place.room - load.weights) * POOL_SHARE // per_row))


def _place_workspace(
    model: DeepseekVL2ForConditionalGeneration,
    where: Mapping[str, Any],
    loads: Mapping[Any, Load],
    main: Place,
    runner: str,
    context: int,
) -> None:
    """What comes and goes: a batch of tiles on the first device, a piece of a prompt on each that has layers. Graphs
    keep memory of their own for each, with their inputs."""
    config, width = model.config.language_config, model.config.vision_config.width
    on_cpu = main.key == "cpu"
    tiles = (1 if width >= NARROW else 4) if on_cpu else EagerRunner.tile_batch
    chunk = ALONE * (CpuRunner if on_cpu else CudaRunner).prefill_chunk
    taken = rehearse(model, tiles, min(chunk, context), context, on_cpu=on_cpu)
    embeds = context * config.hidden_size * model.dtype.itemsize  # of the whole prompt
    for load in loads.values():
        if load.layers:
            load.workspace = max(taken.prefill, taken.vision if load.place == main else 0) + embeds
    if runner == "graphs":
        load, side = loads[main.key], model.config.geometry.tile
        inputs = MOST * config.hidden_size * model.dtype.itemsize + tiles * 3 * side**2 * 4
        keys = MOST * config.num_hidden_layers * config.cache_width * model.dtype.itemsize
        recorded = rehearse(model, tiles, MOST, MOST, on_cpu=False)
        load.workspace += inputs + keys + recorded.vision + recorded.prefill
    brought = [module for name, module in model.named_modules() if main.key != "cpu" and _is_brought(name, where)]
    loads[main.key].workspace += max((_own_bytes(module) for module in brought), default=0)


def _is_brought(name: str, where: Mapping[str, Any]) -> bool:
    return any(place == "cpu" and f"{name}.".startswith(f"{part}.") for part, place in where.items())


def _own_bytes(module: Any) -> int:
    return sum(parameter.nbytes for parameter in module.parameters(recurse=False))
