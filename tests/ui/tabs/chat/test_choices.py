from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from dsvl2_app.errors import SettingsError
from dsvl2_app.ui.sampling import read_whole_number
from dsvl2_app.ui.tabs.chat.choices import MEMORY, PRESETS, TILINGS, Choices, keep_valid, remember
from dsvl2_app.ui.words.chinese import CHINESE

USUAL = [0.2, 0.9, 1, 512, "", "", "automatic", 9]
STORED = [0.8, 0.95, 1.1, 100, "7", "Be brief.", "never", 4]


@pytest.mark.parametrize(
    ("place", "wrong"), [(0, "warm"), (1, 3), (2, None), (3, "many"), (4, "abc"), (6, "Perhaps"), (7, 0)]
)
def test_a_wrong_setting_takes_no_other_with_it(place: int, wrong: Any):
    stored = [*STORED[:place], wrong, *STORED[place + 1 :]]
    assert keep_valid(stored, USUAL) == [*STORED[:place], gr.skip(), *STORED[place + 1 :]]


@pytest.mark.parametrize("stored", [None, "settings", [], STORED[:-1], [[], {}] * 4])
def test_what_is_no_settings_changes_nothing(stored: Any):
    assert keep_valid(stored, USUAL)[:5] == [gr.skip()] * 5


def test_a_wrong_setting_is_named_in_a_sentence():
    with pytest.raises(SettingsError, match=r"^The seed is 'abc'; choose a whole number"):
        Choices.read(*USUAL[:4], "abc", *USUAL[5:])


def test_what_the_browser_remembers_outlives_a_restart():
    """It is encrypted with a secret, which is the same in every process."""
    with gr.Blocks() as demo:
        remember(demo, [gr.Checkbox()])
    (memory,) = [block for block in demo.blocks.values() if isinstance(block, gr.BrowserState)]
    assert (memory.storage_key, memory.secret) == (MEMORY, MEMORY)


def test_numbers_of_things_are_whole():
    assert read_whole_number("max_tiles", 3.0) == 3
    for half in (2.5, "2.5", float("nan"), float("inf")):
        with pytest.raises(SettingsError, match="choose a whole number"):
            read_whole_number("max_tiles", half)


@pytest.mark.parametrize("value", [*PRESETS, *TILINGS])
def test_no_value_is_a_word_of_the_page(value: str):
    """Which Gradio, while a page loads, can translate in a component's value: the server then refused the question."""
    assert value not in CHINESE and value.capitalize() in CHINESE
