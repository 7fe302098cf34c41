"""Names and passwords of those who may come in (--auth)."""

from __future__ import annotations

import hmac
import os


class Credentials(tuple[tuple[str, str], ...]):
    """Names and passwords. They are shown nowhere, also not as part of `Settings`."""

    def __repr__(self) -> str:
        return f"<{len(self)} names and passwords>"

    def admit(self, user: str, password: str) -> bool:
        """Whether this is one of them, found out in the same time whichever it is."""
        return any([_equal(name, user) & _equal(secret, password) for name, secret in self])


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def read_credentials(text: str) -> Credentials:
    """From a file that has one name and password a line, or from the text itself."""
    lines = [text]
    if os.path.isfile(text):
        try:
            with open(text, encoding="utf-8") as file:
                lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
        except OSError:
            raise ValueError from None
    pairs = [tuple(line.split(":", 1)) for line in lines]
    if not pairs or not all(len(pair) == 2 and pair[0].strip() and pair[1] for pair in pairs):
        raise ValueError
    return Credentials((name.strip(), password) for name, password in pairs)
