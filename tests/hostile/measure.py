"""What each hostile file costs: `python -m tests.hostile.measure` opens all of them and writes a line of JSON for each.
"apart" is the most MB that any process which decoded one had so far.

In a process of its own, because a process's highest memory is only ever known as a whole.
"""

from __future__ import annotations

import json
import resource
import time
import warnings
from itertools import chain
from pathlib import Path

from dsvl2_app.errors import ImageError
from dsvl2_app.image.cut import cut_tiles
from dsvl2_app.image.decoded import DECODED
from dsvl2_app.image.geometry import RELEASED_GEOMETRY
from dsvl2_app.image.load import Limits
from dsvl2_app.image.pixels import SOON
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.tiles import lay_out
from tests.hostile.corpus import build, build_large

LIMITS = Limits(max_bytes=150_000_000)  # so that 40 megapixels of any kind are within
STATUS = Path("/proc/self/status")


def read_memory(name: str) -> int:
    """MB of this process: VmRSS now, VmHWM the most since `forget_peak`."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) // 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def count_seconds() -> float:
    """Of a processor, in this process and those that it started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def open_file(data: bytes) -> str:
    """As the app does: measured, decoded and cut into tiles."""
    try:
        image = ImageRef.of(data, limits=LIMITS)
        cut_tiles(image.open(), lay_out(*image.size, RELEASED_GEOMETRY))
    except ImageError as error:
        return f"refused: {error}"
    return "{}x{}".format(*image.size)


def main() -> None:
    warnings.simplefilter("ignore")
    DECODED.longest = SOON
    for file in chain(build(), build_large()):
        forget_peak()
        before, started, waited = read_memory("VmRSS"), count_seconds(), time.perf_counter()
        outcome = open_file(file.data)
        row = {"name": file.name, "outcome": outcome, "megabytes": read_memory("VmHWM") - before}
        row |= {"seconds": count_seconds() - started, "waited": time.perf_counter() - waited}
        row["apart"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        if row["megabytes"] > 50:
            time.sleep(4 * SOON)  # its pixels go, and then their memory
        print(json.dumps(row | {"kept": read_memory("VmRSS") - before}), flush=True)


if __name__ == "__main__":
    main()
