"""Questions in a script that the bundled model has not learnt, and what the page says beside their answers."""

from __future__ import annotations

import re
import unicodedata

from dsvl2_app.request import ModelCard
from dsvl2_app.ui.words.translations import say

NOTE = "The bundled toy model reads English alone: its answer to this question is a guess. Ask in English."
_TOKEN = re.compile(r"<\|?/?\w+\|?>")  # <image>, and special tokens as people type them


def is_unread(card: ModelCard, question: str) -> bool:
    """Whether most letters of a question are of a script that the model has not learnt: of any but Latin, where it is
    the bundled one."""
    if not card.bundled:
        return False
    letters = [letter for letter in _TOKEN.sub("", question) if letter.isalpha()]
    return 2 * sum("LATIN" not in unicodedata.name(letter, "") for letter in letters) > len(letters)


def show_note(unread: bool = True) -> str:
    """HTML on one line, which is one block to Markdown; nothing where the question was read."""
    return f'<p class="unread" role="note">{say(NOTE)}</p>' if unread else ""
