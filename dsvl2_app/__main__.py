"""`dsvl2 COMMAND`, or `python -m dsvl2_app COMMAND`: everything that the project does, from a command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dsvl2_app.commands import COMMANDS, import_listed
from dsvl2_app.settings import FlagParser, add_version
from dsvl2_app.terminal.manners import run_politely


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status (see `run_politely`); `argv` is without the program's name."""
    return run_politely(lambda: run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> None:
    flags = parse(argv)
    flags.argv = tuple(argv)  # for a command that starts itself again
    import_listed(COMMANDS[flags.command].module).run(flags)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Raises SettingsError for what no command or flag is."""
    parser = FlagParser(prog="dsvl2", description="DeepSeek-VL2 as a page and in a terminal.", allow_abbrev=False)
    add_version(parser)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for name, command in COMMANDS.items():
        command.add_flags(
            commands.add_parser(name, help=command.summary, description=command.summary, allow_abbrev=False)
        )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
