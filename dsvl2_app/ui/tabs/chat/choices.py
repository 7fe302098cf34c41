"""The settings panel of the Chat tab: its controls, its presets, and what the visitor's browser remembers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import gradio as gr

from dsvl2_app.errors import SettingsError
from dsvl2_app.request import ModelCard, Sampling
from dsvl2_app.ui.events import QUIET
from dsvl2_app.ui.sampling import read_sampling, read_whole_number
from dsvl2_app.ui.words.translations import label

# Values differ from the words that are shown, which a page that is still loading translates in values, too.
PRESETS: dict[str, tuple[float, float]] = {  # temperature, top-p
    "precise": (0.0, 1.0),
    "balanced": (0.2, 0.9),
    "creative": (0.8, 0.95),
}
TILINGS: dict[str, bool | None] = {"automatic": None, "always": True, "never": False}
CHANGED = "JSON.stringify(now.map((one) => one ?? '')) !== JSON.stringify(USUAL.map((one) => one ?? ''))"
MEMORY = "dsvl2-settings"  # the key in the browser's storage


@dataclass(frozen=True, slots=True)
class Choices:
    """What the controls say, checked."""

    sampling: Sampling
    system: str = ""
    tiling: bool | None = None
    max_tiles: int | None = None

    @classmethod
    def read(cls, *values: Any) -> Choices:
        *sampling, system, tiling, max_tiles = values
        if tiling not in TILINGS:
            raise SettingsError(
                "The tiling is {tiling!r}; choose one of {tilings}.", tiling=tiling, tilings=", ".join(TILINGS)
            )
        max_tiles = read_whole_number("max_tiles", max_tiles)
        if max_tiles < 1:
            raise SettingsError(
                "The {name} is {value!r}; choose a whole number from 1 up.", name="max_tiles", value=max_tiles
            )
        return cls(read_sampling(*sampling), str(system or ""), TILINGS[tiling], max_tiles)


def build_choices(card: ModelCard) -> list[gr.Component]:
    """The controls whose values `Choices.read` takes, in its order."""
    preset = gr.Radio(
        [(label(name.capitalize()), name) for name in PRESETS],
        value="balanced",
        label=label("Preset"),
        elem_id="chat-preset",
    )
    temperature, top_p, penalty, tokens, seed = build_sampling(card.context)
    with gr.Row():
        system = gr.Textbox(
            label=label("System prompt"),
            info=label("Said to the model before the first question; the released models were trained without one"),
            lines=2,
            max_lines=6,
        )
        tiling = gr.Radio(
            [(label(name.capitalize()), name) for name in TILINGS],
            value="automatic",
            label=label("Cut pictures into tiles"),
            info=label("Automatic: with at most two pictures in the conversation"),
        )
        most = card.geometry.most_tiles
        max_tiles = gr.Slider(
            1,
            most,
            value=most,
            step=1,
            label=label("Tiles at most"),
            info=label("Per picture; fewer tokens, less detail"),
            elem_id="chat-max-tiles",
        )
    link_presets(preset, [temperature, top_p], [penalty, tokens, tiling, max_tiles])
    return [temperature, top_p, penalty, tokens, seed, system, tiling, max_tiles]


def link_presets(preset: gr.Radio, pair: list[gr.Component], others: list[gr.Component]) -> None:
    """A preset sets the `pair` that it has numbers for, and the others to what is usual; none is chosen while the pair
    is another. In the browser, because answers of the server could overtake each other."""
    presets, usual = json.dumps(PRESETS), json.dumps([control.value for control in others])
    find = f"(...now) => Object.entries({presets}).find(([, values]) => `${{values}}` === `${{now}}`)?.[0] ?? null"
    preset.input(None, preset, [*pair, *others], js=f"name => [...({presets})[name], ...{usual}]", **QUIET)
    gr.on(watch(pair), None, pair, preset, js=find, **QUIET)


def build_reset(controls: list[gr.Component]) -> None:
    """A button that sets all of them to what is usual; while they are not, their panel has the class `changed`."""
    usual = [control.value for control in controls]
    mark = f"(...now) => {{document.querySelector('#chat-settings')?.classList.toggle('changed', {CHANGED})}}"
    gr.on(watch(controls), None, controls, None, js=mark.replace("USUAL", json.dumps(usual)), **QUIET)
    reset = gr.Button(label("Reset all"), size="sm", elem_id="chat-reset")
    reset.click(None, None, controls, js=f"() => {json.dumps(usual)}", **QUIET)


def remember(demo: gr.Blocks, controls: list[gr.Component]) -> None:
    """Keep the controls' values in the browser, and put them back when the page is opened again. Called outside of
    whatever may be closed: Gradio does not read what the browser keeps for a component that is not shown yet."""
    memory = gr.BrowserState(None, storage_key=MEMORY, secret=MEMORY)  # without one, nothing outlives a restart
    gr.on(watch(controls), None, controls, memory, js="(...values) => [values]", **QUIET)
    usual = [control.value for control in controls]
    demo.load(lambda stored: keep_valid(stored, usual), memory, controls, **QUIET)


def watch(controls: list[gr.Component]) -> list[Any]:
    """The events of their changes."""
    return [getattr(control, "change") for control in controls]  # noqa: B009


def keep_valid(stored: Any, usual: list[Any]) -> list[Any]:
    """What can be set of `stored`, which may be of another version of the page, or anything; the rest is left alone."""
    kept: list[Any] = [gr.skip()] * len(usual)
    if not isinstance(stored, list) or len(stored) != len(usual):
        return kept
    for place, value in enumerate(stored):
        try:
            Choices.read(*usual[:place], value, *usual[place + 1 :])
        except Exception:  # noqa: S112  # whatever it is, it is no choice
            continue
        kept[place] = value
    return kept


def build_sampling(context: int) -> tuple[gr.Slider, gr.Slider, gr.Slider, gr.Slider, gr.Textbox]:
    """The controls whose values `read_sampling` takes, in its order."""
    with gr.Row():
        temperature = gr.Slider(
            0,
            2,
            value=0.2,
            step=0.05,
            label=label("Temperature"),
            info=label("0 always takes the likeliest token"),
        )
        top_p = gr.Slider(
            0, 1, value=0.9, step=0.01, label=label("Top-p"), info=label("Share of likely tokens to choose from")
        )
        penalty = gr.Slider(
            1,
            2,
            value=1,
            step=0.01,
            label=label("Repetition penalty"),
            info=label("Above 1 avoids repeating; harms numbers"),
        )
    with gr.Row():
        tokens = gr.Slider(
            1,
            context,
            value=min(512, context),
            step=1,
            label=label("New tokens at most"),
            info=label("Limit of the answer"),
        )
        seed = gr.Textbox(
            label=label("Seed"), placeholder=label("random"), info=label("The same seed repeats an answer")
        )
    return temperature, top_p, penalty, tokens, seed
