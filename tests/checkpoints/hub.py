"""A server here that speaks the hub's API as huggingface_hub uses it: commits, listings, redirects, ranges."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LARGE = 4096  # bytes from which on a file is kept as the hub keeps large ones: by SHA-256, at another address


@dataclass
class Hub:
    """`files` of one repository at one commit; `requests` are those for contents, as (file, first byte)."""

    files: dict[str, bytes]
    repo: str = "deepseek-ai/deepseek-vl2-tiny"
    commit: str = "66c54660eae7e90c9ba259bfdf92d07d6e3ce8aa"
    requests: list[tuple[str, int]] = field(default_factory=list)
    ranges: list[tuple[str, int, int]] = field(default_factory=list)  # the same, with what comes after the last byte
    breaks: dict[str, int] = field(default_factory=dict)  # file -> bytes after which its connections end
    refuses: dict[str, int] = field(default_factory=dict)  # file -> first byte from which on it is not to be had
    pauses: dict[str, int] = field(default_factory=dict)  # file -> bytes after which nothing more comes
    claims: dict[str, int] = field(default_factory=dict)  # file -> the size that the listing tells
    spoilt: set[str] = field(default_factory=set)  # files that arrive with a wrong first byte

    def __post_init__(self) -> None:
        self.paused = threading.Event()  # something has come up to where it pauses
        self.resume = threading.Event()  # and goes on once this is set
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub._answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, http: BaseHTTPRequestHandler) -> None:
        path = http.path.partition("?")[0]
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+|/tree/[^/]+)?", path):
            repo, what = found[1], (found[2] or "")
            if repo != self.repo:
                return self._refuse(http, 404, "RepoNotFound")
            if what and what.rpartition("/")[2] not in (self.commit, "main"):
                return self._refuse(http, 404, "RevisionNotFound")
            listing = [self._list(name) for name in self.files]
            body = listing if what.startswith("/tree") else {"id": repo, "sha": self.commit, "siblings": []}
            return self._send(http, json.dumps(body).encode(), {"Content-Type": "application/json"})
        if found := re.fullmatch(rf"/{self.repo}/resolve/({self.commit}|main)/(.+)", path):
            return self._resolve(http, found[2])
        if found := re.fullmatch(r"/cdn/(.+)", path):
            return self._serve(http, found[1])
        return self._refuse(http, 404, "RepoNotFound")

    def _list(self, name: str) -> dict[str, Any]:
        told = describe(name, self.files[name])
        return {**told, "size": self.claims.get(name, told["size"])}

    def _resolve(self, http: BaseHTTPRequestHandler, name: str) -> None:
        if name not in self.files:
            return self._refuse(http, 404, "EntryNotFound")
        told, content = describe(name, self.files[name]), self.files[name]
        headers = {"X-Repo-Commit": self.commit}
        if "lfs" not in told:
            return self._serve(http, name, {**headers, "ETag": f'"{told["oid"]}"'})
        headers |= {"X-Linked-Etag": f'"{told["lfs"]["oid"]}"', "X-Linked-Size": str(len(content))}
        http.send_response(302)
        for key, value in {
            **headers,
            "Location": f"{self.url.replace('127.0.0.1', 'localhost')}/cdn/{name}",
            "Content-Length": "0",
        }.items():
            http.send_header(key, value)
        http.end_headers()

    def _serve(self, http: BaseHTTPRequestHandler, name: str, headers: dict[str, str] | None = None) -> None:
        content = self.files[name]
        first = int((re.match(r"bytes=(\d+)-", http.headers.get("Range", "")) or ["", "0"])[1])
        last = re.match(r"bytes=\d+-(\d+)", http.headers.get("Range", ""))
        end = min(int(last[1]) + 1 if last else len(content), len(content))
        if first >= self.refuses.get(name, len(content) + 1):
            return self._refuse(http, 500, "Broken")
        if http.command == "GET":
            self.requests.append((name, first))
            self.ranges.append((name, first, end))
        sent = content[first:end]
        if name in self.spoilt:
            sent = bytes([sent[0] ^ 1]) + sent[1:]
        http.send_response(206 if "Range" in http.headers else 200)
        ranged = {"Content-Range": f"bytes {first}-{end - 1}/{len(content)}"} if "Range" in http.headers else {}
        for key, value in {**(headers or {}), **ranged, "Content-Length": str(len(sent))}.items():
            http.send_header(key, value)
        http.end_headers()
        if http.command == "GET":
            most = self.breaks.get(name, self.pauses.get(name, len(sent)))
            http.wfile.write(sent[:most])
            http.wfile.flush()
            if name in self.pauses:
                self.paused.set()
                self.resume.wait(60)
                http.wfile.write(sent[most:])
                most = len(sent)
            http.close_connection = most < len(sent)

    def _refuse(self, http: BaseHTTPRequestHandler, status: int, code: str) -> None:
        self._send(http, b"{}", {"X-Error-Code": code, "X-Error-Message": code}, status)

    def _send(self, http: BaseHTTPRequestHandler, body: bytes, headers: dict[str, str], status: int = 200) -> None:
        http.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            http.send_header(key, value)
        http.end_headers()
        if http.command == "GET":
            http.wfile.write(body)


def describe(name: str, content: bytes) -> dict[str, Any]:
    """A file of a listing."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    told: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": blob}
    if len(content) >= LARGE:
        told["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return told
