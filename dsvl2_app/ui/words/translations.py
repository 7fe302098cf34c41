"""The page's words in English and Chinese.

English is written where it is used; chinese.py has what it is in Chinese, chinese_errors.py that of what goes wrong.
`label` is for what does not change while the page is open (the browser puts it into the language that the visitor
chose), `say` for what the server writes (in the language that the visitor's browser asks for).
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from dsvl2_app.errors import fill
from dsvl2_app.ui.gradio_quirks import CHINESE_READERS, Translated, served_request
from dsvl2_app.ui.words.chinese import CHINESE
from dsvl2_app.ui.words.chinese_errors import CHINESE_ERRORS

WORDS = gr.I18n(en={english: english for english in CHINESE}, zh=CHINESE)
SAID = CHINESE | CHINESE_ERRORS


def label(english: str) -> Translated:
    return WORDS(english)


def text_label(english: str) -> Any:
    """A `label` for those parameters of Gradio that take one and are declared to take text alone."""
    return label(english)


def say(english: str, /, **values: Any) -> str:
    """With the values in their places, see errors.fill."""
    return fill(SAID.get(english, english) if _is_chinese_asked_for() else english, values)


def _is_chinese_asked_for() -> bool:
    """By the request that is being served."""
    request = served_request()
    languages = request.headers.get("accept-language", "") if request is not None else ""
    return languages.startswith(CHINESE_READERS)
