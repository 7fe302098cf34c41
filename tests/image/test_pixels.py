"""Large and odd pictures: what is right, who may decode at once, and whether anything else runs meanwhile."""

from __future__ import annotations

import gc
import io
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dsvl2_app.errors import ImageError, ResourceError
from dsvl2_app.image import apart, load, pixels
from dsvl2_app.image.load import load_image
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.ui.uploads import PREVIEW_SIDE, shrink

SMOOTH = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8))


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def differ(one: Image.Image, other: Image.Image) -> int:
    assert one.size == other.size
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max())


# --- TIFF -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_ycbcr_tiff_keeps_its_colours(compression: str | None) -> None:
    stored = SMOOTH.convert("YCbCr")
    read = load_image(encode(stored, "TIFF", compression=compression))
    assert differ(read, stored.convert("RGB")) <= 2  # libtiff rounds its own way
    if compression is None:
        assert differ(read, stored.convert("RGB")) == 0


@pytest.mark.parametrize("factors", [(2, 2), (2, 1), (4, 4)])
def test_a_raw_tiff_with_fewer_colours_than_pixels_is_no_damage(factors: tuple[int, int]) -> None:
    data = encode(SMOOTH.convert("YCbCr"), "TIFF")
    tag = struct.pack("<HHI", 530, 3, 2)
    assert data.count(tag) == 1
    place = data.index(tag) + len(tag)
    with pytest.raises(ImageError, match="YCbCr colours are subsampled, which is not supported"):
        load_image(data[:place] + struct.pack("<HH", *factors) + data[place + 4 :])


# --- in bands ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(9, 6), (1, 9), (900, 700), (2, 300_000), (600_000, 3)])
def test_a_picture_in_bands_is_the_whole(size: tuple[int, int]) -> None:
    image = SMOOTH.resize(size, Image.Resampling.NEAREST)
    bands = list(pixels.split_bands(image))
    assert all(band.width * band.height <= max(pixels.BAND, image.width) for band in bands)
    assert (len(bands) == 1) == (bands[0] is image) == (image.width * image.height <= pixels.BAND)
    assert b"".join(band.tobytes() for band in bands) == image.tobytes()
    array = pixels.to_array(image)
    assert np.array_equal(array, np.asarray(image)) and array.flags.writeable


def test_pixels_of_a_large_picture_are_in_memory_once_more() -> None:
    """Where `np.array` has them twice more meanwhile."""
    image = Image.new("RGB", (3000, 2000))
    tracemalloc.start()
    try:
        array = pixels.to_array(image)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * array.nbytes
    finally:
        tracemalloc.stop()


# --- in a process of its own ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_a_process_of_its_own_gives_the_same_pixels(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.arange(700 * 500, dtype=np.uint16).reshape(500, 700))
    else:
        image = SMOOTH.resize((700, 500)).convert(mode)
    data = encode(image, "JPEG2000")
    assert image.width * image.height > apart.FROM["JPEG2000"]
    there, here = apart.decode_apart(data), Image.open(io.BytesIO(data))
    assert there.mode == here.mode and there.tobytes() == here.tobytes() == image.tobytes()
    assert np.array_equal(np.asarray(load_image(data)), np.asarray(load_image(image)))


