# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# PyTorch leaves the types of many tensors open.
"""The pictures of a prompt -> their embeds, among those of its text: cut into tiles, encoded, and kept for everybody.

T prompt tokens, D decoder width, N tiles.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dsvl2_app.engine.recent import Recent
from dsvl2_app.engine.task import wait_for
from dsvl2_app.image.cut import cut_tiles
from dsvl2_app.image.pixels import to_array
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.resample import cut_pixels
from dsvl2_app.image.tiles import TileLayout
from dsvl2_app.model.vision import merge_identical
from dsvl2_app.request import Event, Timings
from dsvl2_app.runtime import Runner
from dsvl2_app.text.processor import DeepseekVL2Processor
from dsvl2_app.text.sampling import send
from dsvl2_app.text.tokens import Prompt

FeatureKey = tuple[bytes, tuple[int, int]]  # what an image's embeds depend on: its content_hash, its tile grid


class Features(NamedTuple):
    """Of one image."""

    embeds: Tensor  # [tokens of the image, D]
    twins: Tensor  # [N] tile -> the distinct one that was encoded for it


class Embedded(NamedTuple):
    embeds: Tensor  # [1, T, D] of text and images
    timings: Timings
    features: list[Features]  # of the images that were not reused


class Pictures:
    def __init__(
        self,
        runner: Runner,
        processor: DeepseekVL2Processor,
        threads: Executor,
        limit: int,
    ) -> None:
        """Keeps up to `limit` bytes of embeds, found by content, whoever asks."""
        self._runner, self._model, self._processor = runner, runner.model, processor
        self._threads, self._limit = threads, limit
        self.forget()

    def forget(self) -> None:
        self.kept: Recent[FeatureKey, Features] = Recent(self._limit)

    def embed(self, prompt: Prompt, reused: int) -> Generator[Event | Future[Any], Any, Embedded]:
        """Embeds of text and images after the first `reused` tokens. Only images without features are opened."""
        wanted = [
            (start, (image.content_hash, layout.grid), image, layout)
            for image, layout, start in zip(prompt.images, prompt.layouts, prompt.starts, strict=True)
            if start + layout.num_tokens > reused
        ]
        features = {key: found for _, key, _, _ in wanted if (found := self.kept.get(key)) is not None}
        missing = {key: (image, layout) for _, key, image, layout in wanted if key not in features}
        tiles = sum(layout.num_tiles for layout in prompt.layouts)
        timings = Timings(
            tiles=tiles,
            reused_tiles=tiles - sum(layout.num_tiles for _, layout in missing.values()),
            prompt_tokens=len(prompt.input_ids),
            reused_tokens=reused,
        )
        if missing:
            fresh, timings = yield from self._encode_images(missing, timings)
            features.update(fresh)
        embeds = self._model.embed(send(np.array([prompt.input_ids[reused:]]), self._model.device))
        for start, key, _, layout in wanted:
            known = max(0, reused - start)  # its first tokens may be cached already
            place = slice(start + known - reused, start + layout.num_tokens - reused)
            embeds[0, place] = features[key].embeds[known:]
        return Embedded(embeds, timings, [features[key] for _, key, _, _ in wanted])

    def _encode_images(
        self, images: dict[FeatureKey, tuple[ImageRef, TileLayout]], timings: Timings
    ) -> Generator[Event | Future[Any], Any, tuple[dict[FeatureKey, Features], Timings]]:
        """Features of each image; a step after each batch of tiles. While one is encoded the next ones are read."""
        started, done = time.perf_counter(), 0
        total = sum(layout.num_tiles for _, layout in images.values())
        reads = {key: self._threads.submit(self._read, *image) for key, image in images.items()}
        features: dict[FeatureKey, Features] = {}
        try:
            yield Event("vision", done=0, total=total, timings=timings)
            for key, read in reads.items():
                tiles = yield from wait_for(read)
                if self._runner.cuts_on_device:  # on this thread: another may not use the GPU while a graph is recorded
                    tiles = cut_pixels(tiles.to(self._model.device), images[key][1])
                distinct, twins = merge_identical(tiles)
                tokens: list[Tensor] = []
                for batch in distinct.split(self._runner.tile_batch):
                    tokens.append(self._runner.encode(self._processor.normalise(batch.to(self._model.device))))
                    seconds, encoded = time.perf_counter() - started, timings.encoded_tiles + len(batch)
                    timings = replace(timings, vision=seconds, encoded_tiles=encoded)
                    covered = int((twins < sum(map(len, tokens))).sum())
                    yield Event("vision", done=done + covered, total=total, timings=timings)
                done += len(twins)
                whole = torch.cat(tokens)
                if len(distinct) < len(twins):
                    whole = whole[send(twins.numpy(), whole.device)]
                embeds = self._model.adaptor.arrange(whole, key[1])
                features[key] = Features(embeds, twins)
                self.kept.put(key, features[key], embeds.nbytes)
        finally:
            for read in reads.values():  # if the reader has gone
                read.cancel()
        return features, timings

    def _read(self, image: ImageRef, layout: TileLayout) -> Tensor:
        """The image's tiles [N, side, side, 3] uint8, or its pixels where the device cuts them."""
        pixels = image.open()
        return torch.as_tensor(to_array(pixels) if self._runner.cuts_on_device else cut_tiles(pixels, layout))
