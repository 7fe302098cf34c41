"""What every test may use: the reference cases and their models, the device that GPU kernels run on, and a browser for
the page tests. How a run is spread over processes, and what it says of tests that did not run, is in `plan`."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Error as PlaywrightError

os.environ.setdefault("OMP_NUM_THREADS", "1")  # models this small are slower on more; torch reads it when imported
os.environ.setdefault("DSVL2_COMPILE", "off")  # of programs that tests start
if threading.current_thread() is threading.main_thread():  # in the background of a shell they would not see Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

import torch

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor
    from transformers import BatchFeature

    from dsvl2_app import DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor
    from dsvl2_app.runtime.cpu.library import Library

pytest_plugins = ["pytester", "tests.plan"]

USE_GPU = {"device", "nano", "nano_backend", "trained", "backend"}  # fixtures
# Where kernels for a GPU run: on one, or in Triton's interpreter, slowly. Triton asks for it when it is imported.
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
if DEVICE.type == "cpu":
    os.environ.setdefault("TRITON_INTERPRET", "1")

hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("untimed")

# The first has no window to draw, and opens a page in half the processor time of the others.
CHROMIUM_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

REFERENCE = Path(__file__).parent / "reference"
VARIANTS = ("tiny", "small", "base")
SINGLE_CASES = ("a_text", "b_wide", "c_tall_ref", "d_two_images", "e_three_images", "f_multi_turn")
CASES = (*SINGLE_CASES, "g_batch")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow-browser", type=float, default=1.0, metavar="TIMES", help="pages take so many times of the processor"
    )


@dataclass(frozen=True)
class Reference:
    """What the official code made of one case (see reference/README.md), and the case as our processor sees it."""

    variant: str
    case: str
    info: dict[str, Any]
    arrays: dict[str, Tensor]
    conversations: list[list[dict[str, Any]]]  # transformers messages with PIL images, one list per row
    inputs: BatchFeature

    @property
    def generated_texts(self) -> list[str]:
        texts = self.info["generated_text"]
        return texts if isinstance(texts, list) else [texts]


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[*SINGLE_CASES, pytest.param("g_batch", marks=pytest.mark.slow)])
def case(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=SINGLE_CASES)
def single_case(request: pytest.FixtureRequest) -> str:
    """Every case of one conversation."""
    return request.param


@pytest.fixture(scope="session")
def reference_folder() -> Path:
    return REFERENCE


@pytest.fixture(scope="session", autouse=True)
def no_kernels_meanwhile() -> Iterator[Callable[[], Future[Library]]]:
    """Refuse to build kernels in the background, where a test would run with whichever are ready by then: tests load
    engines with "on" or "off". Yields the function that is refused."""
    from dsvl2_app.runtime.cpu import runner

    def refuse() -> None:
        raise AssertionError("compile is 'auto' here: say 'on' or 'off'")

    build = runner.build_meanwhile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "build_meanwhile", refuse)
        yield build


@pytest.fixture(scope="session")
def library() -> Library:
    """The compiled kernels of this processor."""
    from dsvl2_app.runtime.cpu.library import Library, find_compiler

    if not find_compiler():
        pytest.skip("no C compiler")
    return Library.build()


@pytest.fixture(autouse=True)
def cpu_alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A GPU is hidden from tests whose numbers are a CPU's: from all but those marked `gpu`, those that use `device`,
    and those that ask a backend which is there already, as the page tests do."""
    if DEVICE.type == "cpu" or USE_GPU.intersection(request.fixturenames) or request.node.get_closest_marker("gpu"):
        yield
        return
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    yield
    _forget_device()


def _forget_device() -> None:
    """Reset accelerate, which keeps the device and dtype of a process's first training for all later ones."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where the kernels of `runtime.cuda` run."""
    return DEVICE


@pytest.fixture(scope="session")
def load_on_device(
    load_model: Callable[[str], DeepseekVL2ForConditionalGeneration], device: torch.device
) -> Callable[[str], DeepseekVL2ForConditionalGeneration]:
    """`load_model`, with the model moved to `device`."""
    if device.type == "cpu":
        return load_model
    copy_once = torch.inference_mode(False)(lambda variant: copy.deepcopy(load_model(variant)).to(device))
    return cache(copy_once)


