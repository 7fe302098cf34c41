"""Everything a person can cause to go wrong, as one tree.

    AppError
    ├── ImageError        a picture cannot be used
    ├── PromptError       a message cannot be turned into a prompt
    ├── CheckpointError   a model folder or repository cannot be loaded
    ├── SettingsError     a flag, environment variable or request parameter is out of range
    └── BusyError         the worker cannot take more requests now

Each carries one sentence that says what is wrong, where, and what to do; the page and the command line
show exactly that sentence. Bugs of our own stay ordinary exceptions.
"""


class AppError(Exception):
    """A failure that a person can understand and act on; `str(error)` is the sentence to show."""


class ImageError(AppError):
    """A picture is unreadable, too large, or of an unsupported kind."""


class PromptError(AppError):
    """A conversation is empty, out of order, too long, or its pictures do not match its text."""


class CheckpointError(AppError):
    """A model folder or repository is missing, of another model, incomplete, or not understood."""


class SettingsError(AppError):
    """A flag, an environment variable or a sampling parameter is out of range."""


class BusyError(AppError):
    """The queue is full or the worker is shutting down; the same request may work later."""
