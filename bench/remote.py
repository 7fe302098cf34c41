"""What a server in between costs: the same questions in turns, to the model in this process and to a copy of this app.

The copy runs in a process of its own on this machine, so the difference is that of the protocol: packing pictures,
HTTP, and reading events. What the model itself took, by the server's own timings, is told apart, since two processes
share this machine. Afterwards many ask the server at once.
"""

from __future__ import annotations

import io
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from bench import table
from bench.answer import PICTURE_SIZE, draw_noise
from dsvl2_app.backend import Backend, load
from dsvl2_app.errors import AppError
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.request import Request, Sampling, Timings
from dsvl2_app.settings import Settings, flag_name
from dsvl2_app.text.prompt import place_images

PHOTO_SIZE = 4000, 3000
STREAMS = 100
START = 120  # seconds until the server must be up
TARGETS = {"first_token": 0.010, "token": 0.001}  # seconds that it may add


@dataclass(frozen=True, slots=True)
class Answer:
    """Seconds: until the first token, of that without waiting, vision and prefill, and from one token to the next."""

    first_token: float
    outside: float
    token: float


def measure(settings: Settings, local: Backend, tokens: int, repeats: int) -> dict[str, Any]:
    """`repeats` questions of each kind to each of the two, in turns; the medians."""
    with serve(settings) as address, closing(load(read_remote(settings, address))) as remote:
        found = {name: compare(local, remote, draw, tokens, repeats) for name, draw in KINDS.items()}
        found["streams"] = ask_together(remote, STREAMS, tokens)
    for name, each in found.items():
        show(name, each)
    return found


def compare(
    local: Backend, remote: Backend, draw: Callable[[int], list[ImageRef]], tokens: int, repeats: int
) -> dict[str, Any]:
    asked: dict[str, list[Answer]] = {"local": [], "remote": []}
    for backend in (local, remote):  # whatever comes but once
        ask(backend, draw(repeats), tokens, "first")
    for number in range(repeats):
        pictures = draw(number)
        turns = [("local", local), ("remote", remote)]
        for name, backend in turns if number % 2 else reversed(turns):
            asked[name].append(ask(backend, pictures, tokens, str(number)))
    result: dict[str, Any] = {"repeats": repeats, "tokens": tokens}
    for name, answers in asked.items():
        result[name] = {
            "first_token": statistics.median(answer.first_token for answer in answers),
            "outside": statistics.median(answer.outside for answer in answers),
            "token": statistics.median(answer.token for answer in answers),
        }
    result["added"] = {what: result["remote"][what] - result["local"][what] for what in (*TARGETS, "outside")}
    return result


def ask(backend: Backend, pictures: Sequence[ImageRef], tokens: int, owner: str) -> Answer:
    question = f"Describe what there is, number {owner}, from the left to the right."
    content = place_images(question, pictures) if pictures else question
    sampling = Sampling(max_new_tokens=tokens, min_new_tokens=tokens)
    first, timings = None, Timings()
    began = time.perf_counter()
    with backend.submit(Request([{"role": "user", "content": content}], sampling, owner=owner)) as stream:
        for event in stream:
            timings = event.timings
            if event.stage == "decode":
                first = first or time.perf_counter() - began
    ended = time.perf_counter() - began
    first = first or ended  # of an answer without a word
    outside = first - timings.queued - timings.vision - timings.prefill
    return Answer(first, outside, (ended - first) / max(timings.new_tokens - 1, 1))


def ask_together(backend: Backend, streams: int, tokens: int) -> dict[str, Any]:
    def read(number: int) -> bool:
        try:
            ask(backend, (), tokens, f"visitor {number}")
        except AppError:
            return False
        return True

    began = time.perf_counter()
    with ThreadPoolExecutor(streams) as pool:
        answered = sum(pool.map(read, range(streams)))
    return {"streams": streams, "errors": streams - answered, "seconds": time.perf_counter() - began}


def draw_png(number: int) -> list[ImageRef]:
    return [pack(draw_noise(number, PICTURE_SIZE), "PNG")]


def draw_photo(number: int) -> list[ImageRef]:
    """As many pixels as a phone's camera has, with soft edges; about 2 MB."""
    small = draw_noise(number, (PHOTO_SIZE[0] // 8, PHOTO_SIZE[1] // 8))
    return [pack(small.resize(PHOTO_SIZE, Image.Resampling.BICUBIC), "JPEG")]


def pack(picture: Image.Image, kind: str) -> ImageRef:
    file = io.BytesIO()
    picture.save(file, kind, quality=90)
    return ImageRef.of(file.getvalue())


KINDS: dict[str, Callable[[int], list[ImageRef]]] = {"text": lambda _: [], "png": draw_png, "photo": draw_photo}


@contextmanager
def serve(settings: Settings) -> Iterator[str]:
    """Another copy of this app with the same model, ready; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = [f"--max-queue={STREAMS}", f"--port={port}"]
    for each in fields(settings):
        if each.metadata["group"] == "model" and (value := getattr(settings, each.name)) is not None:
            flags.append(f"{flag_name(each)}={value}")
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "dsvl2_app", "serve", *flags]
        env = {name: value for name, value in os.environ.items() if not name.startswith("DSVL2_")}
        server = subprocess.Popen(command, cwd=Path(__file__).parents[1], env=env, stdout=log, stderr=log)
        try:
            wait_until_ready(f"http://127.0.0.1:{port}/readyz", server)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait()


def wait_until_ready(address: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START
    while True:
        try:
            if httpx.get(address).is_success:
                return
        except httpx.HTTPError:
            pass
        if server.poll() is not None or time.monotonic() > until:
            raise AppError("The server in between does not start; run `python app.py` to see why.")
        time.sleep(0.2)


def read_remote(settings: Settings, address: str) -> Settings:
    return Settings.read(backend="openai", api_base=address, model=settings.model)


def show(name: str, found: dict[str, Any]) -> None:
    if "added" not in found:
        table.show(f"{name} at once", found["seconds"], f"{found['streams']} asked", f"{found['errors']} errors")
        return
    for what, target in TARGETS.items():
        local, remote = found["local"][what], found["remote"][what]
        more = f"{found['added'][what] * 1000:+.2f} ms (at most {target * 1000:.0f})"
        if what == "first_token":
            more += f", outside of the model {found['added']['outside'] * 1000:+.2f} ms"
        table.show(f"{name}, {what.replace('_', ' ')}", remote, f"here {local * 1000:.2f} ms", more)
