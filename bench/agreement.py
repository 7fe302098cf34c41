"""What int8 and int4 weights change: how often the likeliest next token stays, and how well each predicts a text.

Some texts are sampled from the full model at temperature 1, about noise, so that its own perplexity on them is the
lowest; they are about what a model does not know. The others are its greedy answers to the examples of the page.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from transformers import BatchFeature

from bench import table
from bench.answer import QUESTION, draw_noise
from dsvl2_app.bundled import EXAMPLES
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import place_images

ANSWERS, TOKENS = 8, 96
EXAMPLES_ASKED = 100  # at most


class Text(NamedTuple):
    about: str  # "noise" or "examples"
    inputs: dict[str, Any]  # of the model: a question and its answer
    answer: Tensor


@torch.inference_mode()
def measure(settings: Settings, full: Engine) -> dict[str, Any]:
    """By format and kind of text: `top1`, `perplexity` of the full model and of the narrow, and `tokens`; also at the
    top, those of int8 and noise."""
    texts = [*_talk_about_noise(full), *_answer_examples(full)]
    expected = [_predict(full, text) for text in texts]
    result: dict[str, Any] = {}
    for quantize in ("int8", "int4"):
        narrow = load_engine(replace(settings, quantize=quantize))
        found = [_predict(narrow, text) for text in texts]
        for about in ("noise", "examples"):
            chosen = [number for number, text in enumerate(texts) if text.about == about]
            said = [expected[each] for each in chosen], [found[each] for each in chosen]
            each = _compare([texts[each] for each in chosen], *said, quantize)
            table.show(f"{quantize}, {about}: same likeliest token", None, f"{each['top1']:.3f}")
            both = f"{each['perplexity']:.3f} full", f"{each[f'perplexity_{quantize}']:.3f} {quantize}"
            table.show(f"{quantize}, {about}: perplexity", None, *both)
            result.setdefault(quantize, {})[about] = each
    return result["int8"]["noise"] | result


def _talk_about_noise(full: Engine) -> Iterator[Text]:
    for number in range(ANSWERS):
        sampling = Sampling(temperature=1.0, seed=number, max_new_tokens=TOKENS, min_new_tokens=TOKENS)
        yield _answer(full, "noise", place_images(QUESTION, [draw_noise(number)]), sampling)


def _answer_examples(full: Engine) -> Iterator[Text]:
    for example in json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8"))[:EXAMPLES_ASKED]:
        if example["text"]:
            pictures = [Image.open(EXAMPLES / name).convert("RGB") for name in example["pictures"]]
            content = place_images(example["text"], pictures)
            yield _answer(full, "examples", content, Sampling(temperature=0.0, max_new_tokens=TOKENS))


def _answer(full: Engine, about: str, content: Any, sampling: Sampling) -> Text:
    messages = [{"role": "user", "content": content}]
    steps = list(full.answer(Request(messages, sampling)))
    answer = torch.tensor([step.token for step in steps if step.token is not None])
    inputs = full.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)
    assert isinstance(inputs, BatchFeature)
    inputs["input_ids"] = torch.cat((inputs["input_ids"], answer[None]), dim=1)
    inputs.pop("attention_mask")
    return Text(about, dict(inputs), answer)


def _predict(engine: Engine, text: Text) -> Tensor:
    """Logarithms of the chances of every token of an answer."""
    logits = engine.model(**text.inputs, logits_to_keep=len(text.answer) + 1).logits
    return logits[0, :-1].float().log_softmax(-1)


def _compare(texts: list[Text], expected: list[Tensor], found: list[Tensor], quantize: str) -> dict[str, Any]:
    answers = torch.cat([text.answer for text in texts])
    full, narrow = torch.cat(expected), torch.cat(found)
    perplexity = [float((-each.gather(-1, answers[:, None])).mean().exp()) for each in (full, narrow)]
    return {
        "top1": float((full.argmax(-1) == narrow.argmax(-1)).float().mean()),
        "perplexity": perplexity[0],
        f"perplexity_{quantize}": perplexity[1],
        "tokens": len(answers),
    }
