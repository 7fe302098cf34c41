"""Serve the demo: `python app.py --help` lists the flags."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import closing


def main(argv: Sequence[str]) -> int:
    from dsvl2_app.errors import AppError
    from dsvl2_app.settings import Settings

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a container is stopped with, as Ctrl-C
    try:
        settings = Settings.parse(argv, os.environ)

        from dsvl2_app.engine.worker import Worker
        from dsvl2_app.ui.layout import build, launch
        from dsvl2_app.ui.uploads import own_folder

        with own_folder(), closing(Worker.load(settings)) as worker:
            launch(build(worker, settings), settings)
    except AppError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # what shells expect
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
