"""Every bad or odd file is shown right or refused in one sentence, within bounds; over HTTP in ui/test_hostile.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from PIL import Image

from dsvl2_app.errors import ImageError
from dsvl2_app.image.load import load_image
from dsvl2_app.image.reference import ImageRef
from tests.hostile.corpus import File, build

ROOT = Path(__file__).parents[2]
# Pillow warns of metadata that it leaves out.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{each}:UserWarning")
    for each in (".*EXIF", "Truncated File Read", "Invalid APNG")
]

MOST_TIMES, MOST_MEGABYTES, KEPT_MEGABYTES = 8, 1500, 60


@pytest.fixture(scope="module")
def files() -> list[File]:
    return build()


def test_there_are_many(files: list[File]) -> None:
    assert len({file.name for file in files}) == len(files) >= 250
    assert min(sum(file.size is None for file in files), sum(file.size is not None for file in files)) > 100


@pytest.mark.slow
def test_each_is_shown_right_or_refused_in_one_sentence(files: list[File]) -> None:
    assert {file.name: found for file in files if (found := find_fault(file))} == {}


def find_fault(file: File) -> str | None:
    try:
        image = load_image(file.data)
    except ImageError as error:
        said = str(error)
        one_sentence = said.endswith(".") and "\n" not in said and len(said) < 300
        return None if file.size is None and one_sentence and file.words in said else f"refused: {said}"
    wrong = [place for place, colour in (file.colours or {}).items() if is_far(image, place, colour, file.tolerance)]
    if image.mode == "RGB" and image.size == file.size and image.info == {} and not wrong:
        return None
    return f"shown: {image.mode} {image.size} {wrong}"


def is_far(image: Image.Image, place: tuple[int, int], colour: tuple[int, ...], tolerance: int) -> bool:
    found: Any = image.getpixel(place)
    return any(abs(one - other) > tolerance for one, other in zip(found, colour, strict=True))


@pytest.mark.slow
def test_sizes_are_known_before_pixels(files: list[File]) -> None:
    """A reference says the size that is shown in the end, or refuses."""
    for file in files:
        try:
            image = ImageRef.of(file.data)
        except ImageError:
            assert file.size is None, file.name
        else:
            assert file.size in (image.size, None), file.name


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured on Linux")
@pytest.mark.timeout(910)
def test_none_takes_long_or_much_memory() -> None:
    """Those of 40 and 80 megapixels too. None takes `MOST_TIMES` the processor's time of an honest one, the median
    of ten kinds of 40, because how long that is depends on the machine and on what else runs."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.measure"], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    large = [row for row in rows if row["name"].startswith("large")]
    assert len(large) == 10 and [row["outcome"] for row in large] == ["8000x5000"] * 10
    halved = [row for row in rows if row["name"].startswith("halved")]
    assert len(halved) == 4 and [row["outcome"] for row in halved] == ["5000x4000"] * 4
    assert max(row["apart"] for row in rows) <= MOST_MEGABYTES
    honest = median(row["seconds"] for row in large)
    assert [row for row in rows if row["seconds"] > MOST_TIMES * honest] == []
    assert [row for row in rows if row["megabytes"] > MOST_MEGABYTES] == []
    assert [row for row in rows if row["kept"] > KEPT_MEGABYTES] == []
