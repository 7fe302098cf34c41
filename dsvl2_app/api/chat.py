"""POST /v1/chat/completions: a request of the protocol -> requests to the backend -> their answers, whole or streamed.

A client that leaves cancels what it asked for.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import to_thread
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from fastapi import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from dsvl2_app.api.answers import Completion
from dsvl2_app.api.failures import ProtocolError, describe
from dsvl2_app.api.pictures import Reader
from dsvl2_app.api.protocol import Question, read_question
from dsvl2_app.backend import Backend, Stream
from dsvl2_app.backend.packing import unpack
from dsvl2_app.request import Caller, Event, Request
from dsvl2_app.text.grounding import ALLOWED

MOST_BYTES = 100_000_000  # of a body: about 75 MB of pictures
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # a proxy hands every chunk on at once

Batch = tuple[int, list[Event]]  # the number of an answer, and what came of it


class Chat:
    def __init__(self, backend: Backend, reader: Reader) -> None:
        self.backend = backend
        self.reader = reader

    async def complete(self, http: HttpRequest, caller: Caller) -> Response:
        """Raises AppError for what is refused before the first word; whatever is refused later ends the stream."""
        text, files = split_body(http, await read_body(http))
        question = await to_thread(read_question, text)
        check_model(question.model, self.backend)
        wanted = await to_thread(self.compose, question, caller, files)
        completion = Completion(question, question.model)
        with ExitStack() as stack:
            streams = [stack.enter_context(self.backend.submit(each)) for each in wanted]
            batches = merge(streams)
            if not question.stream:
                async with cancelled_by_leaving(http, streams):
                    return JSONResponse(await collect(completion, streams, batches))
            opening = list[Batch]()
            if not question.options.include_progress:  # else the answer begins with its place in the queue
                async with cancelled_by_leaving(http, streams):
                    opening = [await skip_queue(batches)]
            return EventStream(stream_out(completion, streams, opening, batches), stack.pop_all())

    def compose(self, question: Question, caller: Caller, files: Sequence[bytes] = ()) -> list[Request]:
        """One request for each answer that is wanted; all of them share the pictures."""
        messages, context = self.reader.read(question.messages, files), self.backend.card.context
        return [
            Request(
                messages,
                question.sample(number, context),
                allow=ALLOWED,
                tiling=question.tiling,
                max_tiles=question.max_tiles,
                grammar=question.grammar == "boxes",
                owner=f"{caller.owner} {question.owner}",
                address=caller.address,
                alternatives=question.alternatives,
            )
            for number in range(question.n)
        ]


class EventStream(StreamingResponse):
    """Server-sent events that close `stack` in the end, whether or not the client waits for the first of them."""

    def __init__(self, content: AsyncIterator[str], stack: ExitStack) -> None:
        super().__init__(content, media_type="text/event-stream", headers=HEADERS)
        self.stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.stack:
            await super().__call__(scope, receive, send)


async def read_body(http: HttpRequest) -> bytes:
    """Refuses what is too large before it is read, or, where no length is told, once it is."""
    body, told = bytearray(), http.headers.get("content-length", "")
    if not told.isdigit() or int(told) <= MOST_BYTES:
        async for piece in http.stream():
            body += piece
            if len(body) > MOST_BYTES:
                break
        else:
            return bytes(body)
    raise ProtocolError(
        413, f"The request has more than {MOST_BYTES // 10**6} MB; send smaller pictures.", "request_too_large"
    )


def split_body(http: HttpRequest, body: bytes) -> tuple[bytes, list[bytes]]:
    """The JSON, and the pictures beside it that another copy of this app sends."""
    try:
        return unpack(http.headers.get("content-type", ""), body)
    except ValueError:
        raise ProtocolError(400, "The body is not as long as its content type says.", "invalid_value") from None


def check_model(name: str, backend: Backend) -> None:
    if name not in (backend.card.name, backend.card.source):
        message = f"The model {name[:100]!r} does not exist; this server has {backend.card.name!r}."
        raise ProtocolError(404, message, "model_not_found", "model")


async def merge(streams: Sequence[Stream]) -> AsyncIterator[Batch]:
    """What comes of each stream, as it comes. Raises what goes wrong with any of them."""
    if len(streams) == 1:
        async for events in streams[0].throttled(0):
            yield 0, events
        return
    queue: asyncio.Queue[Batch | Exception | None] = asyncio.Queue()

    async def pump(number: int, stream: Stream) -> None:
        try:
            async for events in stream.throttled(0):
                queue.put_nowait((number, events))
            queue.put_nowait(None)
        except Exception as error:
            queue.put_nowait(error)

    tasks = [asyncio.create_task(pump(number, stream)) for number, stream in enumerate(streams)]
    try:
        ended = 0
        while ended < len(tasks):
            item = await queue.get()
            if isinstance(item, Exception):
                raise item
            if item is not None:
                yield item
            ended += item is None
    finally:
        for task in tasks:
            task.cancel()


async def skip_queue(batches: AsyncIterator[Batch]) -> Batch:
    """The first that is more than a place in the queue."""
    async for number, events in batches:
        if events[-1].stage != "queued":
            return number, events
    raise AssertionError("an answer has a last event")


async def collect(completion: Completion, streams: Sequence[Stream], batches: AsyncIterator[Batch]) -> dict[str, Any]:
    texts = ["" for _ in streams]
    likelihoods: list[list[dict[str, Any]]] = [[] for _ in streams]
    async for number, events in read_on(completion, streams, batches):
        text, likely = completion.choices[number].read(events)
        texts[number] += text
        likelihoods[number] += likely
    return completion.whole(texts, likelihoods)


async def stream_out(
    completion: Completion, streams: Sequence[Stream], opening: Iterable[Batch], batches: AsyncIterator[Batch]
) -> AsyncIterator[str]:
    try:
        yield write(completion.begin())
        for number, events in opening:
            yield write(completion.go_on(number, events))
        async for number, events in read_on(completion, streams, batches):
            if text := write(completion.go_on(number, events)):
                yield text
        yield write(completion.end()) + "data: [DONE]\n\n"
    except Exception as error:
        yield write([describe(error)[1]])


async def read_on(
    completion: Completion, streams: Sequence[Stream], batches: AsyncIterator[Batch]
) -> AsyncIterator[Batch]:
    """What comes of the answers that have not ended; one that has met a stop string is cancelled."""
    async for number, events in batches:
        choice = completion.choices[number]
        if choice.reason is None:
            yield number, events
        if choice.stops.found:
            streams[number].cancel()


def write(objects: Iterable[dict[str, Any]]) -> str:
    """Server-sent events, a line each."""
    return "".join(f"data: {json.dumps(each, ensure_ascii=False, separators=(',', ':'))}\n\n" for each in objects)


@asynccontextmanager
async def cancelled_by_leaving(http: HttpRequest, streams: Sequence[Stream]) -> AsyncIterator[None]:
    """Within it nothing is sent, so nothing else would notice that the client is gone."""

    async def watch() -> None:
        while (await http.receive())["type"] != "http.disconnect":
            pass
        for stream in streams:
            stream.cancel()

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
