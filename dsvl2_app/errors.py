"""Everything a person can cause to go wrong, as one tree.

    AppError
    ├── ImageError        a picture cannot be used
    ├── PromptError       a message cannot be turned into a prompt
    │   └── ContextError  a conversation is longer than the model can hold
    ├── CheckpointError   a model folder or repository cannot be loaded
    ├── SettingsError     a flag, environment variable or request parameter is out of range
    ├── ServerError       a model's server elsewhere cannot be reached, refuses, or breaks off
    ├── BusyError         the backend cannot take more requests now
    └── EngineDeadError   what runs the model has ended; only a new start helps

Each carries one sentence that says what is wrong, where, and what to do; the command line shows exactly that
sentence, the page the same in the visitor's language. Bugs of our own stay ordinary exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def fill(sentence: str, values: Mapping[str, Any]) -> str:
    """The sentence with the values in their places; without any, braces are braces."""
    return sentence.format(**values) if values else sentence


class AppError(Exception):
    """A failure that a person can understand and act on; `str(error)` is the sentence to show.

    What a visitor of the page can meet keeps its values apart from the sentence with the places for them, which can
    then be said in another language: `ImageError("{name} is empty; choose another file.", name=name)`. A sentence
    without values is said as it is, braces and all.
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


class ServerError(AppError):
    """A model's server elsewhere cannot be reached, refuses what it is asked, or breaks off."""


class EngineDeadError(AppError):
    """What runs the model has ended by a fault of our own; nothing is answered until the app is started again."""
