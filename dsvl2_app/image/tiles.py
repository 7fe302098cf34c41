"""Picture size -> tile grid; token index -> place in the picture.

The model sees a picture as one global view and `columns x rows` local tiles. Which grid is used, where the picture lies
in it and what each of the resulting tokens looks at are all fixed by the size of the picture, so nothing here needs
pixels; `cut.cut_tiles` does.

All follows the official processing code to the bit: `int(width * scale)` truncates, the first best candidate wins, and
the picture is placed as `PIL.ImageOps.pad` places it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from dsvl2_app.errors import ImageError
from dsvl2_app.image.geometry import RELEASED_GEOMETRY, TileGeometry

Box = tuple[float, float, float, float]  # left, top, right, bottom
PixelBox = tuple[int, int, int, int]
IntArray = npt.NDArray[np.int64]

MOST_TILED_IMAGES = 2
NEWLINE, SEPARATOR = -1, -2  # tokens of an image that come from no tile


def choose_grid(
    width: int, height: int, geometry: TileGeometry = RELEASED_GEOMETRY, *, tiling: bool = True
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
    geometry: TileGeometry = RELEASED_GEOMETRY,
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
    geometry: TileGeometry = RELEASED_GEOMETRY,
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
        side = self.geometry.tokens_per_side
        return tuple(np.flatnonzero(order_tokens(side, *self.grid) // side**2 == tile).tolist())

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


@lru_cache(maxsize=64)
def order_tokens(side: int, columns: int, rows: int) -> IntArray:
    """[T], read-only: for each token of an image which token of its tiles it is, tile * side^2 + place in the tile, or
    NEWLINE or SEPARATOR. `Adaptor.arrange` puts embeds in the same order."""
    views = _number_rows(0, side, 1, 1), np.array([SEPARATOR]), _number_rows(1, side, columns, rows)
    order = np.concatenate(views)
    order.flags.writeable = False
    return order


def _number_rows(first: int, side: int, columns: int, rows: int) -> IntArray:
    """Of one view, whose first tile has that number; each row is closed by a newline."""
    down, across = np.arange(rows * side)[:, None], np.arange(columns * side)
    tiles, places = first + down // side * columns + across // side, down % side * side + across % side
    return np.column_stack((tiles * side**2 + places, np.full(rows * side, NEWLINE))).ravel()


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
