"""Seeds -> packed batches: each worker process renders its share of the samples, cuts them and packs them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import PreTrainedTokenizerFast

from dsvl2_app.image.cut import cut_tiles
from dsvl2_app.image.tiles import lay_out_all
from dsvl2_app.text.messages import IMAGE_TOKEN
from dsvl2_app.text.processor import DeepseekVL2Processor
from nano.coordinates import NUMBERS
from nano.packing import Batch, Encoded, Encoder, SpecialIds, pack
from nano.samples import Mixture, Sample, SampleStream
from nano.scenes.targets import patch_targets
from nano.things.pack import Pack


@dataclass(frozen=True, slots=True)
class BatchSize:
    """Rows of `length` tokens, and at most so many tiles in all of them."""

    rows: int
    length: int
    most_tiles: int


class Lessons(IterableDataset):
    """Batches of one stage from sample number `start` on; process `rank` of `world` takes its share of them."""

    def __init__(
        self,
        processor: DeepseekVL2Processor,
        mixture: Mixture,
        size: BatchSize,
        question_weight: float,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        run: int = 0,
        pack: Pack | None = None,
    ) -> None:
        self.processor, self.mixture, self.size, self.question_weight = processor, mixture, size, question_weight
        self.start, self.rank, self.world, self.run, self.pack = start, rank, world, run, pack

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        workers, number = (worker.num_workers, worker.id) if worker else (1, 0)
        first, step = self.start + self.rank * workers + number, self.world * workers
        samples = SampleStream(self.mixture, self.run, self.pack).walk(first, step)
        tokenizer, geometry = self.processor.tokenizer, self.processor.geometry
        encoder = Encoder(
            lambda text: tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids,
            geometry.tokens_per_side,
            find_special_ids(tokenizer),
            self.question_weight,
        )
        encoded = (self._encode(sample, encoder) for sample in samples)
        return pack(encoded, self.size.rows, self.size.length, self.size.most_tiles)

    def _encode(self, sample: Sample, encoder: Encoder) -> Encoded:
        geometry = self.processor.geometry
        layouts = lay_out_all([scene.size for scene in sample.scenes], geometry)
        pairs = list(zip(sample.scenes, layouts, strict=True))
        tiles = [cut_tiles(Image.fromarray(scene.image), layout) for scene, layout in pairs]
        looks = [asdict(patch_targets(scene, layout)) for scene, layout in pairs]
        return encoder(
            [layout.grid for layout in layouts],
            np.concatenate(tiles) if tiles else np.zeros((0, geometry.tile, geometry.tile, 3), np.uint8),
            {name: np.concatenate([look[name] for look in looks]) for name in looks[0]} if looks else {},
            sample.dialogues,
        )


def find_special_ids(tokenizer: PreTrainedTokenizerFast) -> SpecialIds:
    names = (tokenizer.bos_token, tokenizer.eos_token, IMAGE_TOKEN, "<|det|>", "<|/det|>", "<|/ref|>")
    vocabulary = tokenizer.get_vocab()
    numbers = frozenset(vocabulary[str(number)] for number in range(NUMBERS))
    return SpecialIds(*(vocabulary[str(name)] for name in names), numbers=numbers)


def load_lessons(lessons: Lessons, workers: int, pin: bool) -> DataLoader:
    return DataLoader(
        lessons,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=2 if workers else None,
        pin_memory=pin,
        worker_init_fn=_start_worker,
    )


def _start_worker(_: int) -> None:
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C reaches them too; the run itself decides when to end
        signal.signal(number, signal.SIG_IGN)
