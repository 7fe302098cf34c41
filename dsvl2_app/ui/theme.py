"""Colours, type, style sheet and the page's few lines of JavaScript."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.themes.utils import colors, sizes

ASSETS = Path(__file__).parents[2] / "assets"
STYLE_SHEET = ASSETS / "page.css"

# Chat messages reach the Chatbot with character references in place of signs (markup.py) and with timings below
# the answer. Its copy buttons copy, and its aria-labels repeat, what it was given; here both become the text alone.
SCRIPT = r"""
() => {
  const clipboard = navigator.clipboard;
  if (clipboard) {
    const write = clipboard.writeText.bind(clipboard);
    clipboard.writeText = (text) => write(
      text
        .replace(/\n*<details class="timings">.*?<\/details>/g, "")
        .replace(/\n*<img class="drawing" [^>]*>/g, "")
        .replace(/<span class="chip [^>]*title="([^"]*)"[^>]*>.*?<\/span>/g, "$1")
        .replace(/<code class="inline">(.*?)<\/code>/g, "`$1`")
        .replace(/&#(\d{4});/g, (_, code) => String.fromCharCode(Number(code)))
    );
  }
  document.addEventListener("click", (event) => {
    const pencils = [...document.querySelectorAll("#conversation [title=Edit]")];
    const number = pencils.indexOf(event.target.closest("[title=Edit]"));
    const edited = document.querySelector("#chat-edited :is(textarea, input)");
    if (number < 0 || !edited) return;
    event.stopImmediatePropagation();
    edited.value = number;
    edited.dispatchEvent(new Event("input", {bubbles: true}));
  }, true);
  const unlabel = () => document
    .querySelectorAll("#conversation :is([data-testid=user], [data-testid=bot])[aria-label]")
    .forEach((message) => message.removeAttribute("aria-label"));
  const changes = {childList: true, subtree: true, attributeFilter: ["aria-label"]};
  new MutationObserver(unlabel).observe(document.body, changes);
}
"""


def read_script() -> str:
    """All of the page's JavaScript as one function, to be run when it opens."""
    tokens = (ASSETS / "tokens.js").read_text(encoding="utf-8")
    return (
        "() => {"
        + "".join(f"({function[function.index('() =>') :].strip()})();" for function in (SCRIPT, tokens))
        + "}"
    )


def build_theme() -> gr.themes.Base:
    return gr.themes.Base(
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
        block_border_width="1px",
        block_shadow="none",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_text_color="white",
    )
