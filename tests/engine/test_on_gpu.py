"""On a GPU, with its kernels and graphs, an engine says what it says on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from PIL import Image

from dsvl2_app.backend.local import LocalBackend
from dsvl2_app.bundled import EXAMPLES
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings

if TYPE_CHECKING:
    from tests.conftest import Reference

pytestmark = pytest.mark.gpu

GROUNDING = frozenset({"<|ref|>", "<|/ref|>", "<|grounding|>"})


@pytest.fixture(autouse=True)
def exact_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU rounds the inputs of convolutions to ten bits unless told not to; the official numbers are float32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="module")
def load(reference_folder: Path) -> Callable[[str], Engine]:
    known: dict[str, Engine] = {}

    def load_once(variant: str) -> Engine:
        if variant not in known:
            known[variant] = load_engine(Settings(model=str(reference_folder / variant / "checkpoint")))
        return known[variant]

    return load_once


def ask(conversation: list[dict[str, Any]], tokens: int = 24) -> Request:
    return Request(conversation, Sampling(max_new_tokens=tokens), allow=GROUNDING)


def test_answers_are_the_official_ones(single: Reference, load: Callable[[str], Engine]) -> None:
    engine = load(single.variant)
    engine.forget()
    for _ in range(2):  # the second time from what is kept
        steps = list(engine.answer(ask(single.conversations[0])))
        assert [step.token for step in steps if step.token is not None] == single.arrays["generated_ids"][0].tolist()
        assert "".join(step.text for step in steps) == single.info["generated_text"]
    assert engine.card.device == "cuda:0"
    graphs = engine.runner.graphs
    assert graphs and graphs._graphs and graphs._fused and graphs.fuses


def test_answers_that_are_written_together_are_those_of_each_alone(
    load: Callable[[str], Engine], open_reference: Callable[[str, str], Reference], variant: str
) -> None:
    engine = load(variant)
    references = [open_reference(variant, case) for case in ("a_text", "c_tall_ref", "e_three_images")] * 4
    backend = LocalBackend(engine, max_active=8)
    try:
        streams = [backend.submit(ask(reference.conversations[0])) for reference in references]
        for stream, reference in zip(streams, references, strict=True):
            with stream:
                found = [step.token for step in stream if step.token is not None]
            assert found == reference.arrays["generated_ids"][0].tolist()
    finally:
        backend.close()


def test_prompts_and_pictures_of_nano_are_graphs_too() -> None:
    """From the second of a size; in bfloat16, its own format."""
    engine = load_engine(Settings())
    picture = {"type": "image", "image": Image.open(EXAMPLES / "shapes.png")}
    absent = {"type": "text", "text": "\n<|ref|>the pink heart<|/ref|>."}
    for _ in range(3):
        engine.forget()
        steps = list(engine.answer(ask([{"role": "user", "content": [picture, absent]}], 40)))
        assert "no pink heart" in "".join(step.text for step in steps)
    assert engine.card.dtype == "bfloat16"
    runner = engine.runner
    assert runner.graph_vision._encode._graphs
    assert runner.graph_prefill is None or runner.graph_prefill._run._graphs  # the former before Hopper
