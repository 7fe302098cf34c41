"""Serve the demo: `python app.py --help` lists the flags."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from dsvl2_app.serve import serve
from dsvl2_app.settings import Settings
from dsvl2_app.terminal.manners import run_politely


def main(argv: Sequence[str]) -> int:
    return run_politely(lambda: serve(Settings.parse(argv, os.environ)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
