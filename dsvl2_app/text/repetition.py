"""Whether a text has begun to repeat itself, as small models do that find nothing more to say."""

from __future__ import annotations

WINDOW = 400  # characters at the end of the text that are looked at
STEP = 40  # characters, to which the place where it began is found
FEWEST = 4  # different letters and digits, with which nothing is said


def is_stuck(text: str) -> bool:
    """Whether the last WINDOW characters are the same piece over and over, or marks around FEWEST letters at most."""
    tail = text[-WINDOW:]
    if len(tail) < WINDOW:
        return False
    if len({character for character in tail if character.isalnum()}) <= FEWEST:
        return True
    return any(tail[period:] == tail[:-period] for period in range(1, WINDOW // 4 + 1))


def cut_repetition(text: str) -> str:
    """What a stuck text says before it repeats itself; any other text as it is."""
    if not is_stuck(text):
        return text
    while is_stuck(text):
        text = text[:-STEP]
    return text[: STEP - WINDOW].rstrip()
