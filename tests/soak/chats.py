"""Visitors: each goes on asking until the time is up, as a browser, as a client of /chat, or as one of /v1.

Every question carries a canary, a word that nobody else has, and every picture of a chat is of a width that is its own:
whatever else comes back to it is somebody else's.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import re
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from tests.soak.files import FIRST_WIDTH, break_picture, draw_picture

API = "/gradio_api"
CANARY = re.compile(r"zq[a-z]{8}qz")
ECHOED = re.compile(r"\b(\d+)x\d+px\b")  # of a picture, by tests.soak.echo
NOTICE = re.compile(r'class="notice[^>]*>(.*?)<', re.DOTALL)
LONGEST = 5  # questions of a conversation

Outcome = Literal["answered", "refused", "left", "lost", "hung", "mixed"]
WAYS = ("page", "page", "chat", "v1")


@dataclass
class Row:
    """One request."""

    way: str
    hostile: bool = False
    outcome: Outcome = "lost"
    why: str = ""
    first: float | None = None  # seconds until the first word of the answer
    seconds: float = 0.0


class MixedError(Exception):
    """Somebody else's words or pictures came."""


class LeftError(Exception):
    """The visitor is gone."""


class RefusedError(Exception):
    """The server says in words why not."""


@dataclass(frozen=True)
class Page:
    """What a browser learns of the page: which event has which number, takes what and sets what."""

    events: dict[str, dict[str, Any]]  # the first of each name
    loads: list[dict[str, Any]]  # those that a fresh page sends
    values: dict[int, Any]  # of components as the page begins
    names: dict[int, str]  # their elem_id

    @classmethod
    async def read(cls, url: str) -> Page:
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            config = (await http.get("/config")).json()
        events: dict[str, dict[str, Any]] = {}
        for event in config["dependencies"]:
            events.setdefault(event["api_name"], event)
        asked = (event for event in config["dependencies"] if event["backend_fn"])  # others run in the browser alone
        loads = [event for event in asked if any(target[1] == "load" for target in event["targets"])]
        parts = {part["id"]: part.get("props", {}) for part in config["components"]}
        return cls(
            events,
            loads,
            {number: props.get("value") for number, props in parts.items()},
            {number: props.get("elem_id") or "" for number, props in parts.items()},
        )

    def fill(self, event: dict[str, Any], *given: Any) -> list[Any]:
        """What an event takes: what is given, then what the page begins with."""
        return [*given, *(self.values[number] for number in event["inputs"][len(given) :])]

    def pick(self, event: dict[str, Any], data: list[Any], name: str) -> Any:
        """What an event sets the component of that name to."""
        value = data[[self.names[number] for number in event["outputs"]].index(name)]
        return value.get("value") if isinstance(value, dict) and value.get("__type__") == "update" else value


