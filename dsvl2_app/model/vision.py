"""Tiles -> features: the SigLIP vision transformer (SigLIP-SO400M-384 in the released models).

N tiles, P patches per tile (27 x 27), V width (1152). Parameter names are the checkpoint's (`vision.*`, timm's terms).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from dsvl2_app.model.linear import is_bare
from dsvl2_app.model.operations import Operated
from dsvl2_app.model.sections import VisionConfig

LAYER_NORM_EPS = 1e-6
SAMPLED = 997  # of so many bytes one says whether two tiles may be alike


class VisionEncoder(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Parameter(torch.empty(1, config.patches**2, config.width))
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.layers))
        self.norm = LayerNorm(config.width, eps=LAYER_NORM_EPS)
        if config.global_pool == "map":
            self.attn_pool = UnusedAttentionPool(config)

    def forward(self, tiles: Tensor) -> Tensor:
        """Normalised pixels [N, 3, side, side] -> features [N, P, V]."""
        hidden = self.patch_embed(tiles) + self.pos_embed
        for block in self.blocks:
            hidden = block(hidden)
        return self.norm(hidden)


class LayerNorm(nn.LayerNorm, Operated):
    """nn.LayerNorm as one of its `operations`."""

    def forward(self, hidden: Tensor) -> Tensor:
        return self.operations.layer_norm(hidden, self.weight, self.bias, self.eps)


class PatchEmbed(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch_size, stride=config.patch_size)

    def forward(self, tiles: Tensor) -> Tensor:
        patches = self.proj(tiles.to(self.proj.weight.dtype)).flatten(2).transpose(1, 2)  # [N, P, V]
        return patches.contiguous()  # or every sum and norm of the stream pays for the order of the convolution


class VisionBlock(GradientCheckpointingLayer):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.norm1 = LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.attn = VisionAttention(config)
        self.norm2 = LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.mlp = VisionMLP(config)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.attn(self.norm1(hidden))
        return hidden + self.mlp(self.norm2(hidden))


class VisionAttention(Operated):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, hidden: Tensor) -> Tensor:
        projected = call_bare(self.operations.linear_bias, self.qkv, hidden)
        queries, keys, values = projected.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        context = self.operations.attend_all(queries, keys, values).flatten(2)
        return call_bare(self.operations.linear_bias, self.proj, context)


class VisionMLP(Operated):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.mlp_width)
        self.fc2 = nn.Linear(config.mlp_width, config.width)

    def forward(self, hidden: Tensor) -> Tensor:
        if is_bare(self.fc1):
            inner = self.operations.linear_gelu(hidden, self.fc1.weight, self.fc1.bias)
        else:
            inner = F.gelu(self.fc1(hidden), approximate="tanh")
        return call_bare(self.operations.linear_bias, self.fc2, inner)


def call_bare(operation: Callable[[Tensor, Tensor, Tensor], Tensor], layer: nn.Linear, hidden: Tensor) -> Tensor:
    """A layer as an operation with its weight and bias, if it is nothing else."""
    return operation(hidden, layer.weight, layer.bias) if is_bare(layer) else layer(hidden)


class UnusedAttentionPool(nn.Module):
    """SigLIP's pooling head. DeepSeek-VL2 reads the patches before it (`ignore_head`), yet the released checkpoints
    carry its weights (`vision.attn_pool.*`); they are kept so that a checkpoint is written back whole.

    They are parameters of one module, `mlp.fc1.weight` as `mlp_fc1_weight`: an adapter put into a layer here, which
    "all-linear" or a target such as `proj` would do, could never learn.
    """

    stacks = ("q_weight", "kv_weight", "proj_weight", "mlp_fc1_weight", "mlp_fc2_weight")

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        width, inner = config.width, config.mlp_width
        self.latent = nn.Parameter(torch.empty(1, 1, width), requires_grad=False)
        matrices = {"q": (width, width), "kv": (2 * width, width), "proj": (width, width)}
        matrices |= {"mlp_fc1": (inner, width), "mlp_fc2": (width, inner)}
        for name, shape in {**matrices, "norm": (width,)}.items():
            self.register_parameter(f"{name}_weight", nn.Parameter(torch.empty(shape), requires_grad=False))
            self.register_parameter(f"{name}_bias", nn.Parameter(torch.empty(shape[0]), requires_grad=False))


def merge_identical(tiles: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct tiles and, for each given tile, the index of its twin: `tiles == distinct[twins]`, on the CPU.

    A 1x1 image's global view and its only local tile are the same pixels, and wide paddings repeat too; each is
    encoded once.
    """
    pixels = tiles.contiguous().view(torch.uint8).flatten(1)
    kept: dict[bytes, list[int]] = {}  # by a few of their pixels, so that hardly any two are compared whole
    twins = []
    for number, sample in enumerate(pixels[:, ::SAMPLED].cpu().numpy()):
        alike = kept.setdefault(sample.tobytes(), [])
        twin = next((other for other in alike if torch.equal(pixels[number], pixels[other])), number)
        if twin == number:
            alike.append(number)
        twins.append(twin)
    distinct, places = np.unique(twins, return_inverse=True)
    return tiles[distinct] if len(distinct) < len(tiles) else tiles, torch.from_numpy(places)
