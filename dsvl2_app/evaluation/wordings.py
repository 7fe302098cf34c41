"""How each benchmark asks: VLMEvalKit's wordings (its commit e8e78f0 of August 2026), data set by data set, with what
its class for DeepSeek-VL2 makes of them: pictures before the text, MMMU's first picture doubled.

RefCOCO alone is asked as DeepSeek's own examples ask for a box.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from dsvl2_app.evaluation import mathvista
from dsvl2_app.evaluation.questions import Question
from dsvl2_app.evaluation.report import Messages
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.text.grounding import ask_for

SHORTLY = "\nAnswer the question using a single word or phrase."
CHOOSE = "Please select the correct answer from the options above. \n"
CHOOSE_LETTER = f"Answer with the option's letter from the given choices directly. {SHORTLY.strip()}\n \n"


def _say(pictures: Sequence[ImageRef], text: str, apart: bool = True) -> Messages:
    """The pictures, each with a line break behind it or one behind all of them, then the text."""
    content = []
    for picture in pictures:
        content += [{"type": "image", "image": picture}, *([{"type": "text", "text": "\n"}] if apart else [])]
    return [{"role": "user", "content": [*content, {"type": "text", "text": text if apart else f"\n{text}"}]}]


def _list_options(question: Question) -> str:
    return "".join(f"{letter}. {text}\n" for letter, text in question.options.items())


def ask_shortly(question: Question) -> Messages:
    return _say(question.pictures, question.prompt + SHORTLY)


def ask_plainly(question: Question) -> Messages:
    return _say(question.pictures, question.prompt)


def ask_to_choose(question: Question) -> Messages:
    hint = f"Hint: {question.hint}\n" if question.hint else ""
    choices = f"Options:\n{_list_options(question)}{CHOOSE}" if question.options else ""
    return _say(question.pictures, f"{hint}Question: {question.prompt}\n{choices}")


def ask_realworldqa(question: Question) -> Messages:
    """An open question as it stands; it says itself how to answer."""
    return ask_to_choose(question) if question.options else ask_plainly(question)


def ask_mathvista(question: Question) -> Messages:
    asked = (question.prompt, question.options, question.unit, question.answer_type, question.precision)
    return _say(question.pictures, mathvista.write_query(*asked))


def ask_mmmu(question: Question) -> Messages:
    """The first picture twice as large, and every picture before the text, which still says <image 1> where it was."""
    first, *others = question.pictures
    width, height = first.size
    doubled = ImageRef.of(first.open().resize((2 * width, 2 * height), Image.Resampling.BILINEAR))
    choices = f"{_list_options(question)}{CHOOSE_LETTER}" if question.options else ""
    return _say([doubled, *others], f" {question.prompt}\n{choices}", apart=False)


def ask_to_find(question: Question) -> Messages:
    return ask_for(question.pictures[0], question.prompt)
