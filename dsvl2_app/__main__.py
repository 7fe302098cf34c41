"""`python -m dsvl2_app COMMAND`: everything that needs no page.

A command is a module's function pair: one adds its flags, one runs it. Its docstring is its line in --help.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from dsvl2_app.errors import AppError
from dsvl2_app.evaluation import bench, evaluate
from dsvl2_app.settings import FlagParser
from dsvl2_app.terminal import chat, ground, tiles
from dsvl2_app.training import finetune, train

AddFlags = Callable[[argparse.ArgumentParser], None]
Run = Callable[[argparse.Namespace], None]

COMMANDS: dict[str, tuple[AddFlags, Run]] = {
    "chat": (chat.add_flags, chat.run),
    "ground": (ground.add_flags, ground.run),
    "tiles": (tiles.add_flags, tiles.run),
    "bench": (bench.add_flags, bench.run),
    "eval": (evaluate.add_flags, evaluate.run),
    "train": (train.add_flags, train.run),
    "finetune": (finetune.add_flags, finetune.run),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; what a person can put right is one sentence on stderr and exit status 2."""
    try:
        flags = parse(argv)
        flags.run(flags)
    except AppError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # what shells expect after Ctrl-C
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = FlagParser(prog="python -m dsvl2_app", description="DeepSeek-VL2 in a terminal.", allow_abbrev=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (add_flags, run) in COMMANDS.items():
        command = commands.add_parser(name, help=run.__doc__, description=run.__doc__, allow_abbrev=False)
        add_flags(command)
        command.set_defaults(run=run)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
