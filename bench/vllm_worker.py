"""What an engine takes for a picture's first token, the next ones, and eight answers at once; and, as a program, vLLM.

    python vllm_worker.py CHECKPOINT PROMPTS

runs in an environment that has vLLM and nothing of this project, so nothing of it is imported. PROMPTS are two as JSON,
of a picture and of a text. The last line is one JSON object.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

TOGETHER = 8  # answers
NEW_TOKENS = 32
REPEATS = 3
SIZE = 1000, 400  # px of the pictures

Run = Callable[[int, int, bool], float]  # seconds of so many answers of so many tokens, about a new picture or text


def time_answers(run: Run) -> dict[str, float]:
    """`first_answer` is the first token of the first answer after the start, `first_token` that of later ones."""
    first_answer = run(1, 1, True)
    first_token = statistics.median(run(1, 1, True) for _ in range(REPEATS))
    each = statistics.median((run(1, NEW_TOKENS + 1, True) - first_token) / NEW_TOKENS for _ in range(REPEATS))
    run(TOGETHER, 2, False)
    begun = statistics.median(run(TOGETHER, 1, False) for _ in range(REPEATS))
    whole = statistics.median(run(TOGETHER, NEW_TOKENS + 1, False) for _ in range(REPEATS))
    return {
        "first_answer": first_answer,
        "first_token": first_token,
        "seconds_per_token": each,
        "tokens_per_second_together": TOGETHER * NEW_TOKENS / (whole - begun),
        "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,  # Linux counts in KiB
    }


def run_vllm(checkpoint: str, picture_prompt: str, text_prompt: str) -> dict[str, float]:
    vllm, numpy, pictures = (importlib.import_module(name) for name in ("vllm", "numpy", "PIL.Image"))
    started = time.perf_counter()
    engine = vllm.LLM(
        model=checkpoint,
        hf_overrides={"architectures": ["DeepseekVLV2ForCausalLM"]},
        dtype="bfloat16",
        max_model_len=4096,
        max_num_batched_tokens=4096,
        max_num_seqs=TOGETHER,
        limit_mm_per_prompt={"image": 1},
        enable_prefix_caching=False,  # neither engine has seen a picture or a text before
        mm_processor_cache_gb=0,
    )
    load, random = time.perf_counter() - started, numpy.random.default_rng(0)

    def write(picture: bool, number: int) -> dict[str, Any]:
        if not picture:
            return {"prompt": text_prompt.replace("NUMBER", str(number))}
        noise = pictures.fromarray(random.integers(256, size=(*SIZE[::-1], 3), dtype=numpy.uint8))
        return {"prompt": picture_prompt, "multi_modal_data": {"image": noise}}

    def run(answers: int, tokens: int, picture: bool) -> float:
        requests = [write(picture, number) for number in range(answers)]
        sampling = vllm.SamplingParams(temperature=0, max_tokens=tokens, min_tokens=tokens, ignore_eos=True)
        begun = time.perf_counter()
        engine.generate(requests, sampling, use_tqdm=False)
        return time.perf_counter() - begun

    return {"load": load, **time_answers(run)}


if __name__ == "__main__":
    sys.path.pop(0)  # where this file lies, whose neighbours are modules of another program
    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_LOGGING_LEVEL": "ERROR"}
    found = run_vllm(sys.argv[1], *json.loads(sys.argv[2]))
    print(json.dumps(found), flush=True)
