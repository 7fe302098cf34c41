# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves the types of many arrays open.
"""`Inspection` <-> an .npz file, or .json; docs/inspection.md has the schema.

An .npz has each array under its name, and under `about` a JSON object with everything else, as UTF-8 bytes. Pictures
lie beside as encoded files. A .json file is that object with `arrays`: name -> {"shape", "dtype", "base64"}.
"""

from __future__ import annotations

import base64
import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dsvl2_app.errors import PromptError
from dsvl2_app.image.geometry import TileGeometry
from dsvl2_app.image.tiles import TileLayout
from dsvl2_app.inspection.record import NEAREST, PLACES, Inspection

SCHEMA = "dsvl2-inspection-1"
LONGEST_SIDE = 1280  # px, of a picture in a file
MOST_BYTES = 2**30  # of a file, unpacked
# Sizes named by a letter are the same everywhere: see inspection/record.py.
ARRAYS: dict[str, tuple[tuple[str, ...], tuple[int | str, ...]]] = {
    "attention": (("float16",), ("L", "H", "A", "T")),
    "answer_attention": (("float16",), ("L", "H", "A")),
    "experts": (("uint8", "uint16"), ("M", "S", "K")),
    "expert_weights": (("float16",), ("M", "S", "K")),
    "lens": (("int32",), ("N", "I", NEAREST)),
    "alternatives": (("int32",), ("A", 1 + NEAREST)),
    "logprobs": (("float32",), ("A", 1 + NEAREST)),
    "corners": (("float32",), ("C", PLACES)),
}
TUPLES = ("prompt", "tokens", "answer_ids", "starts", "twins", "expert_layers", "lens_layers", "corner_tokens")


def write(seen: Inspection, path: str | Path, pictures: Sequence[bytes] = ()) -> None:
    """To a name that ends in .npz or .json. `pictures` are encoded files, so that a page can show them again."""
    Path(path).write_bytes(pack(seen, pictures, as_json=str(path).endswith(".json")))


def encode(image: Image.Image) -> bytes:
    """A picture for a file: WebP, shrunk to `LONGEST_SIDE`."""
    small, file = image.convert("RGB"), io.BytesIO()
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    small.save(file, "webp")
    return file.getvalue()


def pack(seen: Inspection, pictures: Sequence[bytes] = (), *, as_json: bool = False) -> bytes:
    about = describe(seen)
    arrays: dict[str, np.ndarray] = {name: getattr(seen, name) for name in ARRAYS}
    arrays |= {f"picture_{number}": np.frombuffer(data, np.uint8) for number, data in enumerate(pictures)}
    if as_json:
        about["arrays"] = {name: _write_array(array) for name, array in arrays.items()}
        return json.dumps(about, ensure_ascii=False).encode()
    told = np.frombuffer(json.dumps(about, ensure_ascii=False).encode(), np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, about=told, **arrays)  # pyright: ignore[reportArgumentType]
    return file.getvalue()


def describe(seen: Inspection) -> dict[str, Any]:
    """Everything but the arrays, for JSON."""
    return {
        "schema": SCHEMA,
        "model": seen.model,
        **{name: list(getattr(seen, name)) for name in TUPLES},
        "expert_count": seen.expert_count,
        "words": {str(token): word for token, word in seen.words.items()},
        "layouts": [_describe_layout(layout) for layout in seen.layouts],
        "seconds": seen.seconds,
        "memory": seen.memory,
    }


def _describe_layout(layout: TileLayout) -> dict[str, Any]:
    geometry = {each.name: getattr(layout.geometry, each.name) for each in fields(layout.geometry)}
    return {"size": list(layout.image_size), "grid": list(layout.grid), "geometry": geometry}


def _write_array(array: np.ndarray) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"shape": list(array.shape), "dtype": array.dtype.name, "base64": data}


def read(path: str | Path) -> tuple[Inspection, tuple[bytes, ...]]:
    """What `write` has written, from either kind of file, and its pictures. Nothing in a file is run. Raises
    PromptError where it is none, is damaged, or has arrays that do not fit together."""
    try:
        data = Path(path).read_bytes()
        about, arrays = _read_npz(data) if data[:2] == b"PK" else _read_json(data)
        seen = _build(about, arrays)
    except Exception as error:
        raise PromptError(
            "{name} is no inspection of this app, or is damaged; choose an .npz or .json that it has written.",
            name=Path(path).name,
        ) from error
    pictures = (arrays.get(f"picture_{number}") for number in range(len(seen.layouts)))
    return seen, tuple(picture.tobytes() for picture in pictures if picture is not None)