@pytest.mark.slow
def test_it_gives_the_same_frame_of_an_avif(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(apart.FROM, "AVIF", 0)
    frames = [SMOOTH.resize((90, 60)), Image.new("RGBA", (90, 60), (200, 10, 20, 128))]
    data = encode(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(data)) as file:
        for number in range(2):
            file.seek(number)
            there = apart.decode_apart(data, frame=number)
            assert (there.mode, there.tobytes()) == (file.mode, file.tobytes())
            shown = ImageRef.of(data, frame=number).open()
            assert differ(shown, load_image(file)) == 0
    with pytest.raises(ImageError, match="damaged or incomplete"):
        load_image(encode(frames[0], "AVIF")[:-40])


@pytest.mark.slow
@pytest.mark.parametrize("end", ["raise MemoryError", "import os; os.kill(os.getpid(), 9)"])
def test_memory_that_runs_out_is_no_damage(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, by itself or by Linux, and here."""
    data = encode(SMOOTH.resize((700, 500)), "JPEG2000")
    load_there = f"from dsvl2_app.image import apart\ndef decode(*_): {end}\napart.decode = decode\napart.main()"
    monkeypatch.setattr(apart, "START", load_there)
    with pytest.raises(ResourceError, match="too little memory"):
        load_image(data)

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(load, "load_pixels", fail)
    with pytest.raises(ResourceError, match="too little memory"):
        load_image(encode(SMOOTH, "PNG"))
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(ResourceError, match="too little memory"):
        load_image(encode(SMOOTH, "PNG"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG2000", {"quality_mode": "rates", "quality_layers": [30]}), ("AVIF", {"speed": 10, "quality": 95})],
)
def test_what_would_hold_up_other_threads_is_decoded_in_another_process(
    kind: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (1500, 2000, 3), dtype=np.uint8))
    data = encode(noise, kind, **options)
    expected = apart.decode(data)
    monkeypatch.setattr(apart, "decode", lambda *_: pytest.fail("decoded here, under Pillow's lock"))
    assert load_image(data).tobytes() == expected.tobytes()


@pytest.mark.slow
def test_a_damaged_jpeg_2000_is_refused() -> None:
    data = encode(SMOOTH.resize((700, 500)), "JPEG2000")
    with pytest.raises(ImageError, match="damaged or incomplete"):
        load_image(data[: len(data) // 2])


@pytest.mark.slow
def test_a_jpeg_2000_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(SMOOTH.resize((700, 500)), "JPEG2000")
    monkeypatch.setattr(apart, "PATIENCE", 0.01)
    with pytest.raises(ImageError, match="takes too long to decode; save it as JPEG or PNG"):
        load_image(data)
    monkeypatch.undo()
    endless = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass"
    monkeypatch.setattr(apart, "START", endless)
    with pytest.raises(ImageError, match="takes too long to decode; save it as JPEG or PNG"):
        load_image(data)


@pytest.mark.slow
@pytest.mark.parametrize("levels", [1, 6])
def test_a_large_jpeg_2000_is_decoded_at_half_its_resolution(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = SMOOTH.resize((900, 600), Image.Resampling.BICUBIC)
    data = encode(image, "JPEG2000", num_resolutions=levels)
    assert differ(apart.decode(data), image) == 0
    monkeypatch.setattr(apart, "HALVED", 500_000)
    halved = apart.decode(data)
    assert differ(halved, image) < (10 if levels > 1 else 1)
    assert (halved.tobytes() == image.tobytes()) == (levels == 1)  # such a file has no other resolution
    small = apart.decode(data, side=200)
    assert small.size == ((225, 150) if levels > 1 else (900, 600))


# --- looking at pictures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True])
def test_a_small_jpeg_is_decoded_where_only_a_small_one_is_wanted(turned: bool, decodes: list[str]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    ref = ImageRef.of(encode(SMOOTH.resize((2400, 1600)), "JPEG", exif=exif))
    small = ref.open_small(500)
    assert small.size == ((400, 600) if turned else (600, 400))
    assert differ(shrink(small), small) == 0
    assert differ(small, ref.open().resize(small.size, Image.Resampling.BOX)) < 12
    assert ref.opened().open_small(500).size == ref.size  # the pixels that are held


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_other_kinds_are_decoded_as_a_whole(kind: str) -> None:
    assert ImageRef.of(encode(SMOOTH.resize((90, 60)), kind)).open_small(20).size == (90, 60)


@pytest.mark.parametrize("size", [(2600, 10), (1, 5000), (1281, 1280), (1280, 1280), (3, 2)])
def test_previews_are_no_longer_than_their_side(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (9, 80, 200))
    small = shrink(image)
    assert max(small.size) == min(PREVIEW_SIDE, max(size)) and min(small.size) >= 1
    assert small is not image and small.getextrema() == image.getextrema()


# --- memory -----------------------------------------------------------------------------------------------


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A file that counts as large."""
    monkeypatch.setattr(pixels, "LARGE", 1000)
    return encode(SMOOTH.resize((60, 40)), "PNG")


def test_two_large_pictures_are_decoded_at_once(large: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most, lock = 0, 0, threading.Lock()
    whole: Callable[..., Image.Image] = load.load_pixels

    def slowly(image: Image.Image, *how: Any) -> Image.Image:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.02)
        with lock:
            inside -= 1
        return whole(image, *how)

    monkeypatch.setattr(load, "load_pixels", slowly)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(load_image, [large] * 8))
        assert most == 2
        list(threads.map(load_image, [encode(SMOOTH, "PNG")] * 8))
        assert most > 2


def test_a_damaged_picture_leaves_its_turn(large: bytes) -> None:
    for _ in range(3):
        with pytest.raises(ImageError):
            load_image(large[:-40])
    assert load_image(large).size == (60, 40)


def test_memory_is_given_back_once_the_picture_is_gone(large: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    given = threading.Event()
    with pixels._trimming:  # once what other tests began is over
        monkeypatch.setattr(pixels, "SOON", 0.0)
    trim = pixels._trim
    monkeypatch.setattr(pixels, "_trim", lambda: (trim(), given.set()))
    image = load_image(large)
    assert not given.wait(0.05)
    del image
    gc.collect()
    assert given.wait(5)
    given.clear()
    load_image(encode(SMOOTH, "PNG"))
    assert not given.wait(0.05)


def test_a_large_picture_is_not_held(large: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from dsvl2_app.image import reference

    monkeypatch.setattr(reference, "LARGE", 1000)
    assert ImageRef.of(large).opened().pixels is None
    assert ImageRef.of(encode(SMOOTH, "PNG")).opened().pixels is not None
