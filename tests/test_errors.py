from __future__ import annotations

import copy
import pickle

import pytest

from dsvl2_app.errors import AppError, ImageError, PromptError, SettingsError


def test_a_sentence_is_filled_in_and_kept_apart_from_its_values() -> None:
    error = ImageError("{name} has {size:.1f} MB; make it smaller.", name="'a {b}.png'", size=51.26)
    assert str(error) == "'a {b}.png' has 51.3 MB; make it smaller."
    assert (error.sentence, error.values["size"]) == ("{name} has {size:.1f} MB; make it smaller.", 51.26)


@pytest.mark.parametrize("sentence", ['Write {"text": ...}.', "This } is {0} no {place}.", "{{}}"])
def test_without_values_braces_are_braces(sentence: str) -> None:
    assert str(PromptError(sentence)) == sentence


def test_a_value_may_have_any_name() -> None:
    assert str(SettingsError("{self} {sentence}", self=1, sentence=2)) == "1 2"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_copy_says_the_same(duplicate) -> None:
    error = SettingsError("{name} is {value!r}; choose a number.", name="top_p", value="many")
    same = duplicate(error)
    assert (type(same), same.sentence, same.values) == (SettingsError, error.sentence, error.values)
    assert str(same) == "top_p is 'many'; choose a number."
    assert isinstance(same, AppError)
