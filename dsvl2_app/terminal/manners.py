"""How every command ends: with one sentence and an exit status, whatever a person, a pipe or a disk does."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from dsvl2_app.errors import AppError

MISTAKE = 2  # what argparse exits with, too
INTERRUPTED, NO_READER = 130, 141  # 128 and the signal's number, as shells report Ctrl-C and a closed pipe
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run_politely(command: Callable[[], None]) -> int:
    """Run the command and return its exit status.

    An AppError and a full disk are printed to stderr as one sentence, with status 2. Ctrl-C (130) and a closed output
    pipe, as with `| head` (141), print nothing. Other exceptions are bugs and pass through.
    """
    replace_what_cannot_be_written()
    try:
        command()
        if sys.stdout:
            sys.stdout.flush()
    except AppError as error:
        print(error, file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return NO_READER
    except OSError as error:
        if error.errno not in FULL:
            raise
        _discard_output()
        place = error.filename or "the output"
        print(f"Writing {place} failed ({error.strerror}); free some space or write elsewhere.", file=sys.stderr)
        return MISTAKE
    return 0


def replace_what_cannot_be_written() -> None:
    """Let stdout and stderr print a substitute for characters that their encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")


def _discard_output() -> None:
    """Point stdout at the null device: Python flushes its buffer once more at exit, which would fail again."""
    with suppress(OSError):  # a stream of a test has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
