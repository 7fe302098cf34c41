"""What a checkpoint fixes about tiling: the side of a tile, its patches, and the grids that there may be."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from dsvl2_app.errors import CheckpointError, SettingsError

# All (width, height) of at most nine 384 px tiles, in the order of the released base checkpoint.
RELEASED_CANDIDATES: tuple[tuple[int, int], ...] = (
    (384, 384), (384, 768), (768, 384), (384, 1152), (1152, 384), (384, 1536), (1536, 384), (768, 768),
    (384, 1920), (1920, 384), (384, 2304), (2304, 384), (768, 1152), (1152, 768), (384, 2688), (2688, 384),
    (384, 3072), (3072, 384), (768, 1536), (1536, 768), (384, 3456), (3456, 384), (1152, 1152),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TileGeometry:
    """What a checkpoint fixes about tiling. `candidates` are (width, height) px; their order breaks ties."""

    tile: int = 384
    patch: int = 14
    downsample: int = 2
    candidates: tuple[tuple[int, int], ...] = RELEASED_CANDIDATES

    def __post_init__(self) -> None:
        if min(self.patch, self.downsample) < 1 or self.tile < self.patch:
            raise CheckpointError(
                f"Tiles of {self.tile} px of {self.patch} px patches, down-sampled {self.downsample}-fold, "
                "are not possible; correct the vision settings in the checkpoint's config.json."
            )
        if not self.candidates:
            raise CheckpointError("The checkpoint's candidate_resolutions are empty; list at least one size.")
        for width, height in self.candidates:
            if min(width, height) < 1 or width % self.tile or height % self.tile:
                raise CheckpointError(
                    f"The checkpoint's candidate_resolutions hold {width}x{height}, which is not a whole "
                    f"number of {self.tile} px tiles; correct it in config.json."
                )

    @property
    def most_tiles(self) -> int:
        """Local tiles of the largest grid."""
        return max(width * height for width, height in self.candidates) // self.tile**2

    @property
    def patches(self) -> int:
        """Patches along a side of a tile; pixels beyond `patches * patch` are never seen."""
        return self.tile // self.patch

    @property
    def tokens_per_side(self) -> int:
        """Tokens along a side of a tile; the adaptor pads the patches up to a multiple of `downsample`."""
        return -(-self.patches // self.downsample)

    @property
    def tokens_per_tile(self) -> int:
        return self.tokens_per_side**2

    def count_tokens(self, columns: int, rows: int) -> int:
        """Tokens of a picture whose local tiles are so many across and down."""
        side = self.tokens_per_side
        return side * (side + 1) + 1 + rows * side * (columns * side + 1)

    def limited_to(self, max_tiles: int) -> TileGeometry:
        """The same geometry without the candidates of more than `max_tiles` local tiles."""
        most = max_tiles * self.tile**2
        fitting = tuple((width, height) for width, height in self.candidates if width * height <= most)
        if not fitting:
            raise SettingsError("No tile grid of this model has at most {most} tiles; allow more.", most=max_tiles)
        return replace(self, candidates=fitting)

    def describe(self) -> dict[str, Any]:
        """As JSON has it, candidates sorted: their order, which only breaks ties, differs between released models."""
        return {**asdict(self), "candidates": sorted(list(size) for size in self.candidates)}


RELEASED_GEOMETRY = TileGeometry()
