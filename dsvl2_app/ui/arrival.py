"""What stands below the header while weights are on their way: how much of them is there, and how long it will take."""

from __future__ import annotations

from typing import Any

import gradio as gr

from dsvl2_app.backend import Backend
from dsvl2_app.request import Loading
from dsvl2_app.ui.events import QUIET
from dsvl2_app.ui.words.translations import say

EVERY = 1.0  # seconds


class Arrival:
    """Nothing at all where the weights are there already."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def build(self, demo: gr.Blocks) -> None:
        if self.backend.health().loading is None:
            return
        status = gr.HTML("", elem_id="arrival", visible=False)
        timer = gr.Timer(EVERY, active=False)
        for event in (demo.load, timer.tick):  # a page that is opened later has nothing to wait for
            event(self.look, None, [status, timer], **QUIET)

    def look(self) -> tuple[Any, gr.Timer]:
        loading = self.backend.health().loading
        if loading is None:
            return gr.HTML("", visible=False), gr.Timer(active=False)
        return gr.HTML(show_loading(loading), visible=True), gr.Timer(active=True)


def show_loading(loading: Loading) -> str:
    words = {
        "download": say("The model's weights are being downloaded."),
        "check": say("What was downloaded is being checked."),
        "read": say("The model's weights are being read into memory."),
    }
    told = [words[loading.stage]]
    if loading.total:
        there = say("{done:.2f} of {total:.2f} GB", done=loading.done / 1e9, total=loading.total / 1e9)
        told.append(say("{words}.", words=there + describe_time_left(loading.seconds_left)))
    told.append(say("You may ask already; answers begin once the model is there."))
    bar = f'<progress max="{loading.total or 1}" value="{loading.done}" aria-label="{say("Loading")}"></progress>'
    return f'<div class="arrival"><p>{" ".join(told)}</p>{bar}</div>'


def describe_time_left(seconds: float | None) -> str:
    """What is added to how much is done; nothing where that is not known."""
    if seconds is None:
        return ""
    if seconds < 90:
        return say(", about {seconds:.0f} s left", seconds=max(1, seconds))
    return say(", about {minutes:.0f} min left", minutes=seconds / 60)
