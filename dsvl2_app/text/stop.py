"""Strings at which an answer ends, found in its text as it grows."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Hands text on up to the first of `strings` that is complete, none of which is empty. A string may come in pieces,
    so the end of the text is held back while it could be the beginning of one."""

    def __init__(self, strings: Sequence[str]) -> None:
        self.strings = tuple(strings)
        self.found = False
        self._held: str = ""

    def push(self, text: str) -> str:
        """What is certain now; nothing once a string is `found`."""
        if self.found:
            return ""
        text, self._held = self._held + text, ""
        places = [(place + len(string), place) for string in self.strings if (place := text.find(string)) >= 0]
        if places:
            self.found = True
            return text[: min(places)[1]]
        held = max((_count_begun(text, string) for string in self.strings), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def flush(self) -> str:
        """What was held back, at the end of the answer."""
        text, self._held = self._held, ""
        return text


def _count_begun(text: str, string: str) -> int:
    """Characters at the end of `text` that begin `string`."""
    lengths = range(min(len(text), len(string) - 1), 0, -1)
    return next((length for length in lengths if string.startswith(text[len(text) - length :])), 0)
