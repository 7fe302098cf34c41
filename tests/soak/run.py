"""A server, its visitors, and what came of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.soak.chats import CANARY, Chat, Page, Row
from tests.soak.report import report
from tests.soak.server import Watch, serving
from tests.waiting import run_loop


def soak(
    program: str,
    chats: int,
    seconds: float,
    folder: Path,
    pause: float = 0.5,
    patience: float = 60,
    flags: Sequence[str] = (),
    least: int = 0,
) -> dict[str, Any]:
    """`chats` visitors for so many `seconds`, each of whom makes `least` requests at any rate (see `Chat`)."""
    with serving(program, folder, flags) as server:
        with Watch(server) as watch:
            visitors = visit(server.url, chats, seconds, program == "echo", pause, patience, least)
            rows = run_loop(visitors, seconds + 2 * patience)  # each ends by then
        alive = server.is_alive
        status = server.stop() if alive else server.process.returncode
        log = server.log.read_text(errors="replace")
    told: dict[str, Any] = {"program": program, "chats": chats, "seconds": seconds}
    told |= report(rows, watch.samples)
    return told | {
        "lived": alive,
        "exit status": status,
        "tracebacks": log.count("Traceback (most recent call last)"),
        "canaries in the log": len(CANARY.findall(log)),
    }


async def visit(
    url: str, chats: int, seconds: float, echoes: bool, pause: float, patience: float, least: int
) -> list[Row]:
    page = await Page.read(url)
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        page.events["v1"] = {"model": (await http.get("/v1/models")).json()["data"][0]["id"]}
    until = time.monotonic() + seconds
    visitors = [Chat(number, url, page, until, echoes, pause, patience, least) for number in range(chats)]
    await asyncio.gather(*(visitor.run() for visitor in visitors))
    return [row for visitor in visitors for row in visitor.rows]
