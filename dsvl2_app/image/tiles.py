"""Picture size -> tile grid, pixels -> tiles, token index -> place in the picture.

The model sees a picture as one global view and `columns x rows` local tiles. Which grid is used, where the
picture lies in it and what each of the resulting tokens looks at are all fixed by the size of the picture,
so `lay_out` needs no pixels; `cut_tiles` is the only function here that touches them.

Both follow the official processing code to the bit: `int(width * scale)` truncates, the first best candidate
wins, and the picture is placed as `PIL.ImageOps.pad` places it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from PIL import Image

from dsvl2_app.errors import CheckpointError, ImageError, SettingsError

Box = tuple[float, float, float, float]  # left, top, right, bottom
PixelBox = tuple[int, int, int, int]
Pixels = TypeVar("Pixels", bound=Any)  # an array, or a tensor on any device

MOST_TILED_IMAGES = 2
PADDING = 127  # the official int(0.5 * 255), in all three colours

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


def choose_grid(
    width: int, height: int, geometry: TileGeometry = TileGeometry(), *, tiling: bool = True
) -> tuple[int, int]:
    """(columns, rows) of the candidate that keeps most of the picture and then wastes least."""
    if width < 1 or height < 1:
        raise ImageError(
            "The picture is {width}x{height} px; both sides need at least 1 px.", width=width, height=height
        )
    if not tiling:
        return 1, 1
    area = width * height
    best_width, best_height, most, least = 0, 0, -1, 0
    for into_width, into_height in geometry.candidates:  # `_fit` written out for speed
        across, down = into_width / width, into_height / height
        scale = across if across < down else down
        effective = int(width * scale) * int(height * scale)
        if effective > area:
            effective = area
        if effective >= most:
            wasted = into_width * into_height - effective
            if effective > most or wasted < least:
                best_width, best_height, most, least = into_width, into_height, effective, wasted
    return best_width // geometry.tile, best_height // geometry.tile


def _fit(width: int, height: int, into_width: int, into_height: int) -> tuple[float, int, int]:
    """The official arithmetic: scale, effective px (never more than the picture has), wasted px."""
    scale = min(into_width / width, into_height / height)
    effective = min(int(width * scale) * int(height * scale), width * height)
    return scale, effective, into_width * into_height - effective


def lay_out(
    width: int,
    height: int,
    geometry: TileGeometry = TileGeometry(),
    *,
    tiling: bool = True,
    max_tiles: int | None = None,
) -> TileLayout:
    """Everything that follows from a picture's size. `tiling=False` forces one local tile; `max_tiles` leaves larger
    candidates out."""
    if max_tiles is not None:
        geometry = geometry.limited_to(max_tiles)
    return TileLayout((width, height), geometry, choose_grid(width, height, geometry, tiling=tiling))


def are_tiled(pictures: int) -> bool:
    """The official rule: with more than two pictures in the conversation, every one is a single local tile."""
    return pictures <= MOST_TILED_IMAGES


def lay_out_all(
    sizes: Sequence[tuple[int, int]],
    geometry: TileGeometry = TileGeometry(),
    tiling: bool | None = None,
    max_tiles: int | None = None,
) -> list[TileLayout]:
    """The layouts of all pictures of a conversation, of sizes (width, height) in px. `tiling` None is the official
    rule; see `lay_out` for the rest."""
    tiling = are_tiled(len(sizes)) if tiling is None else tiling
    return [lay_out(*size, geometry, tiling=tiling, max_tiles=max_tiles) for size in sizes]


@dataclass(frozen=True, slots=True)
class Candidate:
    """How one candidate resolution fares for a picture; rank 1 is what tiling chooses."""

    resolution: tuple[int, int]  # px
    grid: tuple[int, int]  # columns, rows
    scale: float
    effective: int  # px of the picture that survive
    wasted: int  # px of the canvas that carry nothing
    rank: int
    chosen: bool


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """What one token of an image stands for.

    `row` and `column` count within the token grid of the whole view (all local tiles are one view); a newline
    has the column after the last. `box` is the part of the original picture that the token looks at, None
    where that is padding only, and for newlines and the separator, which look at nothing.
    """

    kind: Literal["global", "local", "newline", "separator"]
    view: Literal["global", "local"] | None
    tile: int | None  # index into the array of `cut_tiles`
    row: int | None
    column: int | None
    box: Box | None


@dataclass(frozen=True)
class TileLayout:
    """The tiles of one picture and the order of its tokens:

    rows of `side` global tokens, each with a newline; a separator;
    rows of `columns * side` local tokens, each with a newline.
    """

    image_size: tuple[int, int]
    geometry: TileGeometry
    grid: tuple[int, int]  # columns, rows

    @property
    def canvas(self) -> tuple[int, int]:
        """Size in px of the padded picture that the local tiles are cut from."""
        return self.grid[0] * self.geometry.tile, self.grid[1] * self.geometry.tile

    @property
    def scale(self) -> float:
        return _fit(*self.image_size, *self.canvas)[0]

    @cached_property
    def content(self) -> PixelBox:
        """Where the picture lies on the canvas."""
        return _place(self.image_size, self.canvas)

    @cached_property
    def global_content(self) -> PixelBox:
        """Where the picture lies in the global view."""
        return _place(self.image_size, (self.geometry.tile, self.geometry.tile))

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every candidate in the checkpoint's order, with what it would do to this picture."""
        fits = [_fit(*self.image_size, *resolution) for resolution in self.geometry.candidates]
        order = sorted(range(len(fits)), key=lambda index: (-fits[index][1], fits[index][2]))  # stable
        ranks = {index: rank for rank, index in enumerate(order, 1)}
        tile = self.geometry.tile
        return tuple(
            Candidate(
                resolution=(width, height),
                grid=(width // tile, height // tile),
                scale=scale,
                effective=effective,
                wasted=wasted,
                rank=ranks[index],
                chosen=(width, height) == self.canvas,
            )
            for index, ((width, height), (scale, effective, wasted)) in enumerate(
                zip(self.geometry.candidates, fits, strict=True)
            )
        )

    @property
    def num_tiles(self) -> int:
        """Tiles to encode: the global view and the local tiles."""
        return 1 + self.grid[0] * self.grid[1]

    @property
    def num_tokens(self) -> int:
        return self.geometry.count_tokens(*self.grid)

    def token(self, index: int) -> TokenPlace:
        """The place of the token at `index` of this image's tokens."""
        if not 0 <= index < self.num_tokens:
            raise IndexError(f"token {index} of {self.num_tokens}")
        side = self.geometry.tokens_per_side
        separator = side * (side + 1)
        if index == separator:
            return TokenPlace("separator", None, None, None, None, None)
        if index < separator:
            view, first_tile, columns = "global", 0, 1
        else:
            view, first_tile, columns, index = "local", 1, self.grid[0], index - separator - 1
        row, column = divmod(index, columns * side + 1)
        if column == columns * side:
            return TokenPlace("newline", view, None, row, column, None)
        tile = first_tile + row // side * columns + column // side
        return TokenPlace(view, view, tile, row, column, self._token_box(tile, row % side, column % side))

    def tokens(self) -> tuple[TokenPlace, ...]:
        return tuple(self.token(index) for index in range(self.num_tokens))

    def token_range(self, tile: int) -> tuple[int, ...]:
        """The indices of a tile's tokens, row by row. A tile's rows are apart: each local row of tokens runs
        through all tiles of the grid's row."""
        left, top, _, _ = self.tile_box(tile)
        side = self.geometry.tokens_per_side
        start, columns = (0, 1) if tile == 0 else (side * (side + 1) + 1, self.grid[0])
        row, column = top // self.geometry.tile * side, left // self.geometry.tile * side
        return tuple(
            start + (row + down) * (columns * side + 1) + column + across
            for down in range(side)
            for across in range(side)
        )

    def tile_box(self, tile: int) -> PixelBox:
        """The px of a local tile on the canvas; tile 0, the global view, is a canvas of its own."""
        if not 0 <= tile < self.num_tiles:
            raise IndexError(f"tile {tile} of {self.num_tiles}")
        size = self.geometry.tile
        row, column = divmod(tile - 1, self.grid[0]) if tile else (0, 0)
        return column * size, row * size, (column + 1) * size, (row + 1) * size

    def _token_box(self, tile: int, row: int, column: int) -> Box | None:
        """The original picture's px under the token at `row`, `column` of a tile."""
        geometry = self.geometry
        seen = geometry.patches * geometry.patch  # 378 of 384: the patch convolution drops the rest
        span = geometry.downsample * geometry.patch
        tile_left, tile_top, _, _ = self.tile_box(tile)
        left, top, right, bottom = self.content if tile else self.global_content
        width, height = self.image_size

        def project(start: int, token: int, low: int, high: int, size: int) -> tuple[float, float]:
            first = max(start + token * span, low)
            last = min(start + min((token + 1) * span, seen), high)
            return (first - low) / (high - low) * size, (last - low) / (high - low) * size

        x1, x2 = project(tile_left, column, left, right, width)
        y1, y2 = project(tile_top, row, top, bottom, height)
        return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def cut_tiles(image: Image.Image, layout: TileLayout) -> np.ndarray:
    """RGB picture -> uint8 [1 + columns * rows, tile, tile, 3]: global view, then local tiles row by row."""
    if image.mode != "RGB" or image.size != layout.image_size:
        raise ValueError(f"{image.mode} {image.size} does not match a layout for RGB {layout.image_size}")
    return np.concatenate(cut_views(layout, lambda size, content: _pad(image, size, content)))


def cut_views(layout: TileLayout, pad: Callable[[tuple[int, int], PixelBox], Pixels]) -> tuple[Pixels, Pixels]:
    """The global view and the local tiles, each [tiles, tile, tile, 3]; `pad` gives a canvas of a size with the picture
    in a content box, [height, width, 3]."""
    tile = layout.geometry.tile
    columns, rows = layout.grid
    global_view = pad((tile, tile), layout.global_content)
    canvas = global_view if layout.grid == (1, 1) else pad(layout.canvas, layout.content)
    return global_view[None], canvas.reshape(rows, tile, columns, tile, 3).swapaxes(1, 2).reshape(-1, tile, tile, 3)


def _place(image_size: tuple[int, int], canvas: tuple[int, int]) -> PixelBox:
    """Where `PIL.ImageOps.pad` pastes the resized picture. A picture so thin that it would vanish, which is
    an exception in Pillow and in the official code, keeps one pixel."""
    (width, height), (canvas_width, canvas_height) = image_size, canvas
    if width / height > canvas_width / canvas_height:
        canvas_height = max(1, round(height / width * canvas_width))
    elif width / height < canvas_width / canvas_height:
        canvas_width = max(1, round(width / height * canvas_height))
    left, top = round((canvas[0] - canvas_width) * 0.5), round((canvas[1] - canvas_height) * 0.5)
    return left, top, left + canvas_width, top + canvas_height


def _pad(image: Image.Image, size: tuple[int, int], content: PixelBox) -> np.ndarray:
    """The picture resized into its content box on a grey canvas, as uint8 [height, width, 3]."""
    left, top, right, bottom = content
    canvas = np.full((size[1], size[0], 3), PADDING, np.uint8)
    canvas[top:bottom, left:right] = np.asarray(_resize(image, right - left, bottom - top))
    return canvas


def _resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Bicubic, to the bit the same on every Pillow, each pass by itself."""
    vertical_first = shrinks_vertically_first(image.size, (width, height))
    between = (image.width, height) if vertical_first else (width, image.height)
    return image.resize(between, Image.Resampling.BICUBIC).resize((width, height), Image.Resampling.BICUBIC)


def shrinks_vertically_first(source: tuple[int, int], target: tuple[int, int]) -> bool:
    """Each pass of a resize rounds to 8 bits, so their order matters: Pillow 13 takes the vertical one first when the
    height shrinks more than twice as much as the width."""
    across, down = source[0] - target[0], source[1] - target[1]
    return down > 0 and down > 2 * across
