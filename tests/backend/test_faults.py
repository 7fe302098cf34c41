"""Faults at every stage of an answer, while others are answered: only the one that meets the fault is concerned."""

from __future__ import annotations

import errno
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dsvl2_app.backend.local import LocalBackend
from dsvl2_app.backend.stream import Stream
from dsvl2_app.engine import pictures
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.engine.prefixes import PrefixCache
from dsvl2_app.engine.sequence import Writer
from dsvl2_app.errors import EngineDeadError, ResourceError, SettingsError, explain
from dsvl2_app.image.load import Limits
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.model.cache import KVCache
from dsvl2_app.request import Request, Sampling
from dsvl2_app.runtime.eager import EagerRunner
from dsvl2_app.settings import Settings
from dsvl2_app.text import image_processor
from dsvl2_app.ui.tabs.chat.conversation import Conversation, Turn
from dsvl2_app.ui.tabs.chat.transfer import Transfer

KINDS: dict[str, Callable[[], Exception]] = {
    "bug": lambda: RuntimeError("injected"),
    "memory": MemoryError,
    "GPU memory": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "CPU memory": lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    "disk": lambda: OSError(errno.ENOSPC, "No space left on device"),
    "assertion": AssertionError,
    "recursion": RecursionError,
    "end": lambda: ValueError("injected"),
}
TOLD = {"memory": ResourceError, "GPU memory": ResourceError, "CPU memory": ResourceError, "disk": ResourceError}
NAN = "nan"
LAST_THERE = 20  # tokens of who is answered all along


class Fault:
    """Something that happens to a function from its `skip`th call on, `count` times, where `concerns` says so."""

    def __init__(self, kind: str, skip: int = 0, count: int = 1) -> None:
        self.kind, self.skip, self.count, self.happened = kind, skip, count, 0
        self._lock = threading.Lock()

    def is_due(self) -> bool:
        with self._lock:
            self.skip -= 1
            due = self.skip < 0 and self.happened < self.count
            self.happened += due
            return due

    @contextmanager
    def put_into(self, owner: Any, name: str, concerns: Callable[..., bool]) -> Iterator[None]:
        original = getattr(owner, name)

        def replacement(*args: Any, **options: Any) -> Any:
            due = concerns(*args, **options) and self.is_due()
            if due and self.kind != NAN:
                raise KINDS[self.kind]()
            result = original(*args, **options)
            return torch.full_like(result, float("nan")) if due else result

        patch = pytest.MonkeyPatch()
        patch.setattr(owner, name, replacement)
        try:
            yield
        finally:
            patch.undo()


def always(*_: Any, **__: Any) -> bool:
    return True


def of_victim(writer: Writer, *_: Any) -> bool:
    return writer._sequence.request.owner == "victim"


def named_victim(prefixes: PrefixCache, owner: str, *_: Any) -> bool:
    return owner == "victim"


# Where: what of it, whose calls, after how many calls, and whether an answer comes in spite of it.
STAGES: dict[str, tuple[Any, str, Callable[..., bool], tuple[int, ...], bool]] = {
    "picture": (ImageRef, "open", always, (0,), False),
    "prepare": (Engine, "prepare", always, (0,), False),
    "tiling": (image_processor, "lay_out_all", always, (0,), False),
    "cutting": (pictures, "cut_tiles", always, (0,), False),
    "vision": (EagerRunner, "encode", always, (0,), False),
    "embeds": (pictures.Pictures, "embed", always, (0,), False),
    "prefill": (EagerRunner, "prefill", always, (0,), False),
    "step": (EagerRunner, "decode", always, (0, 1, 5), True),
    "layers of a step": (KVCache, "update", lambda cache, first, *_: first.shape[2] == 1, (1, 8), True),
    "sampling": (Writer, "pick", of_victim, (0, 1, 4), False),
    "streaming": (Writer, "write", of_victim, (0, 1, 4), False),
    "finding a cache": (PrefixCache, "fork", named_victim, (0,), False),
    "keeping a cache": (PrefixCache, "store", named_victim, (0,), True),
}
# Every kind at each stage, and a bug at each of its later calls.
CASES = [
    (stage, kind, skip)
    for stage, (_, _, _, skips, _) in STAGES.items()
    for kind in (*KINDS, *([NAN] if stage in ("vision", "prefill") else []))
    for skip in (skips if kind == "bug" else skips[:1])
]


@pytest.fixture(scope="module")
def engine(reference_folder: Path) -> Engine:
    return load_engine(Settings(model=str(reference_folder / "tiny" / "checkpoint"), device="cpu", compile="off"))


@pytest.fixture
def backend(engine: Engine) -> Iterator[LocalBackend]:
    engine.forget()
    backend = LocalBackend(engine)
    yield backend
    backend.close()


def bystand() -> Request:
    length = Sampling(max_new_tokens=LAST_THERE, min_new_tokens=LAST_THERE)  # however it rounds
    return Request([{"role": "user", "content": "Count."}], length, owner="bystander")


