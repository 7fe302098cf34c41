"""The app as a process of its own, and what it costs while it is asked: memory, threads, open files, /healthz."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.apps import find_port, running

PROGRAMS = {"nano": ("app.py",), "echo": ("-m", "tests.soak.echo")}
END = 20.0  # seconds from SIGTERM


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> int:
        """The exit status after SIGTERM; -9 where that did not end it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


@contextmanager
def serving(program: str, folder: Path, flags: Sequence[str] = ()) -> Iterator[Server]:
    """The app of that name in `PROGRAMS`, once it is ready; its log is in `folder`."""
    port, log = find_port(), folder / f"{program}.log"
    command = [sys.executable, *PROGRAMS[program], "--port", str(port), *flags]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "GRADIO_TEMP_DIR": str(folder)}
    with running(command, port, log, environment=environment) as process:
        yield Server(process, f"http://127.0.0.1:{port}", log)


def ask(port: int, path: str, seconds: float = 30) -> int:
    """The status of one GET, over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        reply.read()
        return reply.status
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the process."""

    seconds: float  # since the watch began
    memory: float  # MB that are resident
    threads: int
    files: int  # open descriptors
    cpu: float  # seconds of processors so far
    healthz: float  # seconds until it answered; infinite where it did not, or not with 200
    load: float  # average of the machine over a minute


class Watch(threading.Thread):
    """Looks at a server twice a second while it is entered."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server, self.samples = server, list[Sample]()
        self._port = int(server.url.rpartition(":")[2])
        self._ended = threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(0.5) and self.server.is_alive:
            self.samples.append(self._look(time.monotonic() - began))

    def _look(self, seconds: float) -> Sample:
        process = Path("/proc") / str(self.server.process.pid)
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        ticks = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
        began = time.monotonic()
        try:
            answered = ask(self._port, "/healthz") == 200
        except OSError:
            answered = False
        return Sample(
            seconds,
            int(status["VmRSS"].split()[0]) / 1024,
            int(status["Threads"]),
            len(os.listdir(process / "fd")),
            sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
            time.monotonic() - began if answered else float("inf"),
            os.getloadavg()[0],
        )

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()
