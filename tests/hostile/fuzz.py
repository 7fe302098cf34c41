"""Inputs nobody thought of, for the box parser and the loader of pictures: a crash, a hang or a wrong error ends it.

    python -m tests.hostile.fuzz boxes 1000000       so many strings, the same every time
    python -m tests.hostile.fuzz pictures 100000     so many mutated files
    python -m tests.hostile.fuzz boxes --atheris     guided by coverage (`pip install atheris`) until it is stopped

Whatever fails is told by its number; `write_boxes` and `mutate` make it again.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from types import FunctionType

from dsvl2_app.errors import ImageError
from dsvl2_app.image import colour, load, pixels
from dsvl2_app.image.load import Limits, load_image
from dsvl2_app.text import boxes
from dsvl2_app.text.boxes import parse_boxes
from tests.hostile.corpus import KINDS, quarters, save

LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000_000)
MOST_SECONDS = 5.0
FRAGMENTS = (
    "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", "[", "[[", "]", "]]", "], [", ", ", ",", "7", "470",
    "1000", "-3", "+5", "1.5", "1e9", "９", "٣", "a", " ", "\n", "\0", "<|", "|>", "<", "｜", "▁", "\u200b", "\u202e",
    "é", "😀", "\ud83d",
)  # fmt: skip
WELL_FORMED = ("<|ref|>", "a", "<|/ref|>", "<|det|>", "[[", "7", ", ", "470", ", ", "7", ", ", "999", "]]", "<|/det|>")
INTERESTING = (0, 1, 127, 128, 254, 255)  # bytes at which numbers overflow


def write_boxes(number: int) -> str:
    """Boxes as a model writes them, with some of it changed, lost, or among anything else."""
    chance = random.Random(number)
    parts = list(WELL_FORMED * chance.randrange(4))
    for _ in range(chance.choice((0, 1, 1, 2, 4, 16, 40))):
        place = chance.randrange(len(parts) + 1)
        parts[place : place + chance.randrange(3)] = chance.choices(FRAGMENTS, k=chance.randrange(3))
    return "".join(parts)


def try_boxes(text: str) -> str:
    """Read it, as a whole and while it grows; every promise of the parser is held."""
    for complete in (True, False):
        parsed = parse_boxes(text, complete=complete)
        for box in parsed.boxes:
            assert 0 <= box.x1 <= box.x2 <= 999 and 0 <= box.y1 <= box.y2 <= 999
        for problem in parsed.problems:
            assert text[problem.place :].startswith(problem.excerpt.removesuffix("…"))
    return "boxes" if parsed.boxes else "none"


@lru_cache(maxsize=1)
def list_seeds() -> tuple[bytes, ...]:
    """A good file of each kind, and some whose colours need work."""
    image = quarters().resize((24, 16))
    seeds = [save(image, kind) for kind in KINDS.values()]
    seeds += [save(image.quantize(4), "PNG", transparency=1), save(image.convert("CMYK"), "JPEG")]
    seeds += [save(image.convert("F"), "TIFF"), save(image, "TIFF", compression="tiff_lzw")]
    seeds += [
        save(image, "GIF", save_all=True, append_images=[image.rotate(90)]),
        save(image, "JPEG", progressive=True),
    ]
    return tuple(seeds)


def mutate(number: int) -> bytes:
    """A good file with a few of its bytes changed, cut, doubled, or taken from another."""
    chance, seeds = random.Random(number), list_seeds()
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place, length = chance.randrange(len(data) + 1), chance.randrange(1, 9)
        match chance.randrange(6):
            case 0:
                data[place : place + 1] = bytes([chance.choice(INTERESTING)])
            case 1:
                data[place : place + length] = chance.randbytes(length)
            case 2:
                del data[place : place + chance.randrange(1, 65)]
            case 3:
                data[place:place] = data[place : place + 4 * length]
            case 4:
                data[place : place + 4] = chance.choice(
                    (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\1\0")
                )
            case _:
                other = chance.choice(seeds)
                data[place : place + 8 * length] = other[place : place + 8 * length]
    return bytes(data)


def try_picture(data: bytes) -> str:
    try:
        image = load_image(data, limits=LIMITS)
    except ImageError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
        return "refused"
    assert image.mode == "RGB" and image.width * image.height <= LIMITS.max_pixels
    return "shown"


def run(make: Callable[[int], object], attempt: Callable[..., str], count: int, first: int = 0) -> Counter[str]:
    """How often each outcome came; whatever is wrong is raised with the number of its input."""
    outcomes: Counter[str] = Counter()
    for number in range(first, first + count):
        made, started = make(number), time.process_time()
        try:
            outcomes[attempt(made)] += 1
        except Exception as error:
            raise AssertionError(f"input {number}: {type(error).__name__}: {error}") from error
        if time.process_time() - started > MOST_SECONDS:
            raise AssertionError(f"input {number} takes {time.process_time() - started:.1f} s")
    return outcomes


TARGETS: dict[str, tuple[Callable[[int], object], Callable[..., str]]] = {
    "boxes": (write_boxes, try_boxes),
    "pictures": (mutate, try_picture),
}


def run_guided(target: str, options: list[str]) -> None:
    """libFuzzer, through atheris; it never returns, and exits with 0 after `-runs=` or `-max_total_time=`."""
    import atheris

    def attempt(data: bytes) -> None:
        TARGETS[target][1]("".join(FRAGMENTS[each % len(FRAGMENTS)] for each in data) if target == "boxes" else data)

    for module in (boxes, colour, load, pixels):
        for function in vars(module).values():
            if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                atheris.instrument_func(function)
    atheris.Setup([sys.argv[0], *options], attempt)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("count", type=int, nargs="?", default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--atheris", action="store_true", help="further arguments are libFuzzer's")
    flags, options = parser.parse_known_args()
    warnings.simplefilter("ignore")  # Pillow's, of metadata that it leaves out
    if flags.atheris:
        run_guided(flags.target, options)
    started = time.perf_counter()
    outcomes = run(*TARGETS[flags.target], flags.count, flags.first)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{flags.count:,} {flags.target} in {time.perf_counter() - started:.0f} s, peak {peak} MB: {dict(outcomes)}")


if __name__ == "__main__":
    main()
