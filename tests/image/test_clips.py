from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from dsvl2_app.errors import ImageError, PromptError
from dsvl2_app.image import clips
from dsvl2_app.image.clips import describe_moment, is_clip, read_clip, render_stills, spread
from dsvl2_app.image.clips_apart import choose
from dsvl2_app.image.load import load_image
from dsvl2_app.image.page_ranges import open_pages
from dsvl2_app.image.reference import ImageRef, find_frames

STEP = 6  # brightness from one frame to the next
MOST = 40_000_000


def write_clip(path: Path, frames: int = 40, kind: str = "mp4v", size: tuple[int, int] = (64, 48)) -> bytes:
    """Ten frames a second, frame N of brightness STEP N."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*kind), 10, size)
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), STEP * number, np.uint8))
    writer.release()
    return path.read_bytes()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    write_clip(path)
    return path


@pytest.mark.parametrize(("suffix", "kind"), [("mp4", "mp4v"), ("webm", "VP80")])
def test_stills_are_even_in_time(tmp_path: Path, suffix: str, kind: str) -> None:
    data = write_clip(tmp_path / f"clip.{suffix}", kind=kind)
    assert is_clip(data)
    found = read_clip(data, "clip", MOST)
    assert found.size == (64, 48)
    assert len(found.frames) == clips.MOST_STILLS
    assert found.length == pytest.approx(3.9, abs=0.11)
    assert np.allclose(found.seconds, [number / 10 for number in found.frames], atol=0.06)
    assert np.ptp(np.diff(found.frames)) <= 1
    stills = render_stills(data, "clip", [0, 11, 23], MOST)
    for still, at in zip(stills, (0, 11, 23), strict=True):
        assert still.size == (64, 48)
        assert np.asarray(still).mean() == pytest.approx(STEP * found.frames[at], abs=4)


def test_a_still_is_a_page_of_its_file(clip: Path) -> None:
    assert find_frames(clip) == (24, "still")
    first, last = ImageRef.of(clip, frame=0), ImageRef.of(clip, frame=23)
    assert first.size == last.size == (64, 48)
    assert first.content_hash != last.content_hash
    assert np.asarray(last.open()).mean() > np.asarray(first.open()).mean() + 100
    with pytest.raises(ImageError, match="has no still 25"):
        ImageRef.of(clip, frame=24)
    with pytest.raises(ImageError, match="has no still 25"):
        render_stills(clip.read_bytes(), "clip", [24], 10**6)
    assert first.kind == "still"
    with pytest.raises(PromptError, match="There are stills 1 to 24"):
        open_pages(str(clip), "25")
    for open_picture in (load_image, ImageRef.of):  # where no still is chosen
        with pytest.raises(ImageError, match="is a video; save a still"):
            open_picture(clip)


def shape_pixels(clip: bytes, across: int, down: int, *, turned: bool = False) -> bytes:
    """An MP4 whose pixels are shown so wide and high, by a `pasp` box; `turned` by 90 degrees, too."""
    place, data = clip.index(b"moov"), bytearray(clip)
    assert clip.index(b"mdat") < place  # what it tells of places in the file stays true
    added = struct.pack(">I4sII", 16, b"pasp", across, down)
    for parent in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4v"):
        place = data.index(parent, place)
        (size,) = struct.unpack_from(">I", data, place - 4)
        struct.pack_into(">I", data, place - 4, size + len(added))
    data[place - 4 + size : place - 4 + size] = added
    if turned:
        matrix = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
        struct.pack_into(">9i", data, data.index(b"tkhd") + 44, *matrix)
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("across", "down", "turned", "size"),
    [
        (4, 3, False, (85, 48)),
        (8, 9, False, (64, 54)),
        (1, 1, False, (64, 48)),
        (4, 3, True, (48, 85)),
        (8, 9, True, (54, 64)),
        (1, 1, True, (48, 64)),
        (5, 1, False, (64, 48)),  # no film's
        (4, 0, False, (64, 48)),
        (2**31 - 1, 1, False, (64, 48)),
    ],
)
def test_pixels_that_are_not_square_are_stretched(
    clip: Path, across: int, down: int, turned: bool, size: tuple[int, int]
) -> None:
    data = shape_pixels(clip.read_bytes(), across, down, turned=turned)
    assert read_clip(data, "clip", MOST).size == ImageRef.of(data, frame=3).size == size
    first, last = render_stills(data, "clip", [0, 23], MOST)
    assert first.size == last.size == size
    assert np.asarray(last).mean() > np.asarray(first).mean() + 100


@pytest.mark.slow
def test_the_limit_of_pixels_is_of_what_is_shown(clip: Path) -> None:
    data = shape_pixels(clip.read_bytes(), 4, 3)
    assert read_clip(data, "clip", 85 * 48).size == (85, 48)
    with pytest.raises(ImageError, match="far too many pixels"):
        read_clip(data, "clip", 85 * 48 - 1)


def test_uneven_clips_are_even_in_time() -> None:
    times = [at / 10 for at in range(10)] + [1.0 + at for at in range(10)]
    assert choose(times, 5) == [10, 12, 14, 16, 18]
    assert choose(times[:3], 5) == [0, 1, 2]
    assert choose([0.0] * 30, 5) == [29]


def test_what_cannot_be_decoded_is_said(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = clip.read_bytes()
    for damaged in (b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + bytes(500), b"\x1aE\xdf\xa3" + bytes(500), data[:200]):
        with pytest.raises(ImageError, match="is a video that cannot be decoded"):
            ImageRef.of(damaged, frame=0)
    with pytest.raises(ImageError, match="far too many pixels"):
        read_clip(data, "clip", 1000)
    read_clip(data, "clip", MOST)
    ended = subprocess.CompletedProcess([], -24, b"", b"")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(ImageError, match="cut the clip shorter"):
        render_stills(data, "clip", [0], MOST)


def test_stills_are_chosen_evenly_and_moments_are_written() -> None:
    assert spread(24, 6) == [2, 6, 10, 14, 18, 22]
    assert spread(3, 6) == [0, 1, 2]
    assert [describe_moment(seconds) for seconds in (0, 3.54, 75.25, 600)] == ["0:00.0", "0:03.5", "1:15.2", "10:00.0"]
