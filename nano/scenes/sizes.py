"""How large pictures are, and how large things must be drawn to stay legible once the picture is tiled."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

TILE = 182  # px; nano's tiles, which picture sizes are chosen around
MOST_TILES = 9

# Columns x rows and how often a picture is made for about that grid: mostly one to four tiles, yet every
# shape.
GRIDS: dict[tuple[int, int], int] = {
    (1, 1): 34, (2, 1): 11, (1, 2): 8, (2, 2): 18, (3, 1): 5, (1, 3): 4, (3, 2): 6, (2, 3): 4, (3, 3): 3,
    (4, 1): 2, (1, 4): 1, (4, 2): 2, (2, 4): 1, (5, 1): 1, (1, 5): 1, (6, 1): 1, (9, 1): 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Level:
    """How hard a scene may be. `hardness` 0: few large things on plain ground; 1: everything that scenes
    have. What is `pure` has colours as programs name them, on a plain ground, and shows no wear.
    """

    hardness: float = 1.0
    most_tiles: int = MOST_TILES
    pure: bool = False

    def __post_init__(self) -> None:
        assert 0.0 <= self.hardness <= 1.0 and 1 <= self.most_tiles <= MOST_TILES


def choose_size(rng: Random, level: Level, *, least: tuple[int, int] = (1, 1), upright: bool = True) -> tuple[int, int]:
    """Width and height in pixels. `least` is the smallest grid that the content needs, space permitting."""
    grids = {
        grid: weight
        for grid, weight in GRIDS.items()
        if grid[0] * grid[1] <= level.most_tiles
        and grid[0] >= min(least[0], level.most_tiles)
        and grid[1] >= min(least[1], level.most_tiles)
        and (upright or grid[0] >= grid[1])
    } or {(1, 1): 1}
    columns, rows = rng.choices(list(grids), list(grids.values()))[0]
    width = columns * TILE * rng.uniform(0.74, 1.0)
    height = rows * TILE * rng.uniform(0.74, 1.0)
    if rng.random() < 0.12 * level.hardness:  # larger than its tiles: the picture is shrunk before it is cut
        zoom = rng.uniform(1.2, 2.2)
        width, height = width * zoom, height * zoom
    return round(width), round(height)


def unit(width: int, height: int, level: Level) -> float:
    """Pixels of the picture that one pixel of its tiles stands for, at least 1."""
    scale = max(
        min(columns * TILE / width, rows * TILE / height)
        for columns in range(1, level.most_tiles + 1)
        for rows in range(1, level.most_tiles // columns + 1)
    )
    return max(1.0, 1.0 / scale)