@pytest.fixture(scope="session")
def load_model() -> Callable[[str], DeepseekVL2ForConditionalGeneration]:
    """The float32 model of a variant, shared by all tests: load another one to change it."""
    from dsvl2_app import DeepseekVL2ForConditionalGeneration

    @cache
    @torch.inference_mode(False)  # whichever test is the first to ask
    def load(variant: str) -> DeepseekVL2ForConditionalGeneration:
        return DeepseekVL2ForConditionalGeneration.from_pretrained(_checkpoint(variant))

    return load


@pytest.fixture(scope="session")
def load_processor() -> Callable[[str], DeepseekVL2Processor]:
    from dsvl2_app import DeepseekVL2Processor

    return cache(lambda variant: DeepseekVL2Processor.from_pretrained(_checkpoint(variant)))


@pytest.fixture(scope="session")
def open_reference(load_processor: Callable[[str], DeepseekVL2Processor]) -> Callable[[str, str], Reference]:
    """A case of a variant by their names."""
    from safetensors.torch import load_file

    @cache
    def open_case(variant: str, case: str) -> Reference:
        path = REFERENCE / variant / "cases" / case
        info = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        rows = info["conversation"] if "members" in info else [info["conversation"]]
        conversations = [_as_messages(row) for row in rows]
        inputs = load_processor(variant).apply_chat_template(
            conversations, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        return Reference(variant, case, info, load_file(path.with_suffix(".safetensors")), conversations, inputs)

    return open_case


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The formats of the files whose pixels are decoded in this process, in any of its threads, one by one."""
    from PIL import ImageFile

    seen: list[str | None] = []
    prepare = ImageFile.ImageFile.load_prepare

    def note(image: ImageFile.ImageFile) -> None:
        seen.append(image.format)
        prepare(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", note)
    return seen


@pytest.fixture
def checkpoint(variant: str) -> Path:
    return _checkpoint(variant)


@pytest.fixture
def model(variant: str, load_model: Callable[[str], Any]) -> DeepseekVL2ForConditionalGeneration:
    return load_model(variant)


@pytest.fixture
def processor(variant: str, load_processor: Callable[[str], Any]) -> DeepseekVL2Processor:
    return load_processor(variant)


@pytest.fixture
def reference(variant: str, case: str, open_reference: Callable[[str, str], Reference]) -> Reference:
    return open_reference(variant, case)


@pytest.fixture
def single(variant: str, single_case: str, open_reference: Callable[[str, str], Reference]) -> Reference:
    return open_reference(variant, single_case)


@pytest.fixture
def checkpoint_copy(variant: str, tmp_path: Path) -> Path:
    """A variant's checkpoint to damage."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for file in _checkpoint(variant).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def _checkpoint(variant: str) -> Path:
    return REFERENCE / variant / "checkpoint"


@cache
def _open_image(name: str) -> Image.Image:
    from PIL import Image

    return Image.open(REFERENCE / name).convert("RGB")


def _as_messages(conversation: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Official turns, with `<image>` in their text, as messages of parts."""
    messages = []
    for turn in conversation:
        first, *others = turn["content"].split("<image>")
        parts: list[dict[str, Any]] = [{"type": "text", "text": first}]
        for name, text in zip(turn.get("images", ()), others, strict=True):
            parts += [{"type": "image", "image": _open_image(name)}, {"type": "text", "text": text}]
        messages.append({"role": turn["role"], "content": parts})
    return messages


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium: the one on PATH, else the one that `playwright install chromium` fetched."""
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    with ExitStack() as stack:
        try:
            playwright = stack.enter_context(sync_playwright())
            chromium = playwright.chromium.launch(executable_path=path)
        except (PlaywrightError, OSError):
            if path:
                raise
            pytest.skip("no Chromium; `make browser` fetches one")
        yield chromium
        chromium.close()
