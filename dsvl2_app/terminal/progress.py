"""What takes long with bytes, as a bar on a terminal's stderr; nothing where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from dsvl2_app import progress
from dsvl2_app.terminal.answer import OUTPUT

NAMES: dict[progress.Stage, str] = {"download": "Downloading", "check": "Checking", "read": "Reading"}


@contextmanager
def shown_progress() -> Iterator[None]:
    """Within, a bar for each stage that the work of this thread tells of."""
    console = Console(stderr=True, **OUTPUT)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bars:
        tasks = {stage: bars.add_task(name, total=None, visible=False) for stage, name in NAMES.items()}

        def show(told: progress.Progress) -> None:
            bars.update(tasks[told.stage], completed=told.done, total=told.total, visible=told.total > 0)

        with progress.listening(show):
            yield
