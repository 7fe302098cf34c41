"""How far a run is, as a bar on a terminal's stderr; nothing where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

WINDOW = 60  # s, over which time left is estimated


@contextmanager
def shown_rows(count: Callable[[], int], done: int, wanted: bool = True) -> Iterator[Callable[[], None]]:
    """Within, a bar that moves a row on with every call. `count` is asked for the number of rows, of which `done` were
    done before, if there is a bar at all: counting may have to read a file. Lines to stderr stand above the bar."""
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if not wanted or not console.is_terminal:
        yield lambda: None
        return
    columns = (TextColumn("Questions"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    left = (TextColumn("left:"), TimeRemainingColumn())
    with Progress(*columns, *left, console=console, speed_estimate_period=WINDOW) as bar:
        task = bar.add_task("", total=count(), completed=done)
        yield lambda: bar.advance(task)
