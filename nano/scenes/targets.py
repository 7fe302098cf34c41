"""Scene + layout -> what every patch and every token shows, for the warm-up of the vision encoder.

N tiles, P patches a tile, M tokens a tile. -1 means "not to be learnt": padding, and letters too small or too
far off the middle of the patch to be told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsvl2_app.image.tiles import TileLayout
from nano.scenes.fonts import CHARACTERS
from nano.scenes.scene import COLOUR_CODE, KIND_CODE, KINDS, Scene

SLOTS = 2  # places for characters side by side in a patch
LEGIBLE = 7  # px of a capital on its tile, below which no character is asked for
ORDERS = 12  # places in a word that are told apart; later ones count as the last
OFF_MIDDLE = 4  # px: a line that only reaches this near to the patch's middle is not asked for
NUM_KINDS, NUM_COLOURS, NUM_CHARACTERS = len(KINDS), len(COLOUR_CODE) + 1, len(CHARACTERS) + 1


@dataclass(frozen=True, slots=True)
class PatchTargets:
    kinds: np.ndarray  # [N, P] int8, scene.KINDS; -1 on padding
    colours: np.ndarray  # [N, P] int8, 0 for none
    characters: np.ndarray  # [N, P, SLOTS] int8, 0 for none
    order: np.ndarray  # [N, P, SLOTS] int8, place in the word; -1 where there is no character
    offsets: np.ndarray  # [N, P, 4] float32, the box's edges seen from the patch's middle, in tiles
    token_kinds: np.ndarray  # [N, M] int8
    token_boxes: np.ndarray  # [N, M, 4] int16, 0..999 over the picture; -1 where there is no object


def patch_targets(scene: Scene, layout: TileLayout) -> PatchTargets:
    geometry = layout.geometry
    columns, rows = layout.grid
    boxes = np.array([(0, 0, 0, 0), *(item.box for item in scene.objects)], np.float32)
    kinds = np.array([0, *(KIND_CODE[item.look] for item in scene.objects)], np.int8)
    colours = np.array([0, *(COLOUR_CODE.get(item.colour, 0) for item in scene.objects)], np.int8)
    width, height = scene.size
    spread = 999 / np.array((width, height, width, height), np.float32)
    scaled = np.round(boxes * spread).astype(np.int16)
    scaled[0] = -1

    def look(grid: tuple[int, int], content: tuple[int, int, int, int]) -> list[np.ndarray]:
        """The targets of one view: the whole picture in a single tile, or cut into `grid`."""
        view = _View(scene, geometry.tile, grid, content)
        patches, patch = geometry.patches, geometry.patch
        middle = (np.arange(patches) + 0.5) * patch
        x, y = view.along_x(middle), view.along_y(middle)
        owner = view.gather(scene.owner, y, x)
        kind = np.where(view.inside(y, x), kinds[owner], -1).astype(np.int8)
        # Edges in tile pixels, minus the patch's place on the same canvas.
        edges = boxes * np.array((view.scale_x, view.scale_y) * 2, np.float32)
        edges += np.array((content[0], content[1]) * 2, np.float32)
        offsets = edges[owner]
        offsets[..., 0::2] -= x.canvas[:, None]
        offsets[..., 1::2] -= y.canvas[:, None, None]
        offsets = np.where((owner > 0)[..., None], offsets / geometry.tile, 0).astype(np.float32)
        slot_x = view.along_x((np.arange(patches * SLOTS) + 0.5) * patch / SLOTS)
        letters = view.gather(scene.characters, y, slot_x).astype(np.int8)
        small = view.gather(scene.capitals, y, slot_x) < LEGIBLE / view.scale_y
        off_middle = np.zeros_like(small)
        for shift in (-OFF_MIDDLE, OFF_MIDDLE):
            off_middle |= view.gather(scene.characters, view.along_y(middle + shift), slot_x) > 0
        untold = ~view.inside(y, slot_x) | np.where(letters > 0, small, off_middle)
        characters = np.where(untold, np.int8(-1), letters)
        order = np.minimum(view.gather(scene.order, y, slot_x), ORDERS - 1).astype(np.int8)
        order = np.where(characters > 0, order, np.int8(-1))
        step = patch * geometry.downsample
        centre = (np.arange(geometry.tokens_per_side) + 0.5) * step
        token_x, token_y = view.along_x(centre), view.along_y(centre)
        token = view.gather(scene.owner, token_y, token_x)
        for down in (-patch / 2, patch / 2):  # what its patches show, where its middle shows nothing
            for right in (-patch / 2, patch / 2):
                corner = view.gather(scene.owner, view.along_y(centre + down), view.along_x(centre + right))
                token = np.where(token > 0, token, corner)
        token_kind = np.where(view.inside(token_y, token_x) | (token > 0), kinds[token], -1).astype(np.int8)
        return [
            view.by_tile(kind),
            view.by_tile(np.where(kind < 0, np.int8(-1), colours[owner])),
            view.by_tile(characters.reshape(*kind.shape, SLOTS)),
            view.by_tile(order.reshape(*kind.shape, SLOTS)),
            view.by_tile(offsets),
            view.by_tile(token_kind),
            view.by_tile(scaled[token]),
        ]

    views = (look((1, 1), layout.global_content), look((columns, rows), layout.content))
    return PatchTargets(*(np.concatenate(parts) for parts in zip(*views, strict=True)))


@dataclass(frozen=True, slots=True)
class _Places:
    """Places along one side of a canvas, and the pixels of the picture under them."""

    canvas: np.ndarray
    pixels: np.ndarray
    inside: np.ndarray


class _View:
    """One canvas of tiles and where the picture lies in it."""

    def __init__(self, scene: Scene, tile: int, grid: tuple[int, int], content: tuple[int, int, int, int]) -> None:
        self.tile, (self.columns, self.rows) = tile, grid
        self.left, self.top, right, bottom = content
        self.width, self.height = scene.size
        self.scale_x = (right - self.left) / self.width
        self.scale_y = (bottom - self.top) / self.height

    def along_x(self, places: np.ndarray) -> _Places:
        """Places in a tile -> places on the canvas, for every column of tiles."""
        return self._along(places, self.columns, self.left, self.scale_x, self.width)

    def along_y(self, places: np.ndarray) -> _Places:
        return self._along(places, self.rows, self.top, self.scale_y, self.height)

    def _along(self, places: np.ndarray, tiles: int, start: int, scale: float, length: int) -> _Places:
        canvas = (np.arange(tiles)[:, None] * self.tile + places).ravel()
        pixels = np.floor((canvas - start) / scale).astype(np.intp)
        inside = (pixels >= 0) & (pixels < length)
        return _Places(canvas, np.minimum(np.maximum(pixels, 0), length - 1), inside)

    def gather(self, pixel_map: np.ndarray, y: _Places, x: _Places) -> np.ndarray:
        """Values under canvas places, 0 on padding."""
        return pixel_map[y.pixels[:, None], x.pixels] * self.inside(y, x)

    def inside(self, y: _Places, x: _Places) -> np.ndarray:
        return y.inside[:, None] & x.inside

    def by_tile(self, values: np.ndarray) -> np.ndarray:
        """[rows * n, columns * n, ...] -> [tiles, n * n, ...]"""
        n = values.shape[0] // self.rows
        split = values.reshape(self.rows, n, self.columns, n, *values.shape[2:]).swapaxes(1, 2)
        return split.reshape(self.rows * self.columns, n * n, *values.shape[2:])
