"""`dsvl2 inspect`: what a checkpoint has, part by part. Its weights stay where they are. With a question: see
terminal/inside.py."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from typing import Any

from rich import box as borders
from rich.console import Console
from rich.table import Table

from dsvl2_app.bundled import NANO
from dsvl2_app.checkpoints.headers import Heads, read_heads
from dsvl2_app.checkpoints.parts import Part, count_active, sum_up
from dsvl2_app.errors import CheckpointError, SettingsError
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.settings import Settings
from dsvl2_app.terminal.answer import OUTPUT
from dsvl2_app.terminal.inside import look_inside


def run(flags: argparse.Namespace) -> None:
    """Raises CheckpointError after all that can be shown, where weights and configuration do not fit together."""
    if flags.question is not None:
        look_inside(flags)
        return
    if flags.image or flags.out:
        raise SettingsError("--image and --out go with a question; write one behind the model.")
    model = Settings.choose(flags, os.environ).checkpoint
    heads = read_heads(str(NANO) if model == "nano" else model, flags.revision)
    config = DeepseekVL2Config(**heads.config)
    problem = _find_problem(heads, config)
    parts = sum_up(heads.weights)
    facts = _collect(model, heads, config, parts)
    if flags.json:
        print(json.dumps({**facts, "problem": problem and str(problem)}))
    else:
        _print(facts, parts)
    if problem:
        raise problem


def _find_problem(heads: Heads, config: DeepseekVL2Config) -> CheckpointError | None:
    """Whether loading would be refused, and why."""
    from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
    from dsvl2_app.model.weights import check_keys, check_shape, official_views

    where = f"The checkpoint in {heads.source}"
    try:
        config.check_supported(f"config.json of {heads.source}")
        expected = official_views(DeepseekVL2ForConditionalGeneration.on_meta(config, None))
        check_keys(heads.shapes.keys(), expected.keys(), where)
        for name, view in expected.items():
            check_shape(name, heads.shapes[name], tuple(view.shape), heads.source)
    except CheckpointError as error:
        return error
    return None


def _collect(model: str, heads: Heads, config: DeepseekVL2Config, parts: list[Part]) -> dict[str, Any]:
    decoder = config.language_config
    return {
        "model": model,
        "attention": "latent" if decoder.use_mla else "multi-head",
        "layers": decoder.num_hidden_layers,
        "width": decoder.hidden_size,
        "experts": decoder.n_routed_experts,
        "experts_per_token": decoder.num_experts_per_tok,
        "vocabulary": decoder.vocab_size,
        "context": decoder.max_position_embeddings,
        "tile": config.vision_config.image_size,
        "files": heads.files,
        "tensors": len(heads.weights),
        "parameters": sum(part.numbers for part in parts),
        "active_parameters": count_active(parts, decoder.n_routed_experts, decoder.num_experts_per_tok),
        "bytes": sum(part.nbytes for part in parts),
        "parts": [asdict(part) for part in parts],
    }


def _print(facts: dict[str, Any], parts: list[Part]) -> None:
    print("{model}: {layers} layers of {width}, {attention} attention, {vocabulary:,} tokens".format(**facts))
    if facts["experts"]:
        print("{experts_per_token} of {experts} experts a token; {context:,} tokens of context".format(**facts))
    table = Table(box=borders.SIMPLE_HEAD, show_footer=True)
    table.add_column("part", footer="in all")
    table.add_column("parameters", justify="right", footer=f"{facts['parameters']:,}")
    table.add_column("bytes", justify="right", footer=f"{facts['bytes']:,}")
    table.add_column("format", footer=f"in {facts['files']} file(s)")
    for part in parts:
        table.add_row(part.name, f"{part.numbers:,}", f"{part.nbytes:,}", ", ".join(part.formats))
    Console(**OUTPUT).print(table)
    print("A token passes {active_parameters:,} of the parameters.".format(**facts))
