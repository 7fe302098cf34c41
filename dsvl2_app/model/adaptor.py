"""Features -> embeds: 2x2 pixel shuffle, MLP, and the arrangement of an image's views into one sequence.

N tiles, P patches per tile, V vision width, D decoder width. s is tokens along one side of a tile (14), w and h
are the local tiles across and down. Checkpoint keys: `projector.*`, `image_newline`, `view_seperator`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsvl2_app.model.sections import AdaptorConfig


class Adaptor(nn.Module):
    def __init__(self, config: AdaptorConfig) -> None:
        super().__init__()
        self.downsample = config.downsample_ratio
        width = config.n_embed * config.mlp_ratio
        layers: list[nn.Module] = [nn.Linear(config.input_dim * self.downsample**2, width)]
        for step in range(1, config.depth):
            layers += [nn.GELU(), nn.Linear(width, config.n_embed if step == config.depth - 1 else width)]
        self.mlp = nn.Sequential(*layers)
        self.tile_newline = nn.Parameter(torch.empty(config.n_embed))
        self.view_separator = nn.Parameter(torch.empty(config.n_embed))

    def forward(self, features: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        """Features [N, P, V] -> tokens [N, s * s, D]; with a grid, `arrange` of such tokens."""
        return self.mlp(shuffle(features, self.downsample)) if grid is None else self._arrange(features, grid)

    def arrange(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Tokens of one image [1 + w * h, s * s, D], global view first -> its sequence of embeds [T, D].

        Global rows, each closed by tile_newline; view_separator; then rows that run across all local tiles. It is a
        call of the module, before which accelerate brings offloaded weights.
        """
        return self(tokens, grid)

    def _arrange(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        columns, rows = grid
        side = int(tokens.shape[1] ** 0.5)
        views = tokens.unflatten(1, (side, side))  # [1 + w * h, s, s, D]
        local_rows = views[1:].unflatten(0, (rows, columns)).transpose(1, 2)  # [h, s, w, s, D]
        return torch.cat(
            (
                self._close_rows(views[0]),
                self.view_separator[None],
                self._close_rows(local_rows.reshape(rows * side, columns * side, -1)),
            )
        )

    def _close_rows(self, rows: Tensor) -> Tensor:
        newline = self.tile_newline.expand(rows.shape[0], 1, -1)
        return torch.cat((rows, newline), dim=1).flatten(0, 1)


def shuffle(features: Tensor, downsample: int) -> Tensor:
    """Each `downsample` x `downsample` square of patches becomes one token [N, P, V] -> [N, s * s, V * downsample^2].

    The last row and column are padded with zeros where the side is odd. Channels are outermost inside a token, as
    `F.unfold` orders them (official `downsample_mlp_gelu`).
    """
    side = int(features.shape[1] ** 0.5)
    padding = -side % downsample
    grid = F.pad(features.unflatten(1, (side, side)), (0, 0, 0, padding, 0, padding))
    squares = grid.unflatten(2, (-1, downsample)).unflatten(1, (-1, downsample))  # [N, s, d, s, d, V]
    return squares.permute(0, 1, 3, 5, 2, 4).flatten(3).flatten(1, 2)
