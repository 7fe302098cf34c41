"""What one visitor reads in the Documents tab, page by page, as the server keeps it (in a gr.State)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from dsvl2_app.backend import Stream
from dsvl2_app.image.page_kinds import Kind
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.request import Finish, Timings
from dsvl2_app.text.boxes import Box, parse_boxes
from dsvl2_app.ui.storage import hold

MOST_REMOVED = 5  # times that documents were taken away


@dataclass(slots=True, eq=False)
class Leaf:
    """A page and what the model wrote about it."""

    image: ImageRef
    name: str  # of its file
    text: str = ""
    finish: Finish | None = None  # None: not read, or not to its end
    timings: Timings = field(default_factory=Timings)
    gone: bool = False  # its document was taken away: it is not read any more
    own_text: str | None = None  # that the PDF holds itself; None: not looked for

    @property
    def is_read(self) -> bool:
        return self.finish is not None and self.finish != "cancelled"

    @property
    def boxes(self) -> tuple[Box, ...]:
        return parse_boxes(self.text, complete=self.finish is not None).boxes


@dataclass(frozen=True)
class Removed:
    """Documents that were taken away together, and all that was there before."""

    gone: tuple[str, ...]  # their files
    files: tuple[str, ...]  # with the others, in their order
    chosen: dict[str, str]  # of each file, the pages that were typed
    leaves: tuple[Leaf, ...]
    asked: tuple[str, str]


@dataclass(eq=False)
class Reading:
    """All pages that were chosen, and which of them is shown."""

    leaves: list[Leaf] = field(default_factory=list)
    asked: tuple[str, str] = ("", "")  # the task, and the question where that is one's own
    shown: Leaf | None = None  # one of the leaves, or another page that is looked at
    own: bool = False  # the text that PDFs hold themselves is wanted, in place of the model's
    first_own: tuple[str, int] | None = None  # the first chosen page that holds any: its file, its number from 0
    streams: dict[Stream, Leaf] = field(default_factory=dict)  # of the pages that are being read
    stopping: bool = False
    run: object = None  # the reading that goes on
    began: float = 0.0  # when that was, by `monotonic`
    before: int = 0  # pages that were read by then
    offered: tuple[str, ...] = ()  # the files that are there
    removed: list[Removed] = field(default_factory=list)  # the last MOST_REMOVED, which can come back

    def open(self, pages: Sequence[tuple[ImageRef, str]], asked: tuple[str, str]) -> object:
        """Begin with these pages; or go on, where they are asked the same as before: what is read stays. Returns the
        run that this begins."""
        hold(self)
        self.stopping, self.run = False, object()
        known = {leaf.image: leaf for leaf in self.leaves if leaf.is_read} if asked == self.asked else {}
        self.leaves = [known.get(image) or Leaf(image, name) for image, name in pages]
        self.asked = asked
        self.shown = self.first_unread or (self.leaves[0] if self.leaves else None)
        self.began, self.before = monotonic(), len(self.read)
        return self.run

    @property
    def first_unread(self) -> Leaf | None:
        """None once all are read."""
        return next((leaf for leaf in self.leaves if not leaf.is_read), None)

    @property
    def read(self) -> list[Leaf]:
        return [leaf for leaf in self.leaves if leaf.is_read]

    @property
    def written(self) -> list[Leaf]:
        """Those about which there is anything."""
        return [leaf for leaf in self.leaves if leaf.text]

    @property
    def kind(self) -> Kind | None:
        """What people call each of what is read; None where they call them differently."""
        kinds: set[Kind] = {leaf.image.kind for leaf in self.leaves}
        return kinds.pop() if len(kinds) == 1 else None

    @property
    def has_own_text(self) -> bool:
        """Whether a page that is chosen holds any."""
        return self.first_own is not None

    @property
    def shows_own_text(self) -> bool:
        return self.own and self.has_own_text

    @property
    def can_be_saved(self) -> bool:
        """PDFs' own text can before anything is read."""
        return bool(self.written) or (self.shown is not None and self.shows_own_text)

    @property
    def seconds_left(self) -> float | None:
        """By the time that the pages of this run took so far; None before the first one."""
        done = len(self.read) - self.before
        left = len(self.leaves) - len(self.read)
        return left * (monotonic() - self.began) / done if done else None

    def look(self, image: ImageRef, name: str) -> None:
        """Another page is shown, read or not."""
        hold(self)
        self.shown = next((leaf for leaf in self.leaves if leaf.image == image), None) or Leaf(image, name)

    def offer(self, files: Sequence[str], chosen: dict[str, str]) -> bool:
        """These files are there now, of which pages are `chosen`. What others have leaves with them, and can come back.
        Returns whether pages have left."""
        gone = tuple(file for file in self.offered if file not in files)
        if gone:
            hold(self)
            removed = Removed(gone, self.offered, chosen, tuple(self.leaves), self.asked)
            self.removed = [*self.removed, removed][-MOST_REMOVED:]
        self.offered = tuple(files)
        return self.keep({Path(file) for file in files})

    def bring_back(self) -> Removed | None:
        """The documents that left last are there again, with what was read of them unless something else was asked
        since. None without any."""
        if not self.removed:
            return None
        back = self.removed.pop()
        self.offered = (*back.files, *(file for file in self.offered if file not in back.files))
        if back.asked == self.asked:
            gone, now = {Path(file) for file in back.gone}, {leaf.image: leaf for leaf in self.leaves}
            leaves = [now.pop(leaf.image, leaf) for leaf in back.leaves if leaf.image in now or leaf.image.path in gone]
            self.leaves = [*leaves, *now.values()]
            self.shown = self.shown or next(iter(self.leaves), None)
        for leaf in self.leaves:
            leaf.gone = False
        self.began, self.before = monotonic(), len(self.read)
        return back

    def keep(self, files: set[Path]) -> bool:
        """Leave out the pages of all other files, and stop reading them. Returns whether there were any."""
        gone = [leaf for leaf in self.leaves if leaf.image.path not in files]
        for leaf in gone:
            leaf.gone = True
        for stream in [stream for stream, leaf in [*self.streams.items()] if leaf.gone]:
            stream.cancel()
        self.leaves = [leaf for leaf in self.leaves if not leaf.gone]
        if self.shown and self.shown.image.path not in files:
            self.shown = self.leaves[0] if self.leaves else None
        if gone:  # whose time says nothing of what is left
            self.began, self.before = monotonic(), len(self.read)
        return bool(gone)

    @property
    def files(self) -> set[Path]:
        shown = {leaf.image.path for leaf in [*self.leaves, *([self.shown] if self.shown else [])]}
        return shown | {Path(file) for removed in self.removed for file in removed.gone}

    def goes_on(self, run: object) -> bool:
        """Whether that run is to read another page: nobody has stopped it, and no other one has begun."""
        return self.run is run and not self.stopping

    def end(self, run: object) -> None:
        """Whatever ended that run: what is left waits to be read, unless another one has begun."""
        if self.run is run:
            self.stopping = True

    def stop(self) -> None:
        self.stopping = True
        for stream in [*self.streams]:
            stream.cancel()