def _read_npz(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
            raise ValueError("too large")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(arrays.pop("about").tobytes()), arrays


def _read_json(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    about = json.loads(data)
    arrays = {
        name: np.frombuffer(base64.b64decode(told["base64"]), _choose(told["dtype"])).reshape(told["shape"])
        for name, told in about.pop("arrays").items()
    }
    return about, arrays


def _choose(name: str) -> np.dtype[Any]:
    if name not in ("float16", "float32", "int32", "uint8", "uint16"):
        raise ValueError(name)
    return np.dtype(name)


def _build(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Inspection:
    if about["schema"] != SCHEMA:
        raise ValueError(about["schema"])
    layouts = tuple(_read_layout(told) for told in about["layouts"])
    given: dict[str, Any] = {name: tuple(about[name]) for name in TUPLES}
    texts, numbers = ("prompt", "tokens"), TUPLES[2:]
    if not all(isinstance(each, str) for name in texts for each in given[name]):
        raise ValueError("no texts")
    if not all(isinstance(each, int) for name in numbers for each in given[name]):
        raise ValueError("no numbers")
    given |= {name: arrays[name] for name in ARRAYS}
    seen = Inspection(
        **given,
        layouts=layouts,
        expert_count=int(about["expert_count"]),
        words={int(token): str(word) for token, word in about["words"].items()},
        seconds=float(about["seconds"]),
        memory=int(about["memory"]),
        model=str(about["model"]),
    )
    check(seen)
    return seen


def _read_layout(told: Mapping[str, Any]) -> TileLayout:
    values: dict[str, Any] = {each.name: told["geometry"][each.name] for each in fields(TileGeometry)}
    values["candidates"] = tuple(tuple(pair) for pair in values["candidates"])
    geometry = TileGeometry(**values)
    width, height = told["size"]
    layout = TileLayout((int(width), int(height)), geometry, (int(told["grid"][0]), int(told["grid"][1])))
    if min(layout.image_size) < 1 or (layout.canvas not in geometry.candidates and layout.grid != (1, 1)):
        raise ValueError("no such grid")
    return layout


def check(seen: Inspection) -> None:
    """Raises ValueError where sizes, ids or places do not fit together."""
    sizes = {"T": len(seen.prompt), "A": len(seen.tokens), "S": len(seen.prompt) + len(seen.tokens) - 1}
    sizes |= {"M": len(seen.expert_layers), "N": len(seen.lens_layers), "C": len(seen.corner_tokens)}
    sizes["I"] = sum(layout.num_tokens for layout in seen.layouts)
    for name, (kinds, shape) in ARRAYS.items():
        array: np.ndarray = getattr(seen, name)
        named = zip(shape, array.shape, strict=True)
        wanted = tuple(sizes.setdefault(size, length) if isinstance(size, str) else size for size, length in named)
        if array.dtype.name not in kinds or array.shape != wanted:
            raise ValueError(f"{name}: {array.dtype} {array.shape}")
    ends = [start + layout.num_tokens for start, layout in zip(seen.starts, seen.layouts, strict=True)]
    places = [at for pair in zip(seen.starts, ends, strict=True) for at in pair]
    if places != sorted(places) or (places and (places[0] < 0 or places[-1] > sizes["T"])):
        raise ValueError("pictures that lie in each other")
    if any(np.array(seen.prompt, object)[seen.image_mask]):
        raise ValueError("text where a picture is")
    known = set(seen.words)
    if not set(np.unique(seen.lens).tolist()) | set(np.unique(seen.alternatives).tolist()) <= known:
        raise ValueError("words without spelling")
    if len(seen.answer_ids) != sizes["A"] or (seen.experts.size and int(seen.experts.max()) >= seen.expert_count):
        raise ValueError("experts or ids that are not there")
    if len(seen.twins) != sum(layout.num_tiles for layout in seen.layouts) or not math.isfinite(seen.seconds):
        raise ValueError("tiles that are not there")
    if not all(0 <= token < sizes["A"] for token in seen.corner_tokens):
        raise ValueError("numbers that are not there")
