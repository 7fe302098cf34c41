# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves the types of many arrays open.
"""An inspection -> one compressed file from which the page draws every layer by itself (assets/within.js), and the
attention of one word.

The file is gzip of: length of the header (4 bytes, little endian), the header as JSON, then each array's bytes.
S tokens that pass the decoder, I image tokens, M layers with experts, N layers with a lens, K active experts.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import numpy as np

from dsvl2_app.image.tiles import TileLayout
from dsvl2_app.inspection import Inspection
from dsvl2_app.text.corners import CORNERS, find_numbers

LEVELS = 255
STEPS = 15  # of an expert's weight, which is an opacity: more could not be told apart, and take most of the file


def pack_experts(seen: Inspection) -> np.ndarray:
    """uint8 [M, K, S]: for each layer the first expert of all tokens, then the second, and so on: layers are drawn from
    it as they are, and it is small."""
    return np.ascontiguousarray(seen.experts.swapaxes(1, 2))


def pack(seen: Inspection) -> bytes:
    ids, places = np.unique(seen.lens[..., 0], return_inverse=True)
    most = float(seen.expert_weights.max()) if seen.expert_weights.size else 1.0
    weights = np.rint(seen.expert_weights.astype(np.float32).swapaxes(1, 2) / most * STEPS)
    arrays = {
        "taken": pack_experts(seen).astype(np.uint8),
        "weights": weights.astype(np.uint8),
        "nearest": places.reshape(seen.lens.shape[:2]).astype(np.uint16),  # [N, I] into `words`
        "boxes": list_places(seen),
        "chances": pack_corners(seen),
    }
    header = {
        "layers": len(seen.attention),
        "expertLayers": seen.expert_layers,
        "experts": seen.expert_count,
        "steps": STEPS,
        "lensLayers": seen.lens_layers,
        "words": [seen.words[token] for token in ids.tolist()],
        "pictures": [
            {
                "start": start,
                "tokens": layout.num_tokens,
                "size": layout.image_size,
                "grid": layout.grid,
                "tiles": surround_tiles(layout),
            }
            for start, layout in zip(seen.starts, seen.layouts, strict=True)
        ],
        "corners": read_boxes(seen),
        "prompt": len(seen.prompt),
        "side": seen.layouts[0].geometry.tokens_per_side if seen.layouts else 0,
        "arrays": {name: [array.dtype.name, array.shape] for name, array in arrays.items()},
    }
    told = json.dumps(header, ensure_ascii=False).encode()
    told += b" " * (-len(told) % 4)
    parts = [len(told).to_bytes(4, "little"), told]
    for array in arrays.values():
        data = array.tobytes()
        parts.append(data + b"\0" * (-len(data) % 4))  # the next one begins where it can be read in place
    return gzip.compress(b"".join(parts), 6, mtime=0)


def pack_corners(seen: Inspection) -> np.ndarray:
    """uint8 [C, PLACES]: the square root of each chance of a number in boxes, in 0..255 of the number's largest."""
    most = seen.corners.max(1, keepdims=True) if seen.corners.size else 1.0
    return np.rint(np.sqrt(seen.corners / np.maximum(most, 1e-12)) * LEVELS).astype(np.uint8)


def read_boxes(seen: Inspection) -> list[list[int]]:
    """The numbers of the answer's boxes as they were written, four for each."""
    numbers = [number.value for number in find_numbers(seen.tokens)]
    return [numbers[start : start + CORNERS] for start in range(0, len(numbers), CORNERS)]


def list_places(seen: Inspection) -> np.ndarray:
    """float32 [I, 5]: view (0 global, 1 local, -1 none), and left, top, right, bottom in px of the picture."""
    rows: list[list[float]] = []
    for layout in seen.layouts:
        for place in layout.tokens():
            box = place.box or (0.0, 0.0, 0.0, 0.0)
            rows.append([-1.0 if place.box is None else float(place.view == "local"), *box])
    return np.array(rows, np.float32).reshape(-1, 5)


def surround_tiles(layout: TileLayout) -> list[tuple[float, ...]]:
    """Left, top, width and height of each tile's part of the picture, in px of it."""
    width, height = layout.image_size
    found = [(0.0, 0.0, float(width), float(height))]
    left, top, right, bottom = layout.content
    for tile in range(1, layout.num_tiles):
        edges = layout.tile_box(tile)
        x1, x2 = (min(max((edge - left) / (right - left), 0), 1) * width for edge in edges[::2])
        y1, y2 = (min(max((edge - top) / (bottom - top), 0), 1) * height for edge in edges[1::2])
        found.append((x1, y1, x2 - x1, y2 - y1))
    return found


def pack_attention(seen: Inspection, token: int, head: int | None) -> dict[str, Any]:
    """Of one word of the answer in every layer: the square root of each weight in 0..255 of the largest, as base64 of
    uint8 [L, T], then the mean over the layers as one more row."""
    heads = slice(None) if head is None else slice(head, head + 1)
    weights = seen.attention[:, heads, token].astype(np.float32).mean(1)
    weights = np.concatenate((weights, weights.mean(0, keepdims=True)))  # [L + 1, T]
    weights[:, 0] = 0  # the begin token, which takes most and has no place
    most = weights.max(1, keepdims=True)
    levels = np.rint(np.sqrt(weights / np.maximum(most, 1e-12)) * LEVELS).astype(np.uint8)
    return {"kind": "attention", "levels": base64.b64encode(levels.tobytes()).decode()}
