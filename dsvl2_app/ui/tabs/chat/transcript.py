"""A conversation -> what the Chatbot shows: Markdown in which both sides' text is only text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any

from dsvl2_app.request import Timings
from dsvl2_app.ui.gradio_quirks import file_address
from dsvl2_app.ui.pages import name_page
from dsvl2_app.ui.tabs.chat.conversation import Attachment, Conversation, Turn
from dsvl2_app.ui.tabs.chat.markup import Links, show_answer, show_question
from dsvl2_app.ui.tabs.grounding.linked import show_canvas, style_boxes
from dsvl2_app.ui.unread import show_note
from dsvl2_app.ui.words import wording
from dsvl2_app.ui.words.translations import say


def show_transcript(conversation: Conversation) -> list[dict[str, Any]]:
    """A turn that is shown as it was before is not written anew: all are shown again for each token of the last."""
    messages: list[dict[str, Any]] = []
    numbers, pictures, running = tuple(conversation.numbers), conversation.pictures, conversation.is_running
    visitor = say("Boxes"), file_address("")  # whose language and addresses may be others
    place = 0
    for index, turn in enumerate(conversation.shown):
        place += len(turn.pictures)
        asked = (turn, numbers[:place], conversation.raw, running, visitor)
        before = conversation.written.get(index)
        if before is None or before[0] != asked:
            before = asked, _show_turn(turn, index, numbers[:place], pictures, conversation.raw, running)
            conversation.written[index] = before
        for role, text in zip(("user", "assistant"), before[1], strict=True):
            messages.append({"role": role, "content": [{"type": "text", "text": text}]})
    return messages


def _show_turn(
    turn: Turn,
    index: int,
    numbers: Sequence[int | None],
    pictures: Sequence[Attachment],
    raw: bool,
    running: bool,
) -> tuple[str, str]:
    """Question and answer. `numbers` are those of the pictures until then."""
    own = numbers[len(numbers) - len(turn.pictures) :]
    found = _show_found(turn, pictures, numbers, _show_choice(turn, index, numbers, running))
    question = _show_pictures(turn, own) + show_question(turn.question)
    answer = _show_answer(turn, raw) + (f"\n\n{show_note()}" if turn.unread else "")
    return _strike(turn, question), _strike(turn, answer + found + _show_timings(turn))


def _show_pictures(turn: Turn, numbers: Sequence[int | None]) -> str:
    """Small, side by side and numbered (by the style sheet, as those in the message box); a click opens one."""
    if not turn.pictures:
        return ""
    links = ""
    for picture, number in zip(turn.pictures, numbers, strict=True):
        source = file_address(picture.preview)
        size = "{:,} × {:,} px".format(*picture.image.size)
        words = say("Picture {number}", number=number) + f", {size}" if number else size
        words += f", {name_page(picture.image.kind, picture.image.frame + 1)}" if picture.image.frame else ""
        kind = "picture gone" if picture.dropped else "picture"
        links += f'<a class="{kind}" href="{source}" target="_blank"><img alt="{words}" src="{source}"></a>'
    return f'<div class="pictures">{links}</div>\n\n'


def _show_answer(turn: Turn, raw: bool) -> str:
    if turn.answer:
        links = Links(turn.found.starts, tuple(style_boxes(turn.found.boxes))) if turn.found else None
        return show_answer(turn.answer, raw=raw, links=links)
    if turn.finish:
        words = "The model had nothing to say." if turn.is_answered else "Stopped before its first word."
        return f'<span class="progress">{say(words)}</span>'
    return f'<span class="progress running">{escape(turn.progress)}</span>'


def _show_found(turn: Turn, pictures: Sequence[Attachment], numbers: Sequence[int | None], choice: str) -> str:
    """The pictures with boxes, which chips in the text point at, and the `choice` below. On one line, which is one
    block of HTML to Markdown."""
    if not turn.found:
        return ""
    boxes = [replace(box, label=" ".join(box.label.split())) for box in turn.found.boxes]
    shown, styles = "", style_boxes(boxes)
    for place in dict.fromkeys(turn.places):
        number, picture = numbers[place], pictures[place]
        words = say("Boxes on picture {number}", number=number) if number else say("Boxes")
        own = {index: box for index, (box, on) in enumerate(zip(boxes, turn.places, strict=True)) if on == place}
        canvas = show_canvas(picture.preview, picture.image.size, own, styles, words, hints=True)
        shown += f'<div class="boxes"><div class="stage">{canvas}</div></div>'
    return f'\n\n<section class="found">{shown}{choice}</section>'


def _show_choice(turn: Turn, index: int, numbers: Sequence[int | None], running: bool) -> str:
    """Which of the pictures until then the boxes are drawn on, to be chosen by a person where there are several. The
    value of each is what assets/quirks.js tells the server."""
    if not turn.placed or len(numbers) < 2 or turn.dropped:
        return ""
    here = set(turn.places)
    choices = [(f"{number or '–'}", f"{place}", here == {place}) for place, number in enumerate(numbers)]
    choices = [(words, value, on) for words, value, on in choices if on or words != "–"]  # no longer sent
    if len({*turn.placed.places}) > 1:
        choices.insert(0, (say("as the answer says"), "said", turn.marked is None))
    if len(choices) < 2:
        return ""
    buttons = "".join(
        f'<label><input type="radio" name="mark-{index}" value="{index} {value}"{" checked" if on else ""}'
        f"{' disabled' if running else ''}> {words}</label>"
        for words, value, on in choices
    )
    unsure = turn.marked is None and not turn.placed.known
    why = f"<small>{say('The model does not say which one; this is the last.')}</small>" if unsure else ""
    return f'<fieldset class="placing"><legend>{say("Boxes are drawn on picture")}</legend>{buttons}{why}</fieldset>'


def _show_timings(turn: Turn) -> str:
    """On one line, which is one block of HTML to Markdown. An answer that an earlier version kept has none."""
    if not turn.finish or turn.timings == Timings():
        return ""
    rows = "".join(
        f"<tr><th>{stage}</th>"
        + (
            f"<td>{what}</td><td>{speed}</td><td>{seconds}</td></tr>"
            if seconds
            else f'<td colspan="3">{what}</td></tr>'
        )
        for stage, what, speed, seconds in wording.describe_timings(turn.timings)
    )
    summary = wording.describe_ending(turn.timings, turn.finish, turn.context)
    return f'\n\n<details class="timings"><summary>{summary}</summary><table><tbody>{rows}</tbody></table></details>'


def _strike(turn: Turn, text: str) -> str:
    """The style sheet strikes out what follows the mark."""
    return f'<span class="dropped" title="{say("No longer sent to the model")}"></span>{text}' if turn.dropped else text