@dataclass
class Chat:
    """A visitor. Of every three one closes each conversation in the middle of an answer; of every ten one sends files
    that are no pictures, every other time."""

    number: int
    url: str
    page: Page
    until: float  # time.monotonic()
    echoes: bool  # the server answers with the question
    pause: float  # most seconds between two questions
    patience: float  # seconds after which a request that has not ended counts as hung
    least: int = 0  # requests, also where these take longer
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.number)
        self.leaves, self.is_hostile = self.number % 3 == 0, self.number % 10 == 0
        fresh = httpx.Limits(max_keepalive_connections=0)  # one that was kept may be closed as the next request begins
        self.http = httpx.AsyncClient(base_url=self.url, timeout=self.patience, limits=fresh)

    async def run(self) -> None:
        async with self.http:
            while not self.is_over:
                await self.converse()

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.until and len(self.rows) >= self.least

    async def converse(self) -> None:
        way = self.chance.choice(WAYS)
        questions = self.chance.randint(1, LONGEST)
        self.canaries: set[str] = set()  # of this conversation
        self.answered: set[str] = set()
        self.history: list[dict[str, Any]] = []
        self.session = "s" + "".join(self.chance.choices("abcdefghij0123456789", k=11))
        async with AsyncExitStack() as stack:
            if way == "page" and not await self.attempt(Row("visit"), stack.enter_async_context(self.visit())):
                return
            for left in reversed(range(questions)):
                if self.is_over or not await self.ask_once(way, leaving=self.leaves and not left):
                    return
                await asyncio.sleep(self.pause * self.chance.random())
            if way == "page" and self.answered:
                await self.attempt(Row("export"), self.export())

    async def ask_once(self, way: str, leaving: bool) -> bool:
        """One request. Whether the conversation goes on."""
        hostile = self.is_hostile and self.chance.random() < 0.5
        canary = "zq" + "".join(self.chance.choices("abcdefghijklmnopqrstuvwxyz", k=8)) + "qz"
        self.canaries.add(canary)
        files = [break_picture(self.chance)] if hostile else []
        if not hostile and self.chance.random() < 0.5:
            files = [("picture.png", draw_picture(self.number, self.chance))]
        row = Row(way, hostile)
        ask = {"page": self.ask_page, "chat": self.ask_chat, "v1": self.ask_v1}[way]

        async def ask_and_check() -> None:
            answer = await ask(f"{canary}: what do you see?", files, row, leaving)
            if answer is None:
                raise LeftError
            self.answered.add(canary)
            self.check_echo(answer, canary, len(files))

        return await self.attempt(row, ask_and_check())

    async def attempt(self, row: Row, work: Awaitable[Any]) -> bool:
        """Do what is asked of the server and note how it ends. Whether the visitor is there still."""
        self.rows.append(row)
        began = time.monotonic()
        try:
            await asyncio.wait_for(work, self.patience)
            row.outcome = "answered"
        except LeftError:
            row.outcome = "left"
        except MixedError as error:
            row.outcome, row.why = "mixed", str(error)
        except RefusedError as error:
            row.outcome, row.why = "refused", str(error)
        except (asyncio.TimeoutError, httpx.TimeoutException):
            row.outcome = "hung"
        except httpx.HTTPError as error:
            row.why = repr(error)
        row.seconds = time.monotonic() - began
        return row.outcome in ("answered", "refused")

    # -- what comes back ----------------------------------------------------------------------------------------

    def look(self, text: str) -> None:
        """Raises MixedError where a word or a picture is not this conversation's."""
        if others := set(CANARY.findall(text)) - self.canaries:
            raise MixedError(f"{others} came to chat {self.number}")
        if widths := set(map(int, ECHOED.findall(text))) - {FIRST_WIDTH + self.number}:
            raise MixedError(f"pictures {widths} px wide came to chat {self.number}")

    def check_echo(self, answer: str, canary: str, pictures: int) -> None:
        self.look(answer)
        if self.echoes and (canary not in answer or len(ECHOED.findall(answer)) != pictures):
            raise MixedError(f"{canary} with {pictures} pictures was answered with {answer[:200]!r}")

    def departure(self, leaving: bool) -> int | None:
        """After how many pieces of an answer the visitor is gone."""
        return self.chance.randint(1, 8) if leaving else None

    # -- as a browser -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def visit(self) -> AsyncIterator[None]:
        """A tab that is open: the page, what it sends when it is there, and the connection that tells it is open."""
        await self.http.get("/")
        async with self.http.stream("GET", f"{API}/heartbeat/{self.session}"):
            for event in self.page.loads:
                body = {"fn_index": event["id"], "session_hash": self.session, "data": self.page.fill(event)}
                (await self.http.post(f"{API}/run/predict", json=body)).raise_for_status()
            yield

    async def ask_page(self, text: str, files: list[tuple[str, bytes]], row: Row, leaving: bool) -> str | None:
        began, page = time.monotonic(), self.page
        sent = page.events["send"]
        told = await self.call_event(sent, {"text": text, "files": await self.upload(files)})
        if refused := NOTICE.search(page.pick(sent, told or [], "chat-notice") or ""):
            await self.call_event(page.events["answer"])
            raise RefusedError(refused[1])
        answered = page.events["answer"]
        data = await self.call_event(answered, row=row, began=began, leave_after=self.departure(leaving))
        if data is None:
            return None
        if refused := NOTICE.search(page.pick(answered, data, "chat-notice") or ""):
            raise RefusedError(refused[1])
        transcript = page.pick(answered, data, "conversation")
        missing = self.answered - set(CANARY.findall(json.dumps(transcript)))
        if missing:
            raise MixedError(f"{missing} are not in the transcript of chat {self.number}")
        await self.call_event(page.events["weigh"])
        return "".join(part["text"] for part in transcript[-1]["content"] if part["type"] == "text")

    async def upload(self, files: list[tuple[str, bytes]]) -> list[dict[str, Any]]:
        if not files:
            return []
        reply = await self.http.post(f"{API}/upload", files=[("files", file) for file in files])
        if reply.status_code != 200:
            raise RefusedError(f"{reply.status_code} {reply.text[:200]}")
        named = zip(reply.json(), files, strict=True)
        return [{"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}} for path, (name, _) in named]

    async def call_event(
        self,
        event: dict[str, Any],
        *given: Any,
        row: Row | None = None,
        began: float = 0.0,
        leave_after: int | None = None,
    ) -> list[Any] | None:
        """What an event returns in the end; None where the visitor left before."""
        body = {"fn_index": event["id"], "session_hash": self.session, "data": self.page.fill(event, *given)}
        joined = await self.http.post(f"{API}/queue/join", json=body)
        if joined.status_code != 200:
            raise RefusedError(f"{joined.status_code} {joined.text[:200]}")
        pieces, result = 0, None
        async with self.http.stream("GET", f"{API}/queue/data", params={"session_hash": self.session}) as reply:
            async for line in reply.aiter_lines():
                if not line.startswith("data: "):
                    continue
                self.look(line)
                message = json.loads(line[6:])
                if message["msg"] == "process_generating" and row and 'class=\\"progress running' not in line:
                    row.first = row.first or time.monotonic() - began
                    pieces += 1
                    if leave_after and pieces >= leave_after:
                        return None
                if message["msg"] in ("unexpected_error", "process_completed") and not message["success"]:
                    raise RefusedError(str(message.get("message") or message.get("output"))[:300])
                if message["msg"] == "process_completed":
                    result = message["output"]["data"]
        if result is None:
            raise httpx.RemoteProtocolError("the stream ended before the event did")
        return result

    async def export(self) -> None:
        """The visitor takes the conversation home, which holds all of it and nothing else."""
        (file,) = await self.call_event(self.page.events["export"]) or [None]
        file = file.get("value", file)
        archive = (await self.http.get(f"{API}/file={file['path']}")).raise_for_status().content
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            text = opened.read("conversation.json").decode()
        self.look(text)
        if missing := self.answered - set(CANARY.findall(text)):
            raise MixedError(f"{missing} are not in the export of chat {self.number}")

    # -- as clients ---------------------------------------------------------------------------------------------

    async def ask_chat(self, text: str, files: list[tuple[str, bytes]], row: Row, leaving: bool) -> str | None:
        """/chat by two plain requests, with the conversation so far."""
        began, message = time.monotonic(), {"text": text, "files": await self.upload(files)}
        data = self.page.fill(self.page.events["chat"], message, self.history)
        joined = await self.http.post(f"{API}/call/chat", json={"data": data})
        if joined.status_code != 200:
            raise RefusedError(f"{joined.status_code} {joined.text[:200]}")
        event, pieces, leave_after = "", 0, self.departure(leaving)
        async with self.http.stream("GET", f"{API}/call/chat/{joined.json()['event_id']}") as reply:
            async for line in reply.aiter_lines():
                kind, _, value = line.partition(": ")
                event = value if kind == "event" else event
                if kind != "data" or event == "heartbeat":
                    continue
                self.look(value)
                if event == "error":
                    raise RefusedError(value[:300])
                row.first = row.first or time.monotonic() - began
                pieces += 1
                if event == "complete":
                    (answer,) = json.loads(value)
                    self.remember(text, answer)
                    return answer
                if leave_after and pieces >= leave_after:
                    return None
        raise httpx.RemoteProtocolError("the stream ended before the answer did")

    async def ask_v1(self, text: str, files: list[tuple[str, bytes]], row: Row, leaving: bool) -> str | None:
        """/v1/chat/completions, streamed, with the conversation so far."""
        addresses = [f"data:image/png;base64,{base64.b64encode(data).decode()}" for _, data in files]
        pictures = [{"type": "image_url", "image_url": {"url": address}} for address in addresses]
        asked = {"role": "user", "content": [{"type": "text", "text": text}, *pictures]}
        body = {
            "model": self.page.events["v1"]["model"],
            "user": self.session,
            "messages": [*self.history, asked],
            "max_tokens": 256,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        began, answer, pieces, leave_after = time.monotonic(), "", 0, self.departure(leaving)
        async with self.http.stream("POST", "/v1/chat/completions", json=body) as reply:
            if reply.status_code != 200:
                raise RefusedError(json.loads(await reply.aread())["error"]["message"])
            async for line in reply.aiter_lines():
                if not line.startswith("data: "):
                    continue
                self.look(line)
                if line == "data: [DONE]":
                    self.remember(text, answer)
                    return answer
                chunk = json.loads(line[6:])
                if "error" in chunk:
                    raise RefusedError(chunk["error"]["message"])
                if usage := chunk.get("usage"):
                    self.check_usage(usage)
                content = "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
                if content:
                    row.first = row.first or time.monotonic() - began
                    answer, pieces = answer + content, pieces + 1
                if leave_after and pieces >= leave_after:
                    return None
        raise httpx.RemoteProtocolError("the stream ended before the answer did")

    def check_usage(self, usage: dict[str, Any]) -> None:
        """The first question begins with a word that nobody else has: nothing of it can be known already."""
        if not self.history and usage["prompt_tokens_details"]["cached_tokens"]:
            raise MixedError(f"the first question of chat {self.number} was known already")

    def remember(self, question: str, answer: str) -> None:
        self.history += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
