"""A server of DeepSeek-VL2 elsewhere as a backend: another copy of this app, vLLM, SGLang, or several of them.

One thread with an event loop holds all connections. No weights are loaded: the processor of --model lays prompts out,
so that what a message costs is known before it is sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import fields, replace
from typing import Any

import httpx

from dsvl2_app.backend.guided import find_guide
from dsvl2_app.backend.mismatch import NOTICE, find_mismatch
from dsvl2_app.backend.servers import PASSING, Server, Servers, explain_failure, explain_status
from dsvl2_app.backend.stream import Stream
from dsvl2_app.backend.wire import Reader, split_lines, write_body
from dsvl2_app.bundled import NANO
from dsvl2_app.errors import AppError, BusyError, PromptError, SettingsError
from dsvl2_app.hub import TEXT_FILES, find_folder
from dsvl2_app.image.tiles import are_tiled
from dsvl2_app.request import Capabilities, Event, Health, ModelCard, PromptPlan, Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.grammar import OPENING
from dsvl2_app.text.grounding import ALLOWED
from dsvl2_app.text.planner import Planner
from dsvl2_app.text.processor import DeepseekVL2Processor
from dsvl2_app.text.prompt import ANSWER_TOKENS, Message, count_pictures
from dsvl2_app.text.repetition import Repetition

logger = logging.getLogger(__name__)

ATTEMPTS = 4  # to get a first token, each after a longer pause
PAUSE = 0.25  # seconds before the second; each is twice the one before
FIRST_LOOK = 6.0  # seconds that starting waits for the servers to say what they are
CONTEXT = 4096  # tokens, of all released models, unless the server says otherwise
CARD = {each.name for each in fields(ModelCard)} - {"geometry", "inspection"}


class RemoteBackend:
    def __init__(
        self,
        urls: Sequence[str],
        processor: DeepseekVL2Processor,
        key: str,
        model: str,
        patience: float,
        source: str = "",
    ) -> None:
        """`source` is where `processor` is from; for the others see `Servers`."""
        self.processor, self.source = processor, source
        self.patience = patience
        self._planner = Planner(processor)
        self._answers: set[Future[None]] = set()
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="remote", daemon=True)
        self._thread.start()
        self.servers = Servers(urls, key, model, patience, self._learn)
        first = asyncio.run_coroutine_threadsafe(self.servers.look(FIRST_LOOK), self._loop)
        first.result()
        self._watch = asyncio.run_coroutine_threadsafe(self.servers.watch(), self._loop)

    # -- the protocol -------------------------------------------------------------------------------------------

    @property
    def card(self) -> ModelCard:
        """As the server says; of one that says less, what cannot be known is left out."""
        server = self.servers.known
        context = server.model.get("max_model_len")
        facts: dict[str, Any] = {
            "name": server.name or self.servers.wanted or "openai",
            "source": server.url,
            "notice": "",
            "parameters": 0,
            "active_parameters": 0,
            "dtype": "",
            "device": "",
            "context": context if isinstance(context, int) and context else CONTEXT,
        }
        facts |= {name: value for name, value in server.card.items() if name in CARD}
        facts["notice"] = NOTICE if server.mismatch else facts["notice"]
        return ModelCard(**facts, geometry=self.processor.geometry)

    @property
    def capabilities(self) -> Capabilities:
        known = [server for server in self.servers.all if server.model]
        return Capabilities(grammar=bool(known) and all(server.keeps_boxes for server in known))

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        return self._planner.plan(messages, tiling, max_tiles, self.card.context)

    def submit(self, request: Request) -> Stream:
        if self._closed:
            raise BusyError("The model is shutting down; start the app again to ask more.")
        if request.alternatives is not None:
            raise PromptError("A model's server elsewhere does not tell how likely its tokens were.")
        if request.answer_prefix:
            raise PromptError("A model's server elsewhere does not go on from given tokens.")
        if request.grammar and not self.capabilities.grammar:
            raise PromptError("The model's server cannot keep boxes well-formed; ask without that.")
        if not self.servers.known.is_ours:
            self._refuse_special(request)
            if (request.max_tiles or 0) >= self.processor.geometry.most_tiles:
                request = replace(request, max_tiles=None)  # which limits nothing
            if request.tiling == are_tiled(sum(map(count_pictures, request.messages))):
                request = replace(request, tiling=None)  # which changes nothing
        answer = _Answer(self)
        stream = answer.stream
        stream.put(Event("queued", done=1, total=1))
        answer.future = asyncio.run_coroutine_threadsafe(answer.run(request), self._loop)
        self._answers.add(answer.future)
        answer.future.add_done_callback(self._answers.discard)
        return stream

    def inspect(self, request: Request, answer_ids: Sequence[int]) -> Stream:
        raise PromptError("A model's server elsewhere cannot be looked into; run the model in this process for that.")

    def health(self) -> Health:
        return Health(any(server.is_up for server in self.servers.all), running=len(self._answers))

    def close(self) -> None:
        self._closed = True
        for future in [*self._answers, self._watch]:
            future.cancel()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(FIRST_LOOK)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _refuse_special(self, request: Request) -> None:
        """Other servers would read such words as the template's own. Raises PromptError."""
        special = set(self.processor.tokenizer.get_added_vocab())
        for message in request.messages:
            allowed = ANSWER_TOKENS if message["role"] == "assistant" else request.allow
            content = message["content"]
            parts = [{"text": content}] if isinstance(content, str) else content
            for token in special - allowed:
                if any(token in part.get("text", "") for part in parts):
                    raise PromptError(
                        "The message holds {token}, which the model's server would take for a mark of its own; "
                        "write it differently.",
                        token=token,
                    )

    # -- in the loop --------------------------------------------------------------------------------------------

    async def _learn(self, server: Server) -> None:
        server.mismatch = find_mismatch(server, self.processor.geometry, self.source)
        if server.mismatch:
            logger.warning("%s does not have the checkpoint that --model names: %s", server.url, server.mismatch)
        if not server.is_ours:
            opening = self.processor.tokenizer.convert_tokens_to_ids(OPENING)
            server.guide = await find_guide(self.servers.client, server, opening)

    def compare(self, request: Request, server: Server, counted: int) -> None:
        """Say once where a server's first prompts, one without pictures and one with them, had other tokens than our
        own processor makes of them."""
        kind = any(map(count_pictures, request.messages))
        if not counted or kind in server.compared:
            return
        server.compared.add(kind)
        allow = ALLOWED if server.is_ours else request.allow
        prompt = self._planner.build(replace(request, allow=allow))
        if counted != len(prompt.input_ids):
            logger.warning(
                "%s counts %d tokens in a prompt that has %d by --model; name the checkpoint that it serves",
                server.url,
                counted,
                len(prompt.input_ids),
            )

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        await self.servers.client.aclose()