def look(owner: str = "victim") -> Request:
    """At a picture."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    parts = [{"type": "image", "image": ImageRef.of(Image.fromarray(noise))}, {"type": "text", "text": "What is it?"}]
    return Request([{"role": "user", "content": parts}], Sampling(max_new_tokens=8), owner=owner)


def read(stream: Stream) -> tuple[str, Exception | None]:
    words = ""
    try:
        for event in stream:
            words += event.text
    except Exception as error:
        return words, error
    return words, None


def begin(backend: LocalBackend) -> tuple[Stream, str]:
    """Who is answered all along, and has its first token."""
    stream = backend.submit(bystand())
    first = next(event for event in stream if event.stage == "decode")
    return stream, first.text


def meet(backend: LocalBackend, stage: str, kind: str, skip: int, alone: str, expected: str) -> list[str]:
    """One fault; what is not as it should be. `alone` and `expected` are what bystander and victim are told where
    nothing goes wrong."""
    owner, name, concerns, _, survives = STAGES[stage]
    backend._engine.forget()
    stream, first = begin(backend)
    fault = Fault(kind, skip)
    with fault.put_into(owner, name, concerns):
        words, error = read(backend.submit(look()))
    rest, lost = read(stream)
    wrong = []
    if not fault.happened:
        wrong.append("nothing happened")
    if survives and (error is not None or words != expected):
        wrong.append(f"{error!r} after {words!r}")
    if not survives and type(error) is not TOLD.get(kind, type(KINDS[kind]()) if kind in KINDS else SettingsError):
        wrong.append(f"told {error!r}")
    if lost is not None or first + rest != alone:
        wrong.append(f"the bystander lost {lost!r}")
    if read(backend.submit(look())) != (expected, None):
        wrong.append("the next one fails")
    return wrong


def check(backend: LocalBackend, cases: list[tuple[str, str, int]]) -> None:
    alone, expected = (read(backend.submit(request))[0] for request in (bystand(), look()))
    assert alone and expected
    wrong = [(case, said) for case in cases if (said := meet(backend, *case, alone, expected))]
    assert wrong == []
    assert backend.health().alive and backend.health().running == 0


def test_a_fault_of_each_stage_concerns_one_request(backend: LocalBackend) -> None:
    check(backend, [next(case for case in CASES if case[0] == stage) for stage in STAGES])


@pytest.mark.slow
def test_every_fault_concerns_one_request(backend: LocalBackend) -> None:
    assert len(CASES) > 100
    check(backend, CASES)


def test_who_cannot_be_computed_fails_and_the_others_go_on(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step that the victim is in fails, not one alone."""
    alone = read(backend.submit(bystand()))[0]
    decode, engine = backend._engine.runner.decode, backend._engine
    engine.forget()
    victim: list[KVCache] = []
    fork = engine.prefixes.fork

    def note(owner: str, *given: Any) -> KVCache:
        cache = fork(owner, *given)
        victim.extend([cache] if owner == "victim" else [])
        return cache

    def fail(ids: Any, caches: Any) -> torch.Tensor:
        if any(cache in victim for cache in caches):
            raise RuntimeError("injected")
        return decode(ids, caches)

    monkeypatch.setattr(engine.prefixes, "fork", note)
    monkeypatch.setattr(engine.runner, "decode", fail)
    stream, first = begin(backend)
    words, error = read(backend.submit(look()))
    rest, lost = read(stream)
    assert victim and isinstance(error, RuntimeError) and words  # its first token needs no step
    assert (first + rest, lost) == (alone, None)


@pytest.mark.parametrize("reads_late", [False, True])
def test_numbers_that_are_none_do_not_stay(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch, reads_late: bool
) -> None:
    """What was kept of an earlier turn has become no number: one request fails of it, and the next is answered."""
    engine = backend._engine
    monkeypatch.setattr(engine.runner, "samples_ahead", reads_late)
    expected = read(backend.submit(look()))
    (known,) = [engine.prefixes._recent.get(key) for key in engine.prefixes._recent]
    assert known is not None
    with torch.inference_mode():
        known.pairs[0][1].fill_(float("nan"))
    stream, first = begin(backend)
    _, error = read(backend.submit(look()))
    assert isinstance(error, SettingsError) and "what is no number" in str(error)
    assert engine.pictures.kept.nbytes == 0
    assert read(backend.submit(look())) == expected
    rest, lost = read(stream)
    assert first + rest and lost is None


@pytest.mark.parametrize("reads_late", [False, True])
def test_numbers_that_are_none_in_a_later_step_are_noticed(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch, reads_late: bool
) -> None:
    monkeypatch.setattr(backend._engine.runner, "samples_ahead", reads_late)
    with Fault(NAN, skip=3, count=10**9).put_into(backend._engine.runner, "decode", always):
        _, error = read(backend.submit(bystand()))
    assert isinstance(error, SettingsError) and "what is no number" in str(error)
    assert read(backend.submit(bystand()))[1] is None


def test_a_device_that_is_lost_ends_the_engine(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever would be asked next would fail, so that the app is not ready any more."""

    def fail(*_: Any) -> torch.Tensor:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    stream, _ = begin(backend)
    monkeypatch.setattr(backend._engine.runner, "decode", fail)
    assert isinstance(read(stream)[1], EngineDeadError)
    health = backend.health()
    assert not health.alive and not health.accepting


@pytest.mark.parametrize("kind", ["disk", "memory"])
@pytest.mark.parametrize("name", ["export", "write_markdown"])
def test_an_export_that_fails_is_one_sentence_and_leaves_nothing(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: LocalBackend
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    conversation = Conversation([Turn("Well?", (), "Yes.", finish="eos")])
    export = getattr(Transfer(Limits(), None), name)  # type: ignore[arg-type]
    alone = read(backend.submit(bystand()))[0]
    stream, first = begin(backend)
    faults = Fault(kind, count=2)
    with (
        faults.put_into(zipfile.ZipFile, "writestr", always),
        faults.put_into(Path, "write_text", always),
        pytest.raises((OSError, MemoryError)) as caught,
    ):
        export(conversation)
    assert ("disk is full" if kind == "disk" else "too little memory") in str(explain(caught.value))  # as the page does
    assert faults.happened == 1 and not any(tmp_path.iterdir())
    assert Path(export(conversation)).stat().st_size
    assert first + read(stream)[0] == alone
