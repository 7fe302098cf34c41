"""Tiles -> features: the SigLIP vision transformer (SigLIP-SO400M-384 in the released models).

N tiles, P patches per tile (27 x 27), V width (1152). Parameter names are the checkpoint's (`vision.*`, timm's terms).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from dsvl2_app.model import kernels
from dsvl2_app.model.configuration import VisionConfig

LAYER_NORM_EPS = 1e-6
SAMPLED = 997  # of so many bytes one says whether two tiles may be alike


class VisionEncoder(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Parameter(torch.empty(1, config.patches**2, config.width))
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)
        if config.global_pool == "map":
            self.attn_pool = UnusedAttentionPool(config)

    def forward(self, tiles: Tensor) -> Tensor:
        """Normalised pixels [N, 3, side, side] -> features [N, P, V]."""
        hidden = self.patch_embed(tiles) + self.pos_embed
        for block in self.blocks:
            hidden = block(hidden)
        return self.norm(hidden)


class PatchEmbed(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch_size, stride=config.patch_size)

    def forward(self, tiles: Tensor) -> Tensor:
        patches = self.proj(tiles.to(self.proj.weight.dtype)).flatten(2).transpose(1, 2)  # [N, P, V]
        return patches.contiguous()  # or every sum and norm of the stream pays for the order of the convolution


class VisionBlock(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.attn = VisionAttention(config)
        self.norm2 = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.mlp = VisionMLP(config)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.attn(self.norm1(hidden))
        return hidden + self.mlp(self.norm2(hidden))


class VisionAttention(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, hidden: Tensor) -> Tensor:
        queries, keys, values = self.qkv(hidden).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(kernels.attend_all(queries, keys, values).flatten(2))


class VisionMLP(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.mlp_width)
        self.fc2 = nn.Linear(config.mlp_width, config.width)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.fc2(kernels.linear_gelu(hidden, self.fc1.weight, self.fc1.bias))


class UnusedAttentionPool(nn.Module):
    """SigLIP's pooling head. DeepSeek-VL2 reads the patches before it (`ignore_head`), yet the released checkpoints
    carry its weights (`vision.attn_pool.*`); they are kept so that a checkpoint is written back whole."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.latent = nn.Parameter(torch.empty(1, 1, config.width))
        self.q = nn.Linear(config.width, config.width)
        self.kv = nn.Linear(config.width, 2 * config.width)
        self.proj = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.mlp = VisionMLP(config)
        self.requires_grad_(False)


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
