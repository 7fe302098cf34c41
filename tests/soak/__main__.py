"""Many visitors at once for a long time: `python -m tests.soak --chats 32 --seconds 900`.

Prints a report as JSON, and its exit status is 1 where a bound is broken. The app's caches are small unless its flags
say otherwise, so that they are full within two minutes: what memory grows by after that is something else.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.soak.report import BOUNDS, COUNTS, find_broken
from tests.soak.run import soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--chats", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--pause", type=float, default=0.5, help="most seconds between two questions of a visitor")
    parser.add_argument("--patience", type=float, default=60, help="seconds until a request counts as hung")
    parser.add_argument("--program", choices=["nano", "echo"], default="nano")
    parser.add_argument("--counts", action="store_true", help="hold what does not depend on the machine's speed alone")
    parser.add_argument("--out", type=Path, help="a file for the report")
    parser.add_argument("flags", nargs="*", default=["--cache-mb", "128"], help="of the app, after --")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = soak(given.program, given.chats, given.seconds, Path(folder), given.pause, given.patience, given.flags)
    broken = find_broken(report, COUNTS if given.counts else BOUNDS)
    text = json.dumps(report | {"broken": broken}, indent=1)
    if given.out:
        given.out.write_text(text)
    print(text)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
