"""A server here that speaks the device API of ZeroGPU as `spaces` 0.51 uses it: one GPU, which is lent to one call
after the other."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PING = 0.1  # seconds between two signs of life while a call waits


@dataclass
class Service:
    """`asked` are the calls of the API, as (name, parameters)."""

    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    quota: dict[str, Any] | None = None  # what is left, where that does not suffice
    status: int = 200  # of the answer to /schedule
    is_full: bool = False  # whoever waits is sent away after the first sign of life

    def __post_init__(self) -> None:
        self.free = threading.Semaphore(1)
        self.lent = 0  # so often
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                service._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def named(self, name: str) -> list[dict[str, str]]:
        """The parameters of all calls of this name."""
        return [parameters for called, parameters in self.asked if called == name]

    def _answer(self, http: BaseHTTPRequestHandler) -> None:
        address = urlsplit(http.path)
        name, parameters = address.path.strip("/"), dict(parse_qsl(address.query))
        self.asked.append((name, parameters))
        if name == "schedule":
            self._schedule(http)
            return
        if name == "release":
            self.free.release()
        http.send_response(200 if name in ("startup-report", "allow", "release") else 404)
        http.end_headers()

    def _schedule(self, http: BaseHTTPRequestHandler) -> None:
        if self.quota is not None:
            self._send(http, 429, self.quota)
        elif self.status != 200:
            self._send(http, self.status, {})
        elif not self.is_full and self.free.acquire(blocking=False):
            self._send(http, 200, self._lend())
        else:
            self._queue(http)

    def _lend(self) -> dict[str, Any]:
        self.lent += 1
        return {"idle": self.lent > 1, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": f"token-{self.lent}"}

    def _send(self, http: BaseHTTPRequestHandler, status: int, content: dict[str, Any]) -> None:
        http.send_response(status)
        http.send_header("Content-Type", "application/json")
        http.end_headers()
        http.wfile.write(json.dumps(content).encode())

    def _queue(self, http: BaseHTTPRequestHandler) -> None:
        http.send_response(200)
        http.send_header("Content-Type", "text/event-stream")
        http.end_headers()

        def tell(event: str) -> None:
            http.wfile.write(f"event: {event}\n\n".encode())
            http.wfile.flush()
            time.sleep(PING)  # `spaces` reads one event at a time

        tell("ping")
        while not self.is_full:
            if self.free.acquire(timeout=PING):
                tell(f"succeeded\ndata: {json.dumps(self._lend())}")
                return
            tell("ping")
        tell("failed")
