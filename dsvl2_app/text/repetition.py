"""Whether a text ends in the same piece over and over, as models write that find nothing more to say.

Tables have equal rows, and pages have ruled lines: a piece counts once it stands there more often than a page can hold.
"""

from __future__ import annotations

import numpy as np

LONGEST = 256  # characters of a piece
WIDEST, OFTEN = 512, 64  # characters and times, of a piece within a line
TALLEST = 100  # lines that are not blank, of a piece that has any
FULLEST = 4000  # characters, of any piece
LEAST, FEWEST = 2 * TALLEST, 4  # characters, of the shortest lines; times, of any piece
NOTHING = 0x110000  # is no character
PERIODS = np.arange(1, LONGEST + 1)


class Repetition:
    """Watches a text as it grows. Each character takes the same few microseconds, however long the text is."""

    def __init__(self) -> None:
        self.found = False
        self.extra = 0  # characters at the end of the text that say once more what stands before them, when it is found
        self._latest = np.full(LONGEST, NOTHING, np.int32)  # characters, the last one first
        self._equal = np.zeros(LONGEST, np.int64)  # [p - 1]: characters up to the last that each equal the one p before

    def push(self, text: str) -> None:
        """More of the text. Once the repetition is found, that stays so."""
        for code in map(ord, text):
            self._equal = (self._equal + 1) * (self._latest == code)
            self._latest[1:] = self._latest[:-1]
            self._latest[0] = code
        lengths = self._equal + PERIODS
        long = np.flatnonzero((lengths >= LEAST) & (lengths >= FEWEST * PERIODS))
        if long.size:
            period = int(long[0]) + 1
            piece = "".join(map(chr, self._latest[:period][::-1]))
            self.found = self.found or int(lengths[period - 1]) >= count_needed(piece)
            self.extra = int(self._equal[period - 1]) if self.found else 0


def count_needed(piece: str) -> int:
    """Characters that this piece fills, over and over, where no page can hold it so often."""
    *_, last = piece.rpartition("\n")
    lines = [line for line in (last + piece[: len(piece) - len(last)]).splitlines() if line.strip()]
    if "\n" in piece and lines:
        return min(TALLEST * len(piece) // len(lines), FULLEST)
    return min(max(OFTEN * len(piece), WIDEST), FULLEST)


def keep_once(text: str) -> str:
    """A text that ends in a repetition, with one of its pieces; any other text as it is."""
    repetition = Repetition()
    repetition.push(text)
    return text[: len(text) - repetition.extra].rstrip() if repetition.found else text
