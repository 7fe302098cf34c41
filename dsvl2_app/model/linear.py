"""Linear layers, stacks of them and input embeddings whose weights may be int8, with a scale per output channel or
token beside them, or int4 (`model.int4`), with a scale for every 32 inputs.

A parameter `x` that is int8 has a float32 parameter `x_scale` in the same module, and one that is int4, packed in
uint8, codes of scales there; `weights` fills both while it reads a checkpoint.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsvl2_app.model import int4
from dsvl2_app.model.operations import Operated

SCALE = "_scale"
NARROW = {torch.int8: "int8", torch.uint8: "int4"}


class Linear(nn.Linear, Operated):
    """nn.Linear without a bias, as one of its `operations`."""

    weight_scale: Tensor | None
    _is_hf_initialized: bool  # read by transformers

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.register_parameter("weight_scale", None)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.operations.linear(hidden, self.weight, self.weight_scale)


class Embedding(nn.Embedding):
    """nn.Embedding that may be int8. Its scales are in the number format of what it returns."""

    weight_scale: Tensor | None

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__(tokens, width)
        self.register_parameter("weight_scale", None)

    def forward(self, input: Tensor) -> Tensor:
        """Ids [...] -> embeds [..., D]."""
        if self.weight_scale is None:
            return super().forward(input)
        scales = self.weight_scale[input][..., None]
        return F.embedding(input, self.weight).to(scales.dtype) * scales


def is_bare(layer: nn.Module) -> bool:
    """Whether a linear layer is its weight and bias and nothing else, so that a kernel may read these. An adapter, a
    quantiser, a parametrisation, a hook or an offloader has to be asked through the layer's own forward."""
    return (
        type(layer) in (nn.Linear, Linear)
        and type(layer.weight) is nn.Parameter
        and not (layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer))
    )


def hold_narrow(model: nn.Module, quantize: str) -> None:
    """Make every `Linear` and stack of weights in `model` hold "int8" or "int4", still without values. What is read
    rarely or decides much stays as it is: norms, routers, the adaptor, the vision encoder, and kv_b_proj, which is used
    in halves. Input embeddings stay with "int8" and are int8 with "int4", and so is a weight with an odd number of
    inputs, of which no two are a byte."""
    for module, name in _find_stacks(model, quantize):
        weight = getattr(module, name)
        if _choose_dtype(module, weight, quantize) == torch.uint8:
            _replace(module, name, *int4.empty(weight))
        else:
            numbers = torch.empty_like(weight, dtype=torch.int8)
            _replace(module, name, numbers, torch.empty(weight.shape[:-1], dtype=torch.float32, device=weight.device))


def turn_narrow(model: nn.Module, quantize: str) -> None:
    """The same for a model whose weights have values."""
    for module, name in _find_stacks(model, quantize):
        weight = getattr(module, name).detach()
        _replace(module, name, *narrow(weight, _choose_dtype(module, weight, quantize)))


def narrow(weight: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A weight in the format of a parameter with that dtype, and its scales."""
    return int4.quantise(weight) if dtype == torch.uint8 else quantise(weight)


def _choose_dtype(module: nn.Module, weight: Tensor, quantize: str) -> torch.dtype:
    packed = quantize == "int4" and weight.shape[-1] % 2 == 0 and not isinstance(module, Embedding)
    return torch.uint8 if packed else torch.int8


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [..., F, D] -> int8 weight and float32 scale [..., F], symmetric per output channel."""
    wide = weight.float()
    scale = wide.abs().amax(-1).clamp_(min=1e-12) / 127
    return (wide / scale[..., None]).round_().to(torch.int8), scale


def _find_stacks(model: nn.Module, quantize: str) -> list[tuple[nn.Module, str]]:
    """Each weight [..., F, D] that is to be narrow: its module and its name there."""
    layers = (Linear, Embedding) if quantize == "int4" else Linear
    each = (
        (module, ["weight"] if isinstance(module, layers) else getattr(module, "stacks", ()))
        for module in model.modules()
    )
    return [(module, name) for module, names in each for name in names]


def _replace(module: nn.Module, name: str, numbers: Tensor, scale: Tensor) -> None:
    if isinstance(module, Embedding):
        scale = scale.to(module.weight.dtype)
    setattr(module, name, nn.Parameter(numbers, requires_grad=False))
    setattr(module, name + SCALE, nn.Parameter(scale, requires_grad=False))
