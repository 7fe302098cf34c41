"""transformers' image-text-to-text pipeline with the processor: its batches are the answers one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from transformers import pipeline

from dsvl2_app import DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor

ANSWER = {"generate_kwargs": {"do_sample": False, "max_new_tokens": 4}, "return_full_text": False}


@pytest.fixture(scope="module")
def pipe(load_model: Callable[[str], Any], load_processor: Callable[[str], Any]) -> Any:
    model: DeepseekVL2ForConditionalGeneration = load_model("tiny")
    processor: DeepseekVL2Processor = load_processor("tiny")
    return pipeline("image-text-to-text", model=model, processor=processor)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    for number, colour in enumerate(("teal", "orange", "navy")):
        Image.new("RGB", (90, 60), colour).save(folder / f"{number}.png")
    return [str(folder / f"{number}.png") for number in range(3)]


def ask(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [*parts, {"type": "text", "text": "Which colour?"}]}]


def test_parts_by_url(pipe: Any, files: list[str]) -> None:
    picture = Image.open(files[0]).convert("RGB")
    (named,) = pipe(ask({"type": "image", "url": files[0]}), **ANSWER)
    (opened,) = pipe(ask({"type": "image", "image": picture}), **ANSWER)
    assert named["generated_text"] == opened["generated_text"]


@pytest.mark.slow
def test_batches_of_chats(pipe: Any, files: list[str]) -> None:
    """Of different lengths and numbers of pictures; a batch without any picture among others is transformers' limit."""
    parts = [{"type": "image", "url": file} for file in files]
    chats = [ask(parts[0]), ask(parts[1], parts[2]), ask(parts[2], {"type": "text", "text": "A longer one. "})]
    alone = [pipe(chat, **ANSWER)[0]["generated_text"] for chat in chats]
    batched = pipe(chats, batch_size=2, **ANSWER)
    assert [answer["generated_text"] for (answer,) in batched] == alone


def test_flat_lists_of_pictures(pipe: Any, files: list[str]) -> None:
    texts = ["<image>Which colour?", "<image>In <image>?"]
    flat = pipe(images=files, text=texts, **ANSWER)
    nested = pipe(images=[files[:1], files[1:]], text=texts, **ANSWER)
    assert [answer["generated_text"] for answer in flat] == [answer["generated_text"] for answer in nested]


def test_a_pipeline_saves_what_the_processor_reads(pipe: Any, tmp_path: Path) -> None:
    pipe.save_pretrained(tmp_path)
    saved = DeepseekVL2Processor.from_pretrained(tmp_path)
    assert saved.settings == pipe.processor.settings
    assert saved.tokenizer.get_vocab() == pipe.processor.tokenizer.get_vocab()
