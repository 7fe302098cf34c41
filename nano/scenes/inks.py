"""A drawing in one ink: in any colour, and most often painted, as in a book to paint."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np

PAINTED = 0.65  # share of drawings whose closed areas are filled
PAINTS = 4  # colours at most in one drawing


def ink(whole: np.ndarray, rng: Random) -> np.ndarray:
    """As large as before, in other colours. `whole` is uint8 [height, width, 4]: RGB multiplied with alpha, and alpha,
    which alone counts."""
    alpha = whole[..., 3]
    pen = [rng.randint(0, 70)] * 3 if rng.random() < 0.6 else _colour(rng)
    if rng.random() >= PAINTED:
        return _mix(pen, np.zeros((1, 1, 3), np.uint8), alpha, alpha)
    areas = _find_areas(alpha)
    paints = [_colour(rng) for _ in range(rng.randint(1, PAINTS - 1))] + [[255, 255, 255]]
    table = np.array([paints[rng.randrange(len(paints))] for _ in range(int(areas.max()) + 1)], np.uint8)
    # The ink's soft edge lies on the paint beside it.
    near = cv2.dilate(areas.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.intp)
    return _mix(pen, table[near], alpha, np.where(near > 0, 255, alpha).astype(np.uint8))


def _find_areas(alpha: np.ndarray) -> np.ndarray:
    """int32 [height, width]: 0 for ink and for what lies outside, 1 to 255 for what ink closes in."""
    open_ = cv2.copyMakeBorder((alpha < 128).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    _, areas = cv2.connectedComponents(open_, connectivity=4)
    areas[areas == areas[0, 0]] = 0
    return np.minimum(areas[1:-1, 1:-1], 255)


def _mix(pen: list[int], paint: np.ndarray, alpha: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Ink over paint, as strong as `shown` says."""
    share = alpha[..., None].astype(np.float32) / 255
    colours = np.array(pen, np.float32) * share + paint.astype(np.float32) * (shown[..., None] / 255 - share).clip(0)
    return np.dstack((colours.round().astype(np.uint8), shown))


def _colour(rng: Random) -> list[int]:
    return [rng.randint(30, 255) for _ in "rgb"]
