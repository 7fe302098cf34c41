"""A large picture that was shown small is not decoded again for the model, and its pixels do not stay."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, features

from dsvl2_app.image import decoded, load, reference
from dsvl2_app.image.decoded import Decoded
from dsvl2_app.image.load import Limits
from dsvl2_app.image.reference import ImageRef
from tests.waiting import wait_until

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
KINDS = ["PNG", "TIFF", "BMP", "JPEG", *(["WEBP"] if features.check("webp") else [])]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Decoded:
    """Those of this test alone; pictures of more than 1,000 px count as large."""
    kept = Decoded()
    monkeypatch.setattr(decoded, "LARGE", 1000)
    monkeypatch.setattr(reference, "DECODED", kept)
    return kept


def encode(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_picture_is_decoded_once(kind: str, kept: Decoded, decodes: list[str]) -> None:
    data = encode(NOISE, kind)
    small = ImageRef.of(data).open_small(50)
    assert decodes == [kind]
    whole = ImageRef.of(data).open()
    assert decodes == [kind] and whole is small
    assert whole.tobytes() == load.load_image(data).tobytes()
    assert ImageRef.of(encode(NOISE.rotate(180), kind)).open() is not whole


def test_a_jpeg_that_was_decoded_smaller_is_not_taken_for_the_whole(kept: Decoded, decodes: list[str]) -> None:
    ref = ImageRef.of(encode(NOISE.resize((240, 160)), "JPEG"))
    assert ref.open_small(60).size == (60, 40)
    assert ref.open().size == (240, 160)
    assert ref.open_small(60) is ref.open()
    assert decodes == ["JPEG"] * 2


@pytest.mark.slow
def test_a_halved_picture_is_decoded_once(kept: Decoded, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    whole = load.load_pixels

    def count(image: Image.Image, side: int | None, halve: bool) -> Image.Image:
        calls.append(halve)
        return whole(image, side, halve)

    monkeypatch.setattr(load, "load_pixels", count)
    data = encode(NOISE.resize((80, 60)), "PNG")
    halved, unlike = ImageRef.of(data, limits=Limits(max_pixels=2400)), ImageRef.of(data)
    assert halved.open_small(20).size == halved.open().size == (40, 30)
    assert calls == [True]
    assert unlike.open().size == (80, 60)  # by other limits it is another picture
    assert calls == [True, False]


def test_a_small_picture_is_decoded_as_often_as_it_is_wanted(kept: Decoded, decodes: list[str]) -> None:
    ref = ImageRef.of(encode(NOISE.resize((30, 20)), "PNG"))
    assert ref.open() is not ref.open()
    assert decodes == ["PNG"] * 2


def test_older_pictures_give_way_to_newer_ones(kept: Decoded) -> None:
    pictures = [(bytes([number]), (60, 40)) for number in range(3)]
    kept.most = 2 * 60 * 40
    for key in pictures:
        kept.keep(key, NOISE)
    assert [kept.find(key) for key in pictures] == [None, NOISE, NOISE]
    kept.keep(pictures[1], NOISE)  # is the newest by that
    kept.keep(pictures[0], NOISE)
    assert [kept.find(key) for key in pictures] == [NOISE, NOISE, None]
    kept.keep((b"", (120, 80)), NOISE.resize((120, 80)))  # more than all together
    assert kept.find((b"", (120, 80))) is None and kept.find(pictures[0]) is NOISE


def test_pixels_go_by_themselves(kept: Decoded) -> None:
    stays, key = Decoded(longest=3600.0), (b"", (60, 40))
    kept.longest = 0.0
    for each in (kept, stays):
        each.keep(key, NOISE)
    wait_until(lambda: kept.find(key) is None)
    kept.keep(key, NOISE)
    wait_until(lambda: kept.find(key) is None)
    assert stays.find(key) is NOISE


def test_a_forked_process_needs_no_lock_of_the_other_one(kept: Decoded) -> None:
    key = (b"", (60, 40))
    kept.keep(key, NOISE)
    with kept._lock:  # as it is while another thread has it
        kept.renew()
        assert kept.find(key) is NOISE
