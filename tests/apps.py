"""The app in a process of its own, which outlives no test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[1]
START = 120.0  # seconds until it must be ready


def find_port() -> int:
    """One that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    log: Path,
    *,
    environment: Mapping[str, str] = os.environ,
    cwd: Path = ROOT,
    out: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """The app that `command` starts, once /readyz at `port` says that it is ready. What it writes is in `log`, its
    standard output in `out` where that is given. Whatever is left at the end of it and its children is killed."""
    with log.open("ab") as errors, (out or log).open("ab") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=dict(environment), stdout=output, stderr=errors, start_new_session=True
        )
    try:
        wait_until(lambda: is_ready(process, port, log), START, pause=0.1)
        yield process
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


def is_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert process.poll() is None, f"the app did not start: {log.read_text(errors='replace')[-2000:]}"
    try:
        urlopen(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE).close()
    except OSError:  # nobody listens yet, or the answer is 503
        return False
    return True


def stop(process: subprocess.Popen[bytes]) -> int:
    """The exit status after SIGTERM."""
    process.terminate()
    return process.wait(PATIENCE)
