"""What the model might have said: an answer that goes on from another of its tokens, beside the first."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from html import escape
from typing import Any

import gradio as gr

from dsvl2_app.backend import Backend, Stream
from dsvl2_app.errors import PromptError
from dsvl2_app.inspection import Inspection
from dsvl2_app.inspection.record import NEAREST
from dsvl2_app.request import Event, Request
from dsvl2_app.ui.events import REFRESH, attended
from dsvl2_app.ui.gradio_quirks import last_update
from dsvl2_app.ui.payloads import read_index
from dsvl2_app.ui.tabs.tiles.inside_figures import make_visible, percent
from dsvl2_app.ui.tabs.tiles.inside_look import Look
from dsvl2_app.ui.tabs.tiles.inside_parts import InsidePage
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say


@dataclass(frozen=True)
class Word:
    """A token of an answer: its text, how likely it was, and what it might have been."""

    text: str
    chance: float = 1.0
    rivals: str = ""


class Branch:
    """The handlers of a chosen alternative."""

    def __init__(self, backend: Backend, page: InsidePage, show_buttons: Callable[[Stream | None], dict[Any, Any]]):
        """`show_buttons` are those of an answer that is running, or of none."""
        self.backend, self.page, self.show_buttons = backend, page, show_buttons

    async def go_on(self, look: Look, event: gr.EventData) -> AsyncIterator[dict[Any, Any]]:
        """The answer from the chosen token on, as it is written."""
        page, seen = self.page.seen, look.seen
        try:
            if seen is None:
                return
            at, prefix, stream = self.begin(look, seen, event)
        except Exception as error:
            yield {self.page.notice: wording.show_notice(error)}
            return
        words = [Word(make_visible(seen.words[prefix[-1]]), find_chance(seen, at, prefix[-1]))]
        ids = [*prefix]
        shown: dict[Any, Any] = {self.page.notice: wording.show_notice(), page.take: gr.Button(visible=False)}
        yield {**shown, page.branch: show_branch(seen, at, words), **self.show_buttons(stream)}
        async with attended(stream):
            try:
                async for events in stream.throttled(REFRESH):
                    if look.seen is not seen:
                        break
                    words += [read_word(event) for event in events if event.token is not None]
                    ids += [event.token for event in events if event.token is not None]
                    yield {page.branch: show_branch(seen, at, words)}
                look.branch = ids
                shown |= {page.branch: show_branch(seen, at, words, events[-1]), page.take: gr.Button(visible=True)}
            except Exception as error:
                shown[self.page.notice] = wording.show_notice(error)
        if look.seen is not seen:
            shown = {page.branch: "", page.take: gr.Button(visible=False)}
        yield last_update(shown, self.show_buttons(None))

    def begin(self, look: Look, seen: Inspection, event: gr.EventData) -> tuple[int, tuple[int, ...], Stream]:
        """Where in the answer, what it begins with then, and what follows. Raises as `submit` does, and PromptError for
        an answer that came from a file."""
        if look.request is None:
            raise PromptError("This answer was opened from a file; ask its question above to go on from another word.")
        at, rank = divmod(read_index(event, range(len(seen.tokens) * NEAREST)), NEAREST)
        prefix = (*seen.answer_ids[:at], int(seen.alternatives[at, 1 + rank]))
        return at, prefix, self.backend.submit(ask_from(look.request, prefix))

    def take(self, look: Look) -> None:
        """The branch becomes the answer that is looked into next, and what was seen is kept beside it."""
        if look.branch:
            look.answer, look.branch, look.kept = look.branch, [], look.seen


def ask_from(request: Request, prefix: tuple[int, ...]) -> Request:
    return replace(request, answer_prefix=prefix, alternatives=NEAREST)


def find_chance(seen: Inspection, token: int, other: int) -> float:
    """Of an alternative in the place of an answer's token."""
    return math.exp(float(seen.logprobs[token, 1 + seen.alternatives[token, 1:].tolist().index(other)]))


def read_word(event: Event) -> Word:
    chosen, *others = event.likelihoods
    rivals = "  ".join(
        f"{make_visible(each.spelling.decode(errors='replace'))} {percent(math.exp(each.logprob))}" for each in others
    )
    return Word(event.text, math.exp(chosen.logprob), rivals)


def show_branch(seen: Inspection, at: int, words: Sequence[Word], last: Event | None = None) -> str:
    """Both answers from the token `at` on, behind what they share. Once `last`, the event that ends the second one, is
    there, what differs is marked, and each of its words tells how likely it was."""
    shared, first = "".join(seen.tokens[:at]), seen.tokens[at:]
    if last is None:
        old, new = escape("".join(first)), escape("".join(word.text for word in words))
        status = say("Answering")
    else:
        kept = match([word.strip() for word in first], [word.text.strip() for word in words])
        old = "".join(mark(piece, at in kept[0]) for at, piece in enumerate(first))
        new = "".join(show_rivals(word, mark(word.text, at in kept[1])) for at, word in enumerate(words))
        status = wording.describe_ending(last.timings, last.finish)
    before = f'<span class="shared">{escape(shared)}</span>'
    return (
        f'<section class="branch"><div class="pair"><div><h3>{say("What it said")}</h3><p>{before}{old}</p></div>'
        f"<div><h3>{say('What it says from there')}</h3><p>{before}{new}</p>"
        f"<small>{escape(status)}</small></div></div></section>"
    )


def show_rivals(word: Word, html: str) -> str:
    return f'<span class="word" style="--doubt:{1 - word.chance:.2f}" title="{escape(word.rivals)}">{html}</span>'


def match(first: Sequence[str], second: Sequence[str]) -> tuple[set[int], set[int]]:
    """Places in either of what they have in common, in order."""
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return (
        {block.a + at for block in blocks for at in range(block.size)},
        {block.b + at for block in blocks for at in range(block.size)},
    )


def mark(text: str, common: bool) -> str:
    return escape(text) if common else f"<mark>{escape(text)}</mark>"
