"""Samples -> rows of equal length: several samples a row, several dialogues behind one image prefix.

R rows, T tokens a row, N tiles, M image tokens, A tokens that are learnt. Every dialogue sees its sample's images and
itself alone, at the positions it would have if it were asked first, so each encoded image teaches many times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from dsvl2_app.image.tiles import order_tokens
from dsvl2_app.text.prompt import ASSISTANT, USER
from nano.tasks.turn import Turn

PREFIX = -1  # the "dialogue" of a sample's images
PADDING = -1  # the "sample" of unused tokens
DECISIVE_WEIGHT = 4.0  # of an answer's one decisive token, such as a count; a box has four decisive ones


@dataclass(frozen=True, slots=True)
class SpecialIds:
    bos: int
    eos: int
    image: int
    box_start: int  # <|det|>
    box_end: int  # <|/det|>
    label_end: int  # <|/ref|>
    numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One sample as tokens: for each its id, its position, its dialogue, and the weight of predicting it."""

    ids: np.ndarray  # [T] int64
    positions: np.ndarray  # [T] int64
    dialogues: np.ndarray  # [T] int32
    weights: np.ndarray  # [T] float32
    corners: np.ndarray  # [T] bool, numbers inside <|det|>: places, not digits
    image_mask: np.ndarray  # [T] bool
    image_source: np.ndarray  # [M] int64, which token of `tiles` or negative: see `order_tokens`
    tiles: np.ndarray  # [N, side, side, 3] uint8
    looks: dict[str, np.ndarray]  # what patches and tokens show, PatchTargets' fields, for all tiles


@dataclass(frozen=True, slots=True)
class Batch:
    count: int  # samples
    ids: Tensor  # [R, T]
    positions: Tensor  # [R, T]
    samples: Tensor  # [R, T] int32, PADDING where a row is not full
    dialogues: Tensor  # [R, T] int32
    image_mask: Tensor  # [R, T] bool
    image_source: Tensor  # [M]
    tiles: Tensor  # [N, side, side, 3] uint8
    learnt: Tensor  # [A] index into the flattened rows of the token before the one learnt
    targets: Tensor  # [A] ids
    weights: Tensor  # [A] float32
    corners: Tensor  # [A] bool
    looks: dict[str, Tensor]

    def to(self, device: torch.device) -> Batch:
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        return self._map(Tensor.pin_memory)

    def _map(self, move: Callable[[Tensor], Tensor]) -> Batch:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: move(value) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **moved, looks={name: move(value) for name, value in self.looks.items()})

    def look(self) -> Tensor:
        """Which tokens each token attends to, [R, 1, T, T] bool."""
        row = torch.arange(self.ids.shape[1], device=self.ids.device)
        same_sample = self.samples[:, :, None] == self.samples[:, None, :]
        own = self.dialogues[:, :, None] == self.dialogues[:, None, :]
        shared = (self.dialogues == PREFIX)[:, None, :]
        return (same_sample & (own | shared) & (row[:, None] >= row))[:, None]


class Encoder:
    """Samples -> `Encoded`, in exactly the prompt that the processor builds for a first question with these images."""

    def __init__(
        self,
        encode: Callable[[str], list[int]],
        side: int,
        ids: SpecialIds,
        question_weight: float,
    ) -> None:
        self.encode = lru_cache(maxsize=65536)(encode)
        self.side = side  # tokens along a side of a tile
        self.special = ids
        self.numbers = np.fromiter(ids.numbers, np.int64)
        self.question_weight = question_weight  # of predicting what users say; answers weigh 1, what decides them more

    def __call__(
        self,
        grids: Sequence[tuple[int, int]],
        tiles: np.ndarray,
        looks: dict[str, np.ndarray],
        dialogues: Iterable[Sequence[Turn]],
    ) -> Encoded:
        """`tiles` are those of all images in order, `grids` the images' (columns, rows) of local tiles."""
        laid_out = sum(1 + columns * rows for columns, rows in grids)
        assert laid_out == len(tiles), f"{len(tiles)} tiles where the layouts have {laid_out}"
        ids, mask, source = self._encode_images(grids)
        length = len(ids)
        parts = [(ids, [0.0] * length, np.arange(length), np.full(length, PREFIX))]
        for number, turns in enumerate(dialogues):
            dialogue, weights = self._encode_dialogue(turns, opening="\n" if grids else f"{USER}: ")
            positions = np.arange(length, length + len(dialogue))
            parts.append((dialogue, weights, positions, np.full(len(dialogue), number)))
        total = sum(len(part[0]) for part in parts)
        all_ids = np.concatenate([np.asarray(part[0], np.int64) for part in parts])
        return Encoded(
            ids=all_ids,
            corners=self._find_corners(all_ids),
            weights=np.concatenate([np.asarray(part[1], np.float32) for part in parts]),
            positions=np.concatenate([part[2] for part in parts]),
            dialogues=np.concatenate([part[3] for part in parts]).astype(np.int32),
            image_mask=np.pad(np.asarray(mask, bool), (0, total - length)),
            image_source=source,
            tiles=tiles,
            looks=looks,
        )

    def _encode_images(self, grids: Sequence[tuple[int, int]]) -> tuple[list[int], list[bool], np.ndarray]:
        """Ids of what stands before a first question, which of them are images', and where these come from."""
        ids = [self.special.bos, *(self.encode(f"{USER}: ") if grids else ())]
        mask = [False] * len(ids)
        sources = [np.zeros(0, np.int64)]
        first_tile = 0
        for number, (columns, rows) in enumerate(grids):
            line = self.encode("\n") if number else []
            source = order_tokens(self.side, columns, rows)
            sources.append(np.where(source >= 0, source + first_tile * self.side**2, source))
            first_tile += 1 + columns * rows
            ids += [*line, *[self.special.image] * len(source)]
            mask += [*[False] * len(line), *[True] * len(source)]
        return ids, mask, np.concatenate(sources)

    def _find_corners(self, ids: np.ndarray) -> np.ndarray:
        inside = np.cumsum((ids == self.special.box_start).astype(int) - (ids == self.special.box_end)) > 0
        return inside & np.isin(ids, self.numbers)

    def _encode_dialogue(self, turns: Sequence[Turn], opening: str) -> tuple[list[int], list[float]]:
        ids: list[int] = []
        weights: list[float] = []
        for number, turn in enumerate(turns):
            start = opening if number == 0 else f"{USER}: "
            question = self.encode(f"{start}{turn.question.strip()}\n\n{ASSISTANT}:")
            answer = [*self.encode(turn.answer.strip()), self.special.eos]
            ids += question + answer
            weights += [self.question_weight] * len(question) + self._weigh(turn, answer)
        weights[0] = 0.0  # the token before it is not the one before it in the row
        return ids, weights

    def _weigh(self, turn: Turn, answer: list[int]) -> list[float]:
        """A count decides, and in context what follows the kind: boxes, or that there is none."""
        count = self.encode(str(turn.truth["number"])) if "number" in turn.truth else ()
        decisive = [token in count for token in answer]
        if turn.kind == "pictures.in_context":
            decisive[answer.index(self.special.label_end) + 1] = True
        return [DECISIVE_WEIGHT if decides else 1.0 for decides in decisive]