class _Answer:
    """One answer on its way from a server to its stream."""

    def __init__(self, backend: RemoteBackend) -> None:
        self.backend = backend
        self.stream = Stream(self._cancel)
        self.future: Future[None] | None = None
        self.reader = Reader(backend.servers.known)

    def _cancel(self) -> None:
        """In the thread of whoever cancels. The reader is told at once, the server as soon as its connection closes."""
        self.stream.put(self.reader.end("cancelled"))
        self.stream.end()
        if self.future is not None:
            self.future.cancel()

    async def run(self, request: Request) -> None:
        try:
            await self._ask_in_turn(request)
        except asyncio.CancelledError:
            self.stream.put(self.reader.end("cancelled"))
            self.stream.end()
            raise
        except Exception as error:
            if not isinstance(error, AppError):
                logger.exception("a request failed")
            self.stream.end(error)

    async def _ask_in_turn(self, request: Request) -> None:
        """One server after another, the same one again where there is no other, until there is a first token."""
        servers, failed = self.backend.servers, list[Server]()
        for attempt in range(1, ATTEMPTS + 1):
            server = servers.choose(failed)
            server.busy += 1
            try:
                failure = await self._ask(request, server)
            finally:
                server.busy -= 1
            if failure is None:
                return
            server.is_up = False
            failed = [*failed, server] if len(failed) + 1 < len(servers.all) else []
            if attempt == ATTEMPTS:
                raise failure
            await asyncio.sleep(PAUSE * 2 ** (attempt - 1))

    async def _ask(self, request: Request, server: Server) -> AppError | None:
        """What went wrong where it may be tried again; whatever else goes wrong is raised."""
        backend, self.reader = self.backend, Reader(server)
        if not server.model:  # it was down when it was last looked at
            await backend.servers.check(server)
        model = server.name or backend.servers.wanted
        kind, body = await asyncio.to_thread(write_body, request, server, model)
        try:
            async with backend.servers.client.stream(
                "POST", f"{server.url}/chat/completions", content=body, headers={"Content-Type": kind}
            ) as response:
                if response.is_error or response.is_redirect:
                    failure = explain_status(response.status_code, await response.aread(), server, model)
                    if response.status_code in PASSING:
                        return failure
                    raise failure
                await self._read(response, request.sampling)
            await asyncio.to_thread(backend.compare, request, server, self.reader.timings.prompt_tokens)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = explain_failure(error, server, backend.patience, self.reader.begun)
            if self.reader.begun or isinstance(error, httpx.ReadTimeout):
                server.is_up = False
                raise failure from error
            return failure
        return None

    async def _read(self, response: httpx.Response, sampling: Sampling) -> None:
        """A repetition is looked for here, which every server can be left at."""
        repetition = Repetition() if sampling.stop_repetition else None
        async for line in split_lines(response.aiter_bytes()):
            if (event := self.reader.read(line)) is not None:
                self.stream.put(event)
                if repetition:
                    repetition.push(event.text)
                    if repetition.found and self.reader.timings.new_tokens >= sampling.min_new_tokens:
                        self.reader.finish = "repetition"
                        break
        if self.reader.finish is None:  # the server died between two chunks
            raise httpx.RemoteProtocolError("the answer has no end")
        self.stream.put(self.reader.end())
        self.stream.end()


def load(settings: Settings) -> RemoteBackend:
    """Raises SettingsError where no server or no key is named, and CheckpointError where --model has no processor."""
    if not settings.api_base:
        raise SettingsError(
            "--backend openai needs --api-base, the address of a server such as http://localhost:8000/v1."
        )
    if settings.load_format != "auto":
        raise SettingsError("--backend openai loads no weights; leave --load-format out.")
    key = ""
    if settings.api_key_env:
        key = os.environ.get(settings.api_key_env, "")
        if not key:
            raise SettingsError(
                "--api-key-env names {name}, which is not set; put the key into it.", name=settings.api_key_env
            )
    source = NANO if settings.model == "nano" else find_folder(settings.checkpoint, TEXT_FILES)
    processor = DeepseekVL2Processor.from_pretrained(source)
    return RemoteBackend(
        settings.api_base, processor, key, settings.remote_model, float(settings.api_timeout), str(settings.checkpoint)
    )
