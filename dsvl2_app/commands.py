"""Every command of `dsvl2`: its line in --help, its flags, and the module whose `run(flags)` is called for it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from dsvl2_app.command_flags import (
    add_bench_flags,
    add_chat_flags,
    add_check_flags,
    add_eval_flags,
    add_fetch_flags,
    add_finetune_flags,
    add_ground_flags,
    add_inspect_flags,
    add_plan_flags,
    add_space_flags,
    add_sprites_flags,
    add_tiles_flags,
    add_train_flags,
)
from dsvl2_app.errors import SettingsError
from dsvl2_app.settings import add_page_flags


@dataclass(frozen=True, slots=True)
class Command:
    """`module` is imported when the command runs; those outside dsvl2_app are in a clone of the project alone."""

    module: str
    summary: str
    add_flags: Callable[[argparse.ArgumentParser], None]


def import_listed(module: str) -> ModuleType:
    """A module that this table names. Raises SettingsError for one of `nano` or `bench` outside a clone."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        folder = module.partition(".")[0]
        if folder == "dsvl2_app" or error.name not in (folder, module):
            raise
        raise SettingsError(
            "This needs the folder {folder}, which pip does not install; in a clone of the project, run "
            "`python -m dsvl2_app` there.",
            folder=folder,
        ) from None


COMMANDS = {
    "serve": Command("dsvl2_app.serve", "Serve the page and its API until stopped.", add_page_flags),
    "chat": Command("dsvl2_app.terminal.chat", "Ask about pictures; the answer streams.", add_chat_flags),
    "ground": Command(
        "dsvl2_app.terminal.ground",
        "Find something in a picture; print its boxes, and write them with --out.",
        add_ground_flags,
    ),
    "tiles": Command(
        "dsvl2_app.terminal.tiles",
        "Show the tile grid of pictures, its candidates, and the tokens they become, for a released model unless "
        "--model or DSVL2_MODEL names another (nano's tiles are smaller); runs no model.",
        add_tiles_flags,
    ),
    "fetch": Command(
        "dsvl2_app.terminal.fetch",
        "Download a checkpoint from the hub and check it; run again, it goes on where it was interrupted.",
        add_fetch_flags,
    ),
    "inspect": Command(
        "dsvl2_app.terminal.inspect",
        "List the parameters of a checkpoint by part, here or on the hub, without its weights; say whether they fit. "
        "With a question: answer it, and say what the model attended to, which experts worked, what else it might have "
        "said.",
        add_inspect_flags,
    ),
    "check": Command(
        "dsvl2_app.evaluation.check",
        "Ask a model seven questions with known answers, to know that its weights are read right.",
        add_check_flags,
    ),
    "plan": Command(
        "dsvl2_app.terminal.plan",
        "Work out what a model needs on this machine or on other GPUs, and how fast it would be, without loading it.",
        add_plan_flags,
    ),
    "bench": Command(
        "bench",
        "Measure speed and memory on this machine, as shares of what the machine could do.",
        add_bench_flags,
    ),
    "eval": Command(
        "dsvl2_app.evaluation.evaluate",
        "Measure how often the model answers right, on pictures that training never saw.",
        add_eval_flags,
    ),
    "train": Command(
        "nano.train",
        "Train nano on rendered pictures; the same command goes on with a run that was stopped.",
        add_train_flags,
    ),
    "sprites": Command(
        "nano.things.gather",
        "Fetch drawings and photographs of everyday things, and pack them for training nano and for its evaluation.",
        add_sprites_flags,
    ),
    "finetune": Command(
        "dsvl2_app.finetune.finetune",
        "Teach a checkpoint one's own conversations, through LoRA or in full.",
        add_finetune_flags,
    ),
    "space": Command(
        "dsvl2_app.space.folder",
        "Write a folder that is ready to be pushed as a Space of Hugging Face; in a clone only.",
        add_space_flags,
    ),
}
