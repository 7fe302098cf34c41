# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# PyTorch leaves the types of many tensors open.
"""The logit lens: which words the hidden states of tokens are nearest to, as if the model ended after that layer.

R tokens, D decoder width, V vocabulary, B largest ones.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration

GROUP = 128  # logits of which the largest is found first
AT_ONCE = 256  # tokens whose logits [AT_ONCE, V] are in memory at once
CPU_WORK = 3e12  # multiplications and additions that a CPU spends on lenses; every device else has one for each layer


def choose_layers(model: DeepseekVL2ForConditionalGeneration, tokens: int) -> tuple[int, ...]:
    """Those after which there is a lens, the last among them: all, or on a CPU as many as its work allows, evenly."""
    weight, layers = model.lm_head.weight, len(model.decoder.layers)
    number = layers
    if weight.device.type == "cpu" and tokens:
        number = max(1, min(layers, int(CPU_WORK / (2 * tokens * weight.numel()))))
    return tuple(sorted({round((place + 1) * layers / number) - 1 for place in range(number)}))


def nearest(
    model: DeepseekVL2ForConditionalGeneration, hidden: Tensor, count: int, vocabulary: int | None = None
) -> Tensor:
    """Hidden states [R, D] after any layer -> the ids with the largest logits [R, count], the largest first, below
    `vocabulary`."""
    logits = model.lm_head(model.decoder.norm(hidden))[:, :vocabulary]
    return _find_largest(logits, count)


def _find_largest(logits: Tensor, count: int) -> Tensor:
    """As `topk`, which on a CPU takes five times as long: the `count` groups with the largest maxima hold all."""
    size = logits.shape[1]
    if size < 2 * GROUP * count:
        return logits.topk(count, dim=-1).indices
    padded = F.pad(logits, (0, -size % GROUP), value=float("-inf")).unflatten(-1, (-1, GROUP))  # [R, groups, GROUP]
    groups = padded.amax(-1).topk(count, dim=-1).indices  # [R, count]
    candidates = padded.gather(1, groups[:, :, None].expand(-1, -1, GROUP)).flatten(1)
    places = candidates.topk(count, dim=-1).indices
    return groups.gather(1, places // GROUP) * GROUP + places % GROUP
