#!/usr/bin/env bash
# ms-swift trains DeepSeek-VL2 on a prompt whose second picture lies within the first, and drops the last feature.
#
# Expected: every <image> of a sample is replaced by as many image tokens as its picture has, where it stands.
# Happens: where the placeholders stand is looked up once, and not moved on by what the first picture adds. The second picture's tokens are
#   put within those of the first, one of which they replace; its own <image> stays behind, after the words between the pictures, marked
#   as text. One place fewer is marked as image than there are features, so that the last of them goes nowhere, without an error.
# Shown: the template's own method, with the numbers that its base class and the official processor give it: ten tokens, two of them
#   pictures of 421 tokens. The official package, which is not on PyPI, is stood in for by its output class alone.
# Matters here: adapters and checkpoints that were trained there on several pictures have learnt from such prompts, and answer ours, in
#   which words stand between pictures, worse than those trained on one; our own fine-tuning places each (a test compares with the processor).
# Source: ms-swift 4.6.0, swift/template/templates/deepseek.py, DeepseekVL2Template._encode.
set -euo pipefail
SWIFT=4.6.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "ms-swift==$SWIFT" torch==2.13.0 2> /dev/null
cat > "$folder/show.py" <<'PYTHON'
import sys
import types
from importlib.metadata import version
from itertools import groupby
from typing import Any

import torch
from swift.template import Template
from swift.template.templates.deepseek import DeepseekVL2Template

IMAGE, TOKENS = 9, 421  # the id of <image>; tokens of a picture of one tile and its thumbnail
official = types.ModuleType("deepseek_vl2.models.processing_deepseek_vl_v2")
official.VLChatProcessorOutput = types.SimpleNamespace
for name in ("deepseek_vl2", "deepseek_vl2.models"):
    sys.modules[name] = types.ModuleType(name)
sys.modules[official.__name__] = official


class Processor:
    image_token_id = IMAGE

    def tokenize_with_images(self, text: str, images: list[Any], cropping: bool) -> tuple[Any, ...]:
        """Of which the template reads tiles, grids and tokens of each picture."""
        tiles = [torch.zeros(3, 384, 384)] * 2 * len(images)
        return None, tiles, None, [[1, 1]] * len(images), [TOKENS] * len(images)


def encode(ids: list[int]) -> tuple[list[int], list[bool]]:
    """The ids of a prompt and which of them are image tokens, made of ids in which each picture is one."""
    template = object.__new__(DeepseekVL2Template)
    template.processor = Processor()
    template.model_info = types.SimpleNamespace(torch_dtype=torch.bfloat16)
    Template._encode = lambda self, inputs: {"input_ids": list(ids), "labels": None}
    made = template._encode(types.SimpleNamespace(images=[None] * ids.count(IMAGE)))["output"]
    return made.input_ids.tolist(), made.images_seq_mask.tolist()


def short(ids: list[int]) -> str:
    """With a run of image tokens as its length."""
    runs = [(token, len(list(run))) for token, run in groupby(ids)]
    return " ".join(f"({IMAGE} x {length})" if token == IMAGE else str(token) for token, length in runs)


print(f"ms-swift {version('ms-swift')}")
one, marked = encode([1, 2, IMAGE, 3, 4])
print(f"one picture:  {short(one)}, {sum(marked)} marked as image")
same = one == [1, 2, *[IMAGE] * TOKENS, 3, 4] and sum(marked) == TOKENS
two, marked = encode([1, IMAGE, 2, 3, 4, 5, 6, IMAGE, 7, 8])
wanted = [1, *[IMAGE] * TOKENS, 2, 3, 4, 5, 6, *[IMAGE] * TOKENS, 7, 8]
left = [token == IMAGE and not mark for token, mark in zip(two, marked, strict=True)]
print(f"two pictures: {short(two)}, {sum(marked)} marked as image, {sum(left)} <image> as text")
print(f"expected:     {short(wanted)}, {2 * TOKENS} marked as image")
same = same and len(two) == len(wanted) and sum(marked) == 2 * TOKENS - 1 and sum(left) == 1
same = same and short(two) == "1 (9 x 841) 2 3 4 5 6 (9 x 1) 7 8"
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py" 2> "$folder/log" || { tail -3 "$folder/log"; exit 1; }
