"""The app in front of a backend that answers with the question and the sizes of its pictures.

`python -m tests.soak.echo FLAGS`, with the flags of app.py. What nano answers shows nobody's words; this does.
"""

from __future__ import annotations

import sys
from typing import Any

from dsvl2_app.backend import Stream, scripted
from dsvl2_app.backend.scripted import ScriptedBackend
from dsvl2_app.request import Request


class EchoBackend(ScriptedBackend):
    def submit(self, request: Request) -> Stream:
        content = request.messages[-1]["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        return ScriptedBackend(" ".join(map(describe, parts))).submit(request)


def describe(part: dict[str, Any]) -> str:
    return part["text"] if part["type"] == "text" else "{}x{}px".format(*part["image"].size)


def main() -> int:
    import app

    scripted.load = lambda settings: EchoBackend()
    return app.main(["--backend", "scripted", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
