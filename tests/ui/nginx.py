"""A real nginx with docs/nginx.conf, in front of an app that is served here."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CONFIGURATION = Path(__file__).parents[2] / "docs" / "nginx.conf"
UPSTREAM = "http://127.0.0.1:7860/"  # as the file has it
SERVER = """
daemon off;
{user}
pid nginx.pid;
error_log error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        include demo.conf;
    }}
}}
"""


@contextmanager
def nginx_before(port: int, folder: Path, upstream: str = UPSTREAM) -> Iterator[str]:
    """The address below which nginx shows the app at `port`; `upstream` takes the place of the file's. Skips where
    there is no nginx."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("no nginx; `make browser` installs it on Debian")
    text = CONFIGURATION.read_text(encoding="utf-8")
    assert text.count(UPSTREAM) == 1
    (folder / "demo.conf").write_text(text.replace(UPSTREAM, upstream.replace("7860", str(port))))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = free.getsockname()[1]
    user = "user root;" if os.name == "posix" and os.geteuid() == 0 else ""  # who can read the test's folder
    (folder / "nginx.conf").write_text(SERVER.format(port=own, user=user))
    with subprocess.Popen([program, "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]) as server:
        try:
            wait_for(own)
            yield f"http://127.0.0.1:{own}/demo/"
        finally:
            server.terminate()


def wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"nothing listens at {port}")
