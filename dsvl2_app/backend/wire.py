"""A request -> the body that a server of the protocol gets; what it streams -> events."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from typing import Any

from dsvl2_app.backend.guided import READABLE
from dsvl2_app.backend.packing import NAME, pack
from dsvl2_app.backend.servers import Server, pass_on
from dsvl2_app.errors import BusyError, PromptError, ServerError
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.source import refer_to
from dsvl2_app.image.tiles import are_tiled
from dsvl2_app.request import Event, Finish, Request, Timings

FINISHES: dict[str, Finish] = {"stop": "eos", "length": "length", "repetition": "repetition"}
TIMINGS = {each.name for each in fields(Timings)}
PROGRESS = ("queued", "vision", "prefill")
COMPRESSION = 1  # of PNG: a higher one takes longer than it saves


def write_body(request: Request, server: Server, model: str) -> tuple[str, bytes]:
    """Content type and body. Takes long where pictures are large. Raises PromptError for what `server` cannot do."""
    sampling = request.sampling
    files: list[bytes] | None = [] if server.takes_files else None
    body: dict[str, Any] = {
        "model": model,
        "messages": [write_message(message, server, files) for message in request.messages],
        "stream": True,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_new_tokens,
        "stream_options": {"include_usage": True},
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.repetition_penalty != 1:
        body["repetition_penalty"] = sampling.repetition_penalty
    if sampling.min_new_tokens:
        body["min_tokens"] = sampling.min_new_tokens
    if server.owner == "vllm":
        _tell_apart(body["messages"])
    body |= _ask_ours(request) if server.is_ours else _ask_others(request, server)
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    return pack(text, files) if files else ("application/json", text)


def write_message(message: dict[str, Any], server: Server, files: list[bytes] | None = None) -> dict[str, Any]:
    content = message["content"]
    if not isinstance(content, str):
        content = [write_part(part, server, files) for part in content]
    return {"role": message["role"], "content": content}


def write_part(part: dict[str, Any], server: Server, files: list[bytes] | None) -> dict[str, Any]:
    """A picture goes to `files`, or into its address where there are none."""
    if part["type"] == "text":
        return part
    image = refer_to(part["image"])
    if files is None:
        uuid = {"uuid": image.content_hash.hex()} if server.owner == "vllm" else {}
        return {"type": "image_url", "image_url": {"url": write_picture(image, server)}, **uuid}
    files.append(write_file(image, server)[1])
    return {"type": "image_url", "image_url": {"url": f"{NAME}{len(files) - 1}"}}


def _tell_apart(messages: list[dict[str, Any]]) -> None:
    """vLLM 0.32 keeps what its encoder made of a picture under the picture's hash, though it is another thing where a
    conversation has so many that none is tiled; without names of their own such an answer fails."""
    pictures = [part for each in messages if isinstance(each["content"], list) for part in each["content"]]
    pictures = [part for part in pictures if "uuid" in part]
    if not are_tiled(len(pictures)):
        for part in pictures:
            part["uuid"] += "-whole"


def write_picture(image: ImageRef, server: Server) -> str:
    """A data URL of what `write_file` gives."""
    kind, data = write_file(image, server)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def write_file(image: ImageRef, server: Server) -> tuple[str, bytes]:
    """Kind and bytes of the very pixels that this process would have shown the model: of the file as it is for a server
    that reads it alike, or else packed unless the server is near."""
    if server.is_ours and not image.frame and (data := image.read()):
        return "*", data
    file, kind = io.BytesIO(), "bmp" if server.is_near else "png"
    image.open().save(file, kind, **({} if server.is_near else {"compress_level": COMPRESSION}))
    return kind, file.getvalue()


def _ask_ours(request: Request) -> dict[str, Any]:
    options = {"tiling": request.tiling, "max_tiles": request.max_tiles, "user": request.owner or None}
    options["grammar"] = "boxes" if request.grammar else None
    given = {name: value for name, value in options.items() if value is not None}
    return {**given, "stream_options": {"include_usage": True, "include_progress": True}}


def _ask_others(request: Request, server: Server) -> dict[str, Any]:
    """vLLM and SGLang lay pictures out by the official rule."""
    if request.tiling is not None or request.max_tiles is not None:
        raise PromptError(
            "The model's server cuts pictures into tiles by the official rule alone; choose Automatic, and as many "
            "tiles as there can be."
        )
    if request.grammar and not server.keeps_boxes:
        raise PromptError("The model's server cannot keep boxes well-formed; ask without that.")
    return {
        **READABLE,
        **(server.guide if request.grammar else {}),
        "top_p": max(request.sampling.top_p, 1e-6),  # they take none of 0
    }


async def split_lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """A stream of events -> its lines, which end with a line feed or with both of its characters. httpx's own lines end
    at all that Unicode calls a line's end (U+2028, U+0085), which stands within the JSON of an event."""
    rest = b""
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace").rstrip("\r")
    if rest:
        yield rest.decode("utf-8", "replace")


class Reader:
    """The chunks of one answer -> its events."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.timings = Timings()
        self.finish: Finish | None = None
        self.begun = False  # some of the answer has come
        self._started = time.perf_counter()

    def read(self, line: str) -> Event | None:
        """Of a line of the stream; None where it says nothing new. Raises AppError where it says what went wrong."""
        if not line.startswith("data:") or (data := line[5:].strip()) == "[DONE]":
            return None
        try:
            chunk = json.loads(data)
        except ValueError:
            raise ServerError(
                "The model's server {address} answers what is not of the OpenAI protocol; check --api-base.",
                address=self.server.url,
            ) from None
        if error := chunk.get("error"):
            kind = {"rate_limit_error": BusyError, "invalid_request_error": PromptError}.get(error.get("type"))
            raise pass_on(kind or ServerError, str(error.get("message", "")), self.server)
        text = ""
        for choice in chunk.get("choices", ()):
            text += choice.get("delta", {}).get("content") or ""
            if reason := choice.get("finish_reason"):
                self.finish = FINISHES.get(reason, "eos")
        progress = chunk.get("dsvl2")
        self._keep_time(text, progress, chunk.get("usage"))
        self.begun = self.begun or bool(text)
        if progress and progress["stage"] in PROGRESS and not text:
            return Event(progress["stage"], done=progress["done"], total=progress["total"], timings=self.timings)
        return Event("decode", text, timings=self.timings) if text else None

    def end(self, finish: Finish | None = None) -> Event:
        return Event("done", finish=finish or self.finish or "eos", timings=self.timings)

    def _keep_time(self, text: str, progress: dict[str, Any] | None, usage: dict[str, Any] | None) -> None:
        """Another copy of this app says what it did; of other servers only what can be seen from here is known."""
        if progress:
            told = progress["timings"]
            self.timings = Timings(**{name: told[name] for name in TIMINGS & told.keys()})
            return
        if self.server.is_ours:
            return
        seconds = time.perf_counter() - self._started
        if text and not self.begun:
            self.timings = replace(self.timings, waited=seconds)
        if text:
            count = self.timings.new_tokens + 1  # until the server counts
            self.timings = replace(self.timings, new_tokens=count, decode=seconds - self.timings.waited)
        if usage:
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
            self.timings = replace(
                self.timings,
                waited=self.timings.waited or seconds,  # of an answer without a word
                prompt_tokens=usage.get("prompt_tokens", 0),
                new_tokens=usage.get("completion_tokens", self.timings.new_tokens),
                reused_tokens=cached,
            )
