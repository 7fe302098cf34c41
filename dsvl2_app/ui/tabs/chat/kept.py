"""A turn of a conversation as JSON, wherever it is kept: in the browser, and in the archive that is exported."""

from __future__ import annotations

import math
from dataclasses import asdict, fields, replace
from typing import Any, get_args

from dsvl2_app.request import Finish, Timings
from dsvl2_app.ui.tabs.chat.conversation import Attachment, Conversation, Turn
from dsvl2_app.ui.tabs.chat.placing import Placed

LARGEST = 1e15  # of any number that is kept: a petabyte, or thirty million years


def describe_turn(turn: Turn) -> dict[str, Any]:
    """All of it but the pictures."""
    return {
        "question": turn.question,
        "answer": turn.answer,
        "dropped": turn.dropped,
        "marked": turn.marked,
        "placed": turn.placed.describe() if turn.placed else None,
        "finish": turn.finish,
        "timings": asdict(turn.timings),
        "context": turn.context,
        "unread": turn.unread,
    }


def add_turn(conversation: Conversation, entry: Any, pictures: tuple[Attachment, ...]) -> None:
    """What `describe_turn` made, at the end of the conversation. What earlier versions did not keep may be absent.
    Raises ValueError, LookupError or TypeError for what is no turn."""
    question, answer, finish = entry["question"], entry["answer"], entry.get("finish")
    if not (isinstance(question, str) and isinstance(answer, str)):
        raise ValueError
    if finish not in get_args(Finish):
        finish = "eos" if answer else "cancelled"
    context, timings = _read_number(entry.get("context"), 0), read_timings(entry.get("timings"))
    dropped, unread = (entry.get(name) is True for name in ("dropped", "unread"))
    turn = Turn(question, pictures, answer, finish=finish, timings=timings, context=context, unread=unread)
    conversation.turns.append(replace(turn, dropped=dropped))
    marked = entry.get("marked")
    conversation.mark(marked=marked if type(marked) is int else None, placed=Placed.read(entry.get("placed")))


def read_timings(told: Any) -> Timings:
    """Whatever in it is no number of its kind counts as none."""
    if not isinstance(told, dict):
        return Timings()
    return Timings(**{each.name: _read_number(told.get(each.name), each.default) for each in fields(Timings)})


def _read_number(told: Any, usual: Any) -> Any:
    """A number as large as can be, whole where the `usual` one is; else the usual one."""
    kinds = (int,) if isinstance(usual, int) else (int, float)
    return told if type(told) in kinds and math.isfinite(told) and 0 <= told <= LARGEST else usual
