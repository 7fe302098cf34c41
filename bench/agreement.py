"""What int8 weights change: how often the likeliest next token stays the same, and how well both predict a text.

The text is sampled from the full model at temperature 1, so the full model's own perplexity on it is the lowest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from transformers import BatchFeature

from bench import table
from bench.answer import QUESTION, draw_noise
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.request import Request, Sampling
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import place_images

ANSWERS, TOKENS = 8, 96


@torch.inference_mode()
def measure(settings: Settings, full: Engine) -> dict[str, Any]:
    narrow = load_engine(replace(settings, quantize="int8"))
    same, positions, surprise = 0, 0, [0.0, 0.0]
    for number in range(ANSWERS):
        content = place_images(QUESTION, [draw_noise(number)])
        sampling = Sampling(temperature=1.0, seed=number, max_new_tokens=TOKENS, min_new_tokens=TOKENS)
        steps = list(full.answer(Request([{"role": "user", "content": content}], sampling)))
        answer = torch.tensor([step.token for step in steps if step.token is not None])
        inputs = full.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True
        )
        assert isinstance(inputs, BatchFeature)
        inputs["input_ids"] = torch.cat((inputs["input_ids"], answer[None]), dim=1)
        inputs.pop("attention_mask")
        chances = [
            engine.model(**inputs, logits_to_keep=len(answer) + 1).logits[0, :-1].float().log_softmax(-1)
            for engine in (full, narrow)
        ]
        same += int((chances[0].argmax(-1) == chances[1].argmax(-1)).sum())
        positions += len(answer)
        for which, chance in enumerate(chances):
            surprise[which] -= float(chance.gather(-1, answer[:, None]).sum())
    perplexity = [float(torch.tensor(each / positions).exp()) for each in surprise]
    result = {
        "top1": same / positions,
        "perplexity": perplexity[0],
        "perplexity_int8": perplexity[1],
        "tokens": positions,
    }
    table.show("int8, same likeliest token", None, f"{result['top1']:.3f}")
    table.show("int8, perplexity", None, f"{perplexity[0]:.3f} full", f"{perplexity[1]:.3f} int8")
    return result
