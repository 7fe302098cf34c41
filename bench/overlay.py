"""What boxes cost the server: drawn into a 12-megapixel picture for a file, and as HTML over it for the page."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from bench import table
from bench.answer import draw_noise
from dsvl2_app.image.overlay import OverlayBox, draw_boxes
from dsvl2_app.text.boxes import LARGEST, Box
from dsvl2_app.ui.tabs.grounding.linked import show_boxes

SIZE = (4000, 3000)  # px
BOXES = 100


def measure(repeats: int) -> dict[str, Any]:
    """Seconds; the first drawing also loads the fonts."""
    picture, boxes = draw_noise(0, SIZE), scatter_boxes()
    overlays = [OverlayBox(box.label, *box.pixels(*SIZE)) for box in boxes]
    seconds = {
        "first drawing": [_time(lambda: draw_boxes(picture, overlays))],
        "drawing": [_time(lambda: draw_boxes(picture, overlays)) for _ in range(repeats)],
        "html": [_time(lambda: show_boxes("picture.webp", SIZE, boxes)) for _ in range(repeats)],
    }
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    for name, taken in medians.items():
        table.show(f"{BOXES} boxes, {name}", taken)
    return {"size": SIZE, "boxes": BOXES, "median": medians}


def scatter_boxes() -> list[Box]:
    """Of all sizes, each with a label of its own in two scripts."""
    chance = random.Random(0)
    boxes = []
    for number in range(BOXES):
        (x1, x2), (y1, y2) = (sorted(chance.sample(range(LARGEST + 1), 2)) for _ in range(2))
        boxes.append(Box(f"thing {number} 物", x1, y1, x2, y2))
    return boxes


def _time(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
