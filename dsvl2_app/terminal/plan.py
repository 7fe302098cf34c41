"""`dsvl2 plan`: what would lie where, and how fast it would be. Nothing is loaded."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

import torch
from rich import box as borders
from rich.console import Console
from rich.table import Table

from dsvl2_app.checkpoints.machine import Place, find_places, measure_read, read_gpus, read_size
from dsvl2_app.checkpoints.plan import Load, Plan, plan
from dsvl2_app.errors import SettingsError
from dsvl2_app.hub import TEXT_FILES, find_base, find_folder, is_adapter, read_config
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.model.presets import PRESETS
from dsvl2_app.runtime.devices import choose_device, choose_dtype
from dsvl2_app.settings import Settings
from dsvl2_app.terminal.answer import OUTPUT

MEBIBYTE = 2**20
RUNNERS = {
    "cpu": "on compiled kernels, where there is a C compiler",
    "graphs": "as CUDA graphs",
    "layers": "layer by layer, because several devices share it or memory is too short for graphs",
}


def run(flags: argparse.Namespace) -> None:
    settings = Settings.choose(flags, os.environ)
    config = _read_config(settings.model)
    context = config.language_config.max_position_embeddings
    for name, value, most in (("--context", flags.context, context), ("--chats", flags.chats, 1_000_000)):
        if value is not None and not 1 <= value <= most:
            raise SettingsError(f"{name} is {value}, but must be a whole number from 1 to {most}.")
    device, places = _find_places(flags, settings)
    model = DeepseekVL2ForConditionalGeneration.on_meta(
        config, choose_dtype(settings.dtype, config, device), settings.quantize
    )
    cache = settings.cache_mb * MEBIBYTE
    found = plan(model, places, context=flags.context or context, chats=flags.chats, cache=cache)
    facts = _collect(settings, model, found, _find_bandwidth(flags, settings, device))
    if flags.json:
        print(json.dumps(facts))
    else:
        _print(facts, found)


def _read_config(model: str) -> DeepseekVL2Config:
    if model in PRESETS:
        return DeepseekVL2Config.preset(model)
    folder = find_folder(model, TEXT_FILES)
    config = DeepseekVL2Config(**read_config(find_base(folder, TEXT_FILES) if is_adapter(folder) else folder))
    config.check_supported(str(folder / "config.json"))
    return config


def _find_places(flags: argparse.Namespace, settings: Settings) -> tuple[torch.device, list[Place]]:
    if flags.gpus is None:
        if flags.ram is not None:
            raise SettingsError("--ram is the memory beside --gpus; give both, or neither for this machine.")
        device = choose_device(settings.device)
        return device, find_places(device, all_gpus=settings.device in ("auto", "cuda"))
    if settings.device != "auto":
        raise SettingsError("--gpus and --device cannot be given together; leave one of them out.")
    beside = [] if flags.ram is None else [Place("cpu", read_size("--ram", flags.ram))]
    return torch.device("cuda"), [*read_gpus(flags.gpus), *beside]


def _find_bandwidth(flags: argparse.Namespace, settings: Settings, device: torch.device) -> float | None:
    """Bytes/s, given or measured; of GPUs that are elsewhere it is not known."""
    if flags.bandwidth is not None:
        if not 0 < flags.bandwidth < 1e6:
            raise SettingsError(f"--bandwidth is {flags.bandwidth:g}, but must be GB/s, such as 50 or 1008.")
        return flags.bandwidth * 1e9
    if flags.gpus is not None:
        return None
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return measure_read(device)


def _collect(settings: Settings, model: Any, found: Plan, bandwidth: float | None) -> dict[str, Any]:
    return {
        "model": settings.model,
        "dtype": str(model.dtype).removeprefix("torch."),
        "quantize": settings.quantize,
        "runner": found.runner,
        "context": found.context,
        "chats": found.chats,
        "bytes_per_token": found.per_token,
        "bytes_per_conversation": found.per_conversation,
        "bytes_of_largest_picture": found.picture,
        "places": [_describe(load) for load in found.loads],
        "weights": sum(load.weights for load in found.loads),
        "total": sum(load.total for load in found.loads),
        "fits": found.fits,
        "most_chats": found.most_chats,
        "read_per_token": int(sum(load.read for load in found.loads)),
        "brought_per_token": int(sum(load.brought for load in found.loads)),
        "bandwidth": bandwidth,
        "tokens_per_second": bandwidth and 1 / found.seconds(bandwidth),
        "tokens_per_second_at_most": bandwidth and 1 / found.seconds(bandwidth, share=1),
    }


def _describe(load: Load) -> dict[str, Any]:
    parts = {name: getattr(load, name) for name in ("weights", "layers", "conversations", "workspace", "kept", "total")}
    return {"name": load.place.name, "room": load.place.room, **parts, "fits": load.fits}


def _print(facts: dict[str, Any], found: Plan) -> None:
    number = facts["dtype"] + (f" and {facts['quantize']}" if facts["quantize"] != "none" else "")
    print(f"{facts['model']} in {number}, {found.chats} conversation(s) of {found.context:,} tokens")
    table = Table(box=borders.SIMPLE_HEAD)
    table.add_column("GB")
    for load in found.loads:
        table.add_column(load.place.name, justify="right")
    for name, what in (
        ("weights", "weights"),
        ("conversations", "keys and values"),
        ("workspace", "work in progress"),
        ("kept", "kept of earlier turns, at most"),
        ("total", "in all"),
    ):
        table.add_row(what, *(f"{getattr(load, name) / 1e9:.2f}" for load in found.loads))
    table.add_row("free", *(f"{load.place.room / 1e9:.2f}" for load in found.loads))
    table.add_row("layers", *(str(load.layers) for load in found.loads))
    Console(**OUTPUT).print(table)
    for sentence in _conclude(facts, found):
        print(sentence)


def _conclude(facts: dict[str, Any], found: Plan) -> list[str]:
    kilo, mega = found.per_token / 1e3, found.per_conversation / 1e6
    said = [
        f"A token of a conversation takes {kilo:.1f} kB, a whole one {mega:.0f} MB, the largest picture's features "
        f"{found.picture / 1e6:.1f} MB. Besides, Python and its libraries take about 0.7 GB of RAM."
    ]
    if found.fits:
        said.append(f"It fits, for {found.most_chats} such conversation(s) at once, and runs {RUNNERS[found.runner]}.")
    else:
        short = max(found.loads, key=lambda load: load.total - load.place.room)
        lacks = (short.total - short.place.room) / 1e9
        said.append(f"It does not fit: {short.place.name} lacks {lacks:.1f} GB. {_advise(facts)}")
    if facts["bandwidth"] is None:
        return [*said, "How fast those GPUs read memory is not known; --bandwidth GB/S tells tokens/s."]
    return [
        *said,
        f"A token reads {facts['read_per_token'] / 1e9:.2f} GB"
        + (f" and brings {facts['brought_per_token'] / 1e9:.2f} GB from RAM" if facts["brought_per_token"] else "")
        + f"; at {facts['bandwidth'] / 1e9:.0f} GB/s that is about {facts['tokens_per_second']:.1f} tokens/s, at most "
        f"{facts['tokens_per_second_at_most']:.1f}.",
    ]


def _advise(facts: dict[str, Any]) -> str:
    if facts["quantize"] != "int4":
        kinds = "int8 or int4" if facts["quantize"] == "none" else "int4"
        return f"Try --quantize {kinds}, a smaller --cache-mb, or more memory."
    return "Try a smaller --cache-mb or --context, or more memory."
