"""Pictures that were taken away where a tab takes pictures, and the button that brings them back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from dsvl2_app.ui.storage import hold
from dsvl2_app.ui.uploads import gallery_paths, uploaded_path
from dsvl2_app.ui.words.translations import say

MOST_REMOVED = 5  # times that pictures were taken away


@dataclass(eq=False)
class RemovedPictures:
    """The files that are shown, and what was shown before some of them were taken away, in a gr.State. Once there are
    other ones, nothing comes back."""

    shown: tuple[str, ...] = ()
    before: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])  # the last time last

    def follow(self, files: Sequence[str]) -> None:
        """These are shown now."""
        if Counter(files) - Counter(self.shown):
            self.before.clear()
        elif len(files) < len(self.shown):
            hold(self)
            self.before = [*self.before, self.shown][-MOST_REMOVED:]
        self.shown = tuple(files)

    def replace(self, files: Sequence[str]) -> None:
        """These were chosen: nothing was taken away."""
        self.shown = tuple(files)
        self.before.clear()

    def bring_back(self) -> tuple[str, ...]:
        """What is shown once what was taken away last is there again."""
        if self.before:
            self.shown = self.before.pop()
        return self.shown

    @property
    def gone(self) -> list[str]:
        """What was taken away last."""
        return [*(Counter(self.before[-1]) - Counter(self.shown)).elements()] if self.before else []

    @property
    def files(self) -> set[Path]:
        return {Path(file) for files in self.before for file in files}


class Return:
    """Made within a tab's Blocks, where its button is to stand."""

    def __init__(self, tab: str) -> None:
        self.button = gr.Button("", size="sm", visible=False, elem_id=f"{tab}-return")
        self.removed = gr.State(RemovedPictures())

    def follow(self, pictures: Any, removed: RemovedPictures) -> Any:
        """What a gr.Image or a gr.Gallery holds is another."""
        try:
            removed.follow([uploaded_path(pictures)] if isinstance(pictures, dict) else gallery_paths(pictures))
        except Exception:  # what is wrong with them is said where they are asked about
            return gr.skip()
        return self.offer(removed)

    def offer(self, removed: RemovedPictures) -> Any:
        """A button that brings back what was taken away last, if anything was."""
        if not removed.gone:
            return gr.Button(visible=False)
        first, *others = removed.gone
        words = say("Bring {number:,} pictures back", number=len(others) + 1)
        return gr.Button(words if others else say("Bring {name} back", name=Path(first).name), visible=True)
