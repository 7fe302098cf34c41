"""MathVista (Lu et al., "MathVista: Evaluating Mathematical Reasoning of Foundation Models in Visual Contexts", 2024).

The benchmark has a language model read the final answer out of a long one (section 3.1). Here rules read it, without
any judge, and what they cannot read is wrong: scores can be repeated, and may be somewhat below those with a judge.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping

from dsvl2_app.evaluation.choices import extract_choice
from dsvl2_app.evaluation.scoring import NUMBERS

ANSWER_TYPES = ("integer", "float", "list", "text")
HINTS = {
    ("choice", 0): "answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.",
    (
        "integer",
        0,
    ): "answer the question requiring an integer answer and provide the final value, e.g., 1, 2, 3, at the end.",
    ("float", 1): "answer the question requiring a floating-point number with one decimal place and provide the final "
    "value, e.g., 1.2, 1.3, 1.4, at the end.",
    ("float", 2): "answer the question requiring a floating-point number with two decimal places and provide the final "
    "value, e.g., 1.23, 1.34, 1.45, at the end.",
    (
        "list",
        0,
    ): "answer the question requiring a Python list as an answer and provide the final list, e.g., [1, 2, 3], "
    "[1.2, 1.3, 1.4], at the end.",
}
_NUMBER = re.compile(r"(?<![\w.])[-−]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:\s*/\s*\d+(?:\.\d+)?)?")
_FINAL = re.compile(r"\b(?:answer|value)(?: is|:)[:\s]*", re.IGNORECASE)


def write_query(prompt: str, options: Mapping[str, str], unit: str, answer_type: str, precision: int) -> str:
    """What the benchmark asks with: a hint at the form of the answer, the question with its unit, and the choices."""
    if prompt.lstrip().startswith("Hint:"):
        return prompt
    form = ("choice", 0) if options else (answer_type, precision if answer_type == "float" else 0)
    hint = f"Hint: Please {HINTS[form]}\n" if form in HINTS else ""
    choices = "".join(f"\n({letter}) {text}" for letter, text in options.items())
    return f"{hint}Question: {prompt}{f' (Unit: {unit})' if unit else ''}{choices and f'{chr(10)}Choices:{choices}'}"


def extract_answer(answer: str, options: Mapping[str, str], answer_type: str) -> str:
    """The final answer: a letter of the options, else a number, a list, or the text itself; "" where none is found.

    It is looked for behind the last "answer is" or "answer:", then in the whole. Of several numbers the last counts
    there, and the first behind "answer is"; thousands may be parted by commas, "3/4" is a quotient, and a word up to
    ten is a number where there is no digit.
    """
    *_, said = _FINAL.split(answer) if _FINAL.search(answer) else [""]
    if options:
        return extract_choice(said, options) or extract_choice(answer, options) or ""
    if answer_type in ("integer", "float"):
        return _read_number(said, 0) or _read_number(answer, -1)
    if answer_type == "list":
        lists = re.findall(r"\[[^\[\]]*\]", answer)
        return lists[-1] if lists else ""
    return (said or answer).strip().rstrip(".")


def _read_number(text: str, which: int) -> str:
    found = _NUMBER.findall(text)
    if found:
        return found[which].replace(",", "").replace("−", "-").replace(" ", "")
    words = [str(NUMBERS[word]) for word in re.findall(r"[a-z]+", text.lower()) if word in NUMBERS and word != "no"]
    return words[which] if words else ""


def score_answer(extracted: str, truth: str, answer_type: str, precision: int) -> float:
    """Whether both are the same: an integer without what follows its point, a float rounded to `precision` places, a
    list number by number, other text but for case."""
    if answer_type == "integer":
        given, true = _to_float(extracted), _to_float(truth)
        return float(given is not None and true is not None and int(given) == int(true))
    if answer_type == "float":
        given, true = _to_float(extracted), _to_float(truth)
        return float(given is not None and true is not None and round(given, precision) == round(true, precision))
    if answer_type == "list":
        given_list, true_list = _to_list(extracted), _to_list(truth)
        return float(given_list is not None and given_list == true_list)
    return float(extracted.strip().lower() == truth.strip().lower())


def _to_float(text: str) -> float | None:
    try:
        above, _, below = text.replace(",", "").partition("/")
        number = float(above) / float(below) if below else float(above)
    except (ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None


def _to_list(text: str) -> list[float] | None:
    try:
        found = ast.literal_eval(text)
        return [float(each) for each in found] if isinstance(found, list) else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
