"""How much memory this process took at most, as Linux counts it; None on other systems."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path

INTERVAL = 0.005  # seconds


def peak_memory() -> int | None:
    """Bytes resident at most so far (VmHWM); pages of mapped files count while they are there."""
    return _read("VmHWM")


class PeakAnonymous:
    """Within a `with` block, watches the memory that is no mapped file; Linux keeps no peak of it."""

    bytes: int | None = None

    def __enter__(self) -> PeakAnonymous:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while (now := _read("RssAnon")) is not None:
            self.bytes = max(self.bytes or 0, now)
            if self._done.wait(INTERVAL):
                break


def _read(field: str) -> int | None:
    if sys.platform != "linux":
        return None
    found = re.search(rf"^{field}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else None
