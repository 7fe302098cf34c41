"""The tour of the Inside view: five steps over a real answer of the model that is loaded (assets/tour.js)."""

from __future__ import annotations

from dsvl2_app.bundled import EXAMPLES
from dsvl2_app.inspection import Inspection
from dsvl2_app.ui.words.translations import say

PICTURE = EXAMPLES / "several.png"
QUESTION = "Find all <|ref|>yellow shapes<|/ref|>."
# How the answer is drawn meanwhile, what is pointed at, and what there is to know.
STEPS = (
    (
        "attention",
        "#inside-view .stage",
        "The model sees a picture twice: whole, as the global view, and larger, cut into tiles; here {tiles} of them. "
        "The white lines are their edges.",
    ),
    (
        "attention",
        "#inside-view .text",
        "Each tile becomes tokens, one for each small square: {tokens:,} for this picture. They stand in the prompt "
        "where the mark ▦ is, before the words of the question.",
    ),
    (
        "attention",
        "#inside-answer .pieces",
        "The answer is written token by token. Choose one: the brighter a square of the picture, the more the model "
        "looked there. Tinted ones were unsure; pointing at one tells what else it might have been.",
    ),
    (
        "experts",
        "#inside-view .controls",
        "In nearly every layer a router sends each token to {active} of {experts} experts. A square has the colour of "
        "its first one: slide through the layers to see which experts take shapes, ground or words.",
    ),
    (
        "boxes",
        "#inside-view .stage",
        "A box is four numbers from 0 to 999, written as tokens like any word. An edge is sharp where the model was "
        "sure of it, and soft where it was not.",
    ),
)


def show_tour(seen: Inspection) -> str:
    values = {
        "tiles": sum(layout.num_tiles - 1 for layout in seen.layouts),
        "tokens": sum(layout.num_tokens for layout in seen.layouts),
        "active": seen.experts.shape[-1],
        "experts": seen.expert_count,
    }
    items = "".join(
        f'<li data-mode="{mode}" data-target="{target}" hidden>{say(words, **values)}</li>'
        for mode, target, words in STEPS
    )
    return (
        f'<section class="tour" tabindex="-1" role="region" aria-label="{say("Tour")}"><ol aria-live="polite">{items}'
        f'</ol><div><button type="button" data-step="-1">{say("Back")}</button><output></output>'
        f'<button type="button" data-step="1">{say("Next")}</button>'
        f'<button type="button" class="close">{say("End the tour")}</button></div></section>'
    )
