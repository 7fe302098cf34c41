"""The page's words in English and Chinese.

English is written where it is used; chinese.py has what it is in Chinese, chinese_errors.py that of what goes wrong.
`label` is for what does not change while the page is open (the browser puts it into the language that the visitor
chose), `say` for what the server writes (in the language that the visitor's browser asks for).
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.context import LocalContext
from gradio.i18n import I18nData

from dsvl2_app.errors import fill
from dsvl2_app.ui.chinese import CHINESE
from dsvl2_app.ui.chinese_errors import CHINESE_ERRORS

WORDS = gr.I18n(en={english: english for english in CHINESE}, zh=CHINESE)
SAID = CHINESE | CHINESE_ERRORS
READERS = ("zh-CN", "zh-TW")  # to whom Gradio's page speaks Chinese; to zh-HK, say, or a bare zh it speaks English


def label(english: str) -> I18nData:
    return WORDS(english)


def say(english: str, /, **values: Any) -> str:
    """With the values in their places, see errors.fill."""
    return fill(SAID.get(english, english) if _is_chinese_asked_for() else english, values)


def _is_chinese_asked_for() -> bool:
    """By the request that is being served; Gradio keeps it where its own gr.Info and gr.Progress find it."""
    request = LocalContext.request.get(None)
    languages = request.headers.get("accept-language", "") if request is not None else ""
    return languages.startswith(READERS)
