"""A server of the OpenAI protocol that says what a test wants said."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dsvl2_app.backend.packing import unpack

USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}


def chunk(text: str = "", finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


WHOLE = (chunk("one "), chunk("two"), chunk(finish="stop"), USAGE, "[DONE]")


class Fake:
    """At `port`, or any. What it says, and to whom, may change while it runs."""

    def __init__(self, port: int = 0) -> None:
        self.owner, self.says, self.status, self.reason = "vllm", list[Any](WHOLE), 200, ""
        self.model: dict[str, Any] = {}  # what it says of its model besides
        self.bodies: list[dict[str, Any]] = []
        self.looks = 0
        self.refuses_patterns = False
        self.heeds: dict[str, Any] = {}  # the parameter by which it decodes by a pattern
        self.asked_for_patterns: list[dict[str, Any]] = []
        self.files: list[bytes] = []
        self.keys: list[str | None] = []
        self.go_on = threading.Event()  # awaited where it is told to "wait"
        self.left = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                fake.looks += 1
                model = {"id": "org/vl2", "owned_by": fake.owner, "max_model_len": 2048, **fake.model}
                self.answer(json.dumps({"data": [model]}).encode())

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                text, files = unpack(self.headers["Content-Type"], data)
                fake.files += files
                body = json.loads(text)
                if "logit_bias" in body:
                    self.show_whether_it_heeds(body)
                    return
                fake.keys.append(self.headers["Authorization"])
                fake.bodies.append(body)
                if fake.status != 200:
                    self.answer(json.dumps({"error": {"message": fake.reason}}).encode(), fake.status)
                    return
                self.send_response(200)
                self.end_headers()
                for said in fake.says:
                    if said == "wait":
                        fake.go_on.wait(20)
                    elif said == "die":
                        self.connection.shutdown(socket.SHUT_RDWR)
                        return
                    else:
                        text = said if isinstance(said, str) else json.dumps(said)
                        self.write(f"data: {text}\n\n".encode())

            def show_whether_it_heeds(self, body: dict[str, Any]) -> None:
                fake.asked_for_patterns.append(body)
                heeds = bool(fake.heeds) and fake.heeds.items() <= body.items()
                message = {"content": "<|det|>[[1" if heeds else "<|det|><|det|><|det|>"}
                answer = {"choices": [{"message": message}]}
                self.answer(json.dumps(answer).encode(), 400 if fake.refuses_patterns else 200)

            def write(self, data: bytes) -> None:
                try:
                    self.wfile.write(data)
                    self.wfile.flush()
                except OSError:
                    fake.left.set()

            def answer(self, body: bytes, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()
