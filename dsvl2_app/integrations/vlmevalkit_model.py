"""A model class for VLMEvalKit, which asks as its own class for DeepSeek-VL2 does, through this project's engine.

VLMEvalKit looks models up in `supported_VLM` (vlmeval/config.py). A script that adds this one and calls its run.py:

    from functools import partial
    from vlmeval.config import supported_VLM
    from dsvl2_app.integrations.vlmevalkit_model import DSVL2

    supported_VLM["dsvl2-small"] = partial(DSVL2, model="small", quantize="int8")

Written against VLMEvalKit's commit e8e78f0 (August 2026). Its class answers one question at a time; `answer_all` of
`asking` serves whoever has many.
"""

from __future__ import annotations

from typing import Any

from PIL import Image
from vlmeval.vlm.base import BaseModel  # pyright: ignore[reportMissingImports]

from dsvl2_app.image.reference import ImageRef
from dsvl2_app.integrations.asking import Wish, answer_all, open_backend, write_message
from dsvl2_app.request import Sampling

MMMU = "MMMU_DEV_VAL"
CHOOSE = "Please select the correct answer from the options above."
CHOOSE_LETTER = (
    "Answer with the option's letter from the given choices directly. Answer the question using a single word or "
    "phrase.\n"
)
MOST_NEW_TOKENS = 2048
ROLES = {"user": "user", "assistant": "assistant", "system": "system"}


class DSVL2(BaseModel):
    """`generate(message, dataset)` and `chat(messages, dataset)` of pictures and text."""

    INSTALL_REQ = False
    INTERLEAVE = True
    allowed_types = ["text", "image"]  # noqa: RUF012 - the base class has a list too

    def __init__(self, model: str = "tiny", max_new_tokens: int = MOST_NEW_TOKENS, **settings: Any) -> None:
        """`settings` are flags of `dsvl2 serve --help`, with underscores. Raises SettingsError for another name."""
        super().__init__()
        self.sampling = Sampling(max_new_tokens=max_new_tokens)
        self.backend = open_backend(model, **settings)

    def generate_inner(self, message: list[dict[str, str]], dataset: str | None = None) -> str:
        return self._answer([{"role": "user", "content": message}], dataset)

    def chat_inner(self, message: list[dict[str, Any]], dataset: str | None = None) -> str:
        return self._answer(message, dataset)

    def _answer(self, turns: list[dict[str, Any]], dataset: str | None) -> str:
        write = write_mmmu if dataset == MMMU else write_plainly
        messages = [write(ROLES[turn["role"]], turn["content"]) for turn in turns]
        (answer,) = answer_all(self.backend, [Wish(messages, self.sampling)], 1)
        return answer.rstrip(".")


def write_plainly(role: str, parts: list[dict[str, str]]) -> dict[str, Any]:
    """Each picture where it stands, with a line break behind it."""
    return write_message(role, ((part["type"], _show(part)) for part in parts))


def write_mmmu(role: str, parts: list[dict[str, str]]) -> dict[str, Any]:
    """All pictures first, the first of them twice as large, and then the text, which says <image 1> where each was."""
    pictures: list[Any] = []
    text = ""
    for part in parts:
        if part["type"] == "image":
            pictures.append(_show(part))
            text += f"<image {len(pictures)}>"
        else:
            text += part["value"]
    text = text.replace(CHOOSE, CHOOSE_LETTER).replace("Question:", "").replace("Options:\n", "")
    if pictures:
        first = pictures[0].open()
        doubled = first.resize((2 * first.width, 2 * first.height), Image.Resampling.BILINEAR)
        pictures[0] = ImageRef.of(doubled)
    content = [{"type": "image", "image": picture} for picture in pictures]
    return {"role": role, "content": [*content, {"type": "text", "text": f"\n{text}"}]}


def _show(part: dict[str, str]) -> Any:
    return ImageRef.of(part["value"]) if part["type"] == "image" else part["value"]