def pack(samples: Iterator[Encoded], rows: int, length: int, most_tiles: int) -> Iterator[Batch]:
    """Fill `rows` rows of `length` tokens, each sample whole in the first row with room; too long ones are left out."""
    carried: Encoded | None = None
    while True:
        filled: list[list[Encoded]] = [[] for _ in range(rows)]
        room = np.full(rows, length)
        tiles = 0
        while True:
            sample = carried if carried is not None else next(samples, None)
            carried = None
            if sample is None:
                return
            if len(sample.ids) > length or len(sample.tiles) > most_tiles:
                continue
            row = int(np.argmax(room >= len(sample.ids)))  # the first with room, or 0
            if room[row] < len(sample.ids) or tiles + len(sample.tiles) > most_tiles:
                carried = sample
                break
            filled[row].append(sample)
            room[row] -= len(sample.ids)
            tiles += len(sample.tiles)
        yield collate(filled, length)


def collate(rows: Sequence[Sequence[Encoded]], length: int) -> Batch:
    shape = (len(rows), length)
    ids, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    samples, dialogues = np.full(shape, PADDING, np.int32), np.zeros(shape, np.int32)
    image_mask, weights, corners = np.zeros(shape, bool), np.zeros(shape, np.float32), np.zeros(shape, bool)
    for row, members in enumerate(rows):
        start = 0
        for number, sample in enumerate(members):
            place = (row, slice(start, start + len(sample.ids)))
            ids[place], positions[place], weights[place] = sample.ids, sample.positions, sample.weights
            corners[place] = sample.corners
            samples[place], dialogues[place], image_mask[place] = number, sample.dialogues, sample.image_mask
            start += len(sample.ids)
    tiles, image_source = _join_tiles([sample for members in rows for sample in members if len(sample.tiles)])
    learnt = np.flatnonzero(weights.ravel())
    looks = [sample.looks for members in rows for sample in members if sample.looks]
    return Batch(
        count=sum(map(len, rows)),
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(positions),
        samples=torch.from_numpy(samples),
        dialogues=torch.from_numpy(dialogues),
        image_mask=torch.from_numpy(image_mask),
        image_source=torch.from_numpy(image_source),
        tiles=torch.from_numpy(tiles),
        learnt=torch.from_numpy(learnt - 1),
        targets=torch.from_numpy(ids.ravel()[learnt]),
        weights=torch.from_numpy(weights.ravel()[learnt]),
        corners=torch.from_numpy(corners.ravel()[learnt]),
        looks={
            name: torch.from_numpy(np.concatenate([look[name] for look in looks]))
            for name in (looks[0] if looks else ())
        },
    )


def _join_tiles(samples: Sequence[Encoded]) -> tuple[np.ndarray, np.ndarray]:
    """All tiles in one array, [N, side, side, 3], and where in them each image token comes from, [M]."""
    if not samples:
        return np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0, np.int64)
    sources: list[np.ndarray] = []
    first_tile = 0
    for sample in samples:
        source = sample.image_source
        tokens = (source.max() + 1) // len(sample.tiles)
        sources.append(np.where(source >= 0, source + first_tile * tokens, source))
        first_tile += len(sample.tiles)
    return np.concatenate([sample.tiles for sample in samples]), np.concatenate(sources)
