"""Token ids -> text as it grows, never cutting a character in two."""

from __future__ import annotations

from collections.abc import Callable

UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class TextStream:
    """Hands out what each token adds to the text; the pieces join to what decoding all ids at once gives.

    A character's bytes can be spread over tokens. An unfinished tail decodes to exactly one replacement character,
    so only a last one is held back until the next token (or the end) decides it.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._window: list[int] = []  # ids since the text last ended between two characters
        self._shown = 0  # characters of the window's text already handed out

    def push(self, token: int) -> str:
        """Text that is certain now."""
        self._window.append(token)
        text = self._decode(self._window)
        if text.endswith(UNFINISHED):
            return self._hand_out(text[:-1])
        delta = self._hand_out(text)
        self._window, self._shown = [], 0
        return delta

    def flush(self) -> str:
        """What was held back, at the end of the answer."""
        return self._hand_out(self._decode(self._window)) if self._window else ""

    def _hand_out(self, text: str) -> str:
        delta = text[self._shown :]
        self._shown = max(self._shown, len(text))
        return delta
