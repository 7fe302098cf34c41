"""Colours, type, style sheet and the page's JavaScript."""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import colors, sizes

from dsvl2_app.bundled import ASSETS, read_asset

STYLE_SHEET = ASSETS / "page.css"

SCRIPTS = ("tokens.js", "quirks.js", "drops.js", "following.js", "shortcuts.js", "chips.js")


def read_script() -> str:
    """All of the page's JavaScript as one function, to be run when it opens. Within it `linkBoxes` does what
    boxes.js does, to one element of the page."""
    link = f"const linkBoxes = (element, watch) => {{{read_asset('boxes.js')}}};"
    functions = [read_asset(name) for name in SCRIPTS]
    calls = [f"({function[function.index('() =>') :].strip()})();" for function in functions]
    return "() => {" + link + "".join(calls) + "}"


def build_theme() -> gr.Theme:
    return gr.Theme(
        primary_hue=colors.indigo,
        secondary_hue=colors.indigo,
        neutral_hue=colors.slate,
        radius_size=sizes.radius_lg,
        font=["Inter", "ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Consolas", "monospace"],
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color_subdued="*neutral_500",  # the default is too pale to read
        input_placeholder_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",  # the default cannot be seen
        checkbox_border_color_hover_dark="*neutral_300",
        block_border_width="1px",
        panel_background_fill="*background_fill_primary",  # of a login, as what is around it
        panel_background_fill_dark="*background_fill_primary",
        block_shadow="none",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_text_color="white",
    )
