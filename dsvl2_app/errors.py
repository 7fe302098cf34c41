"""Everything a person can cause to go wrong, as one tree.

    AppError
    ├── ImageError        a picture cannot be used
    ├── PromptError       a message cannot be turned into a prompt
    │   └── ContextError  a conversation is longer than the model can hold
    ├── CheckpointError   a model folder or repository cannot be loaded
    ├── SettingsError     a flag, environment variable or request parameter is out of range
    ├── ServerError       a model's server elsewhere cannot be reached, refuses, or breaks off
    ├── BusyError         the backend cannot take more requests now
    ├── ResourceError     the machine has too little memory or disk for what was asked
    └── EngineDeadError   the engine's thread has ended; the app must be started again

Each carries one sentence that says what is wrong, where, and what to do; the command line shows exactly that
sentence, the page the same in the visitor's language. Bugs of our own stay ordinary exceptions.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

LONGEST = 500  # characters of a value that a sentence repeats


def fill(sentence: str, values: Mapping[str, Any]) -> str:
    """`sentence.format(**values)`; without values the sentence itself, whose braces are ordinary characters. Of a text
    that is very long only the beginning is repeated."""
    return sentence.format(**{name: _shorten(value) for name, value in values.items()}) if values else sentence


def _shorten(value: Any) -> Any:
    return value[:LONGEST] + "..." if isinstance(value, str) and len(value) > LONGEST else value


class AppError(Exception):
    """A failure that a person can understand and act on; `str(error)` is the sentence to show.

    Errors that the page can show keep the values apart from the sentence, so that the sentence can be translated:
    `ImageError("{name} is empty; choose another file.", name=name)`. Without values the sentence is not formatted, and
    its braces are ordinary characters.
    """

    def __init__(self, sentence: str, /, **values: Any) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.values = values

    def __str__(self) -> str:
        return fill(self.sentence, self.values)


class ImageError(AppError):
    """A picture is unreadable, too large, or of an unsupported kind."""


class PromptError(AppError, ValueError):
    """A conversation is empty, out of order, too long, or its pictures do not match its text."""


class ContextError(PromptError):
    """A conversation has more tokens, pictures or characters than the model's context holds."""


class CheckpointError(AppError):
    """A model folder or repository is missing, of another model, incomplete, or not understood."""


class SettingsError(AppError, ValueError):
    """A flag, an environment variable or a parameter is out of range, or unknown."""


class BusyError(AppError):
    """The queue is full or the backend is shutting down; the same request may work later."""


class ResourceError(AppError):
    """Memory or disk ran out while this was worked on; less, or the same later, may fit."""


class ServerError(AppError):
    """A model's server elsewhere cannot be reached, refuses what it is asked, or breaks off."""


class EngineDeadError(AppError):
    """The engine's thread has ended through a bug; nothing is answered until the app is started again."""


def explain(error: Exception) -> Exception:
    """A ResourceError where memory or disk ran out, whichever library says so; else the error itself."""
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _is_about_memory(str(error))):
        return ResourceError(
            "The server has too little memory for this request; try fewer or smaller pictures or fewer words, or later."
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError("The server's disk is full; try again later, or tell whoever runs it.")
    return error


def _is_about_memory(message: str) -> bool:
    """Whether a RuntimeError is PyTorch's: of a GPU "CUDA out of memory", of the CPU "can't allocate memory"."""
    return "out of memory" in message.lower() or "can't allocate memory" in message
