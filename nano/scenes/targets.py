"""Scene + layout -> what every patch and every token shows, for the warm-up of the vision encoder.

N tiles, P patches a tile, M tokens a tile. -1 means "not to be learnt": padding, and letters too small or too
far off the middle of the patch to be told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsvl2_app.image.geometry import TileGeometry
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
    kinds: np.ndarray  # [N, P] int16, scene.KINDS; -1 on padding
    colours: np.ndarray  # [N, P] int8, 0 for none
    characters: np.ndarray  # [N, P, SLOTS] int8, 0 for none
    order: np.ndarray  # [N, P, SLOTS] int8, place in the word; -1 where there is no character
    offsets: np.ndarray  # [N, P, 4] float32, the box's edges seen from the patch's middle, in tiles
    token_kinds: np.ndarray  # [N, M] int16
    token_boxes: np.ndarray  # [N, M, 4] int16, 0..999 over the picture; -1 where there is no object


def patch_targets(scene: Scene, layout: TileLayout) -> PatchTargets:
    """The targets of the whole picture in a single tile, then of the tiles that it is cut into."""
    truth = _Truth.of(scene)
    views = (
        _View(scene, layout.geometry, (1, 1), layout.global_content),
        _View(scene, layout.geometry, layout.grid, layout.content),
    )
    parts = [(*_look_at_patches(truth, view), *_look_at_tokens(truth, view)) for view in views]
    return PatchTargets(*(np.concatenate(each) for each in zip(*parts, strict=True)))


@dataclass(frozen=True, slots=True)
class _Truth:
    """What a picture shows, by the number of the owning object; 0 is the ground."""

    scene: Scene
    boxes: np.ndarray  # float32, pixels
    kinds: np.ndarray
    colours: np.ndarray
    scaled: np.ndarray  # the boxes in 0..999; -1 for the ground

    @staticmethod
    def of(scene: Scene) -> _Truth:
        boxes = np.array([(0, 0, 0, 0), *(item.box for item in scene.objects)], np.float32)
        kinds = np.array([0, *(KIND_CODE[item.look] for item in scene.objects)], np.int16)
        colours = np.array([0, *(COLOUR_CODE.get(item.colour, 0) for item in scene.objects)], np.int8)
        width, height = scene.size
        spread = 999 / np.array((width, height, width, height), np.float32)
        scaled = np.round(boxes * spread).astype(np.int16)
        scaled[0] = -1
        return _Truth(scene, boxes, kinds, colours, scaled)


def _look_at_patches(truth: _Truth, view: _View) -> tuple[np.ndarray, ...]:
    """Kinds, colours, characters, order and offsets of one view's patches."""
    geometry = view.geometry
    middle = (np.arange(geometry.patches) + 0.5) * geometry.patch
    x, y = view.along_x(middle), view.along_y(middle)
    owner = view.gather(truth.scene.owner, y, x)
    kind = np.where(view.inside(y, x), truth.kinds[owner], -1).astype(np.int16)
    # Edges in tile pixels, minus the patch's place on the same canvas.
    edges = truth.boxes * np.array((view.scale_x, view.scale_y) * 2, np.float32)
    edges += np.array((view.left, view.top) * 2, np.float32)
    offsets = edges[owner]
    offsets[..., 0::2] -= x.canvas[:, None]
    offsets[..., 1::2] -= y.canvas[:, None, None]
    offsets = np.where((owner > 0)[..., None], offsets / geometry.tile, 0).astype(np.float32)
    characters, order = _look_at_characters(truth.scene, view, middle)
    return (
        view.by_tile(kind),
        view.by_tile(np.where(kind < 0, np.int8(-1), truth.colours[owner])),
        view.by_tile(characters.reshape(*kind.shape, SLOTS)),
        view.by_tile(order.reshape(*kind.shape, SLOTS)),
        view.by_tile(offsets),
    )


def _look_at_characters(scene: Scene, view: _View, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The characters in the patches with these middles, SLOTS side by side, and their places in the word."""
    geometry = view.geometry
    y = view.along_y(middle)
    x = view.along_x((np.arange(geometry.patches * SLOTS) + 0.5) * geometry.patch / SLOTS)
    letters = view.gather(scene.characters, y, x).astype(np.int8)
    small = view.gather(scene.capitals, y, x) < LEGIBLE / view.scale_y
    off_middle = np.zeros_like(small)
    for shift in (-OFF_MIDDLE, OFF_MIDDLE):
        off_middle |= view.gather(scene.characters, view.along_y(middle + shift), x) > 0
    untold = ~view.inside(y, x) | np.where(letters > 0, small, off_middle)
    characters = np.where(untold, np.int8(-1), letters)
    order = np.minimum(view.gather(scene.order, y, x), ORDERS - 1).astype(np.int8)
    return characters, np.where(characters > 0, order, np.int8(-1))


def _look_at_tokens(truth: _Truth, view: _View) -> tuple[np.ndarray, ...]:
    """Kinds and boxes of one view's tokens, each of which stands for several patches."""
    geometry, pixels = view.geometry, truth.scene.owner
    patch = geometry.patch
    centre = (np.arange(geometry.tokens_per_side) + 0.5) * patch * geometry.downsample
    x, y = view.along_x(centre), view.along_y(centre)
    owner = view.gather(pixels, y, x)
    for down in (-patch / 2, patch / 2):  # what its patches show, where its middle shows nothing
        for right in (-patch / 2, patch / 2):
            corner = view.gather(pixels, view.along_y(centre + down), view.along_x(centre + right))
            owner = np.where(owner > 0, owner, corner)
    kind = np.where(view.inside(y, x) | (owner > 0), truth.kinds[owner], -1).astype(np.int16)
    return view.by_tile(kind), view.by_tile(truth.scaled[owner])


@dataclass(frozen=True, slots=True)
class _Places:
    """Places along one side of a canvas, and the pixels of the picture under them."""

    canvas: np.ndarray
    pixels: np.ndarray
    inside: np.ndarray


class _View:
    """One canvas of tiles and where the picture lies in it."""

    def __init__(
        self, scene: Scene, geometry: TileGeometry, grid: tuple[int, int], content: tuple[int, int, int, int]
    ) -> None:
        self.geometry, (self.columns, self.rows) = geometry, grid
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
        canvas = (np.arange(tiles)[:, None] * self.geometry.tile + places).ravel()
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
