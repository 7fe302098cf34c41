# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves the types of many arrays open.
"""The view itself as HTML, which assets/within.js draws in, and what is said of a place, a word or an expert."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape

import numpy as np

from dsvl2_app.inspection import Inspection
from dsvl2_app.inspection.record import NEAREST
from dsvl2_app.ui.gradio_quirks import file_address
from dsvl2_app.ui.tabs.tiles.inside_figures import make_visible, percent, show_spaces
from dsvl2_app.ui.tabs.tiles.token_map import name_tile
from dsvl2_app.ui.words.translations import say

MOST_WATCHERS = 5
# The page's script puts numbers and names in place of the stars.
LAYER_WORDS = {
    "layer": "Layer * of *",
    "average": "All layers, averaged",
    "dense": "Layer * of *: no experts here",
    "lens": "Words after layer *",
    "boxes": "Edges of the answer’s boxes",
    "attention": "From little attention to the most",
    "first": "First choice of most places, with its share",
    "weight": "From a small share of the token to the largest",
}


def show_view(seen: Inspection, file: str, previews: Sequence[str]) -> str:
    """`file` is the packed one, `previews` are the pictures, all within Gradio's cache."""
    layers, heads = seen.attention.shape[:2]
    modes = [("attention", say("Attention"))]
    modes += [("experts", say("Experts"))] if seen.expert_layers else []
    modes += [("words", say("Nearest words"))] if seen.lens.size else []
    modes += [("boxes", say("Boxes"))] if len(seen.corners) else []
    buttons = "".join(
        f'<button type="button" data-mode="{mode}" aria-pressed="{str(mode == "attention").lower()}">{name}</button>'
        for mode, name in modes
    )
    told = json.dumps({name: say(words) for name, words in LAYER_WORDS.items()})
    pictures = json.dumps([file_address(each) for each in previews])
    return (
        f'<section class="within" data-file="{escape(file_address(file))}" data-words="{escape(told)}" '
        f'data-pictures="{escape(pictures)}">'
        f'<div class="controls"><div class="modes" role="group" aria-label="{say("What is drawn")}">{buttons}</div>'
        f'<label class="all"><input type="checkbox" checked> {say("All layers, averaged")}</label>'
        f'<label class="layer"><span>{say("Layer")}</span><input type="range" min="1" max="{layers}" value="{layers}" '
        f'aria-label="{say("Layer")}"></label><output role="status"></output>'
        f"{_choose('head', say('Head'), [say('All heads')], heads)}"
        f"{_choose('expert', say('Expert'), [say('Each token’s first')], seen.expert_count)}"
        f"{_choose('picture', say('Picture'), [], len(seen.layouts))}</div>"
        f'<p class="legend"></p><div class="stage">{_show_canvases()}</div>'
        f'<p class="text" aria-label="{say("Text of the prompt")}">{_show_text(seen)}</p>'
        f'<p class="keep"><button type="button" data-save="png">PNG</button>'
        f'<button type="button" data-save="svg">SVG</button></p></section>'
    )


def _show_canvases() -> str:
    """One for the tiles and one for the global view, each as large as the script makes it."""
    canvases = (
        ("local", say("Tiles"), say("Tiles: arrow keys move to a place, Enter chooses it")),
        ("global", say("Global view"), say("Global view: arrow keys move to a place, Enter chooses it")),
    )
    return "".join(
        f'<figure><div class="sheet"><div><canvas class="{kind}" tabindex="0" role="img" aria-label="{how}"></canvas>'
        f"</div></div><figcaption>{name}</figcaption></figure>"
        for kind, name, how in canvases
    )


def _choose(kind: str, name: str, first: Sequence[str], number: int) -> str:
    options = "".join(f'<option value="-1">{word}</option>' for word in first)
    options += "".join(f'<option value="{each}">{each + 1}</option>' for each in range(number))
    hidden = "" if kind == "head" or (kind == "picture" and number > 1) else " hidden"
    return f'<label class="{kind}"{hidden}>{name} <select>{options}</select></label>'


def _show_text(seen: Inspection) -> str:
    """The prompt's words as a strip; a picture is one mark in it."""
    parts: list[str] = []
    for at, (piece, image) in enumerate(zip(seen.prompt, seen.image_mask.tolist(), strict=True)):
        if image:
            parts += ['<i class="picture">▦</i>'] if at in seen.starts else []
        elif piece:
            parts.append(f'<span data-token="{at}">{escape(make_visible(piece))}</span>')
    return "".join(parts)


def show_word(seen: Inspection, token: int, *, can_fork: bool = False) -> str:
    """What might have been said in its place, numbered by rank. With `can_fork` each is a button, from which the answer
    goes on. What was said stands last and without a number where it is none of them."""
    rows, chosen = "", seen.answer_ids[token]
    pairs = [*zip(seen.alternatives[token, 1:].tolist(), seen.logprobs[token, 1:].tolist(), strict=True)]
    if chosen not in dict(pairs):
        pairs.append((chosen, float(seen.logprobs[token, 0])))
    for rank, (other, logprob) in enumerate(pairs):
        is_said = other == chosen
        said = f' class="said{" beyond" if rank == NEAREST else ""}"' if is_said else ""
        chance, word = math.exp(logprob), f"<code>{escape(show_spaces(seen.words[other]))}</code>"
        if can_fork and not is_said:
            word = f'<button type="button" data-other="{token * NEAREST + rank}">{word}</button>'
        rows += (
            f"<li{said}>{word}"
            f'<meter min="0" max="1" value="{chance:.4f}" aria-hidden="true"></meter>'
            f"<span>{percent(chance)}</span></li>"
        )
    how = f"<p>{say('Choose another word, and the answer goes on from there.')}</p>" if can_fork else ""
    return f'<section class="others"><h3>{say("What it might have said here")}</h3>{how}<ol>{rows}</ol></section>'


def show_place(seen: Inspection, token: int) -> str:
    """One token of a picture: where it is, its experts layer by layer, its nearest words, who looked at it."""
    image, layout, index = next(
        (number, layout, token - start)
        for number, (start, layout) in enumerate(zip(seen.starts, seen.layouts, strict=True))
        if start <= token < start + layout.num_tokens
    )
    place = layout.token(index)
    where = say(place.kind) if place.tile is None else name_tile(place.tile)
    if place.row is not None:
        where += say(", row {row}, column {column}", row=place.row, column=place.column)
    if len(seen.layouts) > 1:
        where = say("Picture {number}: {tile}", number=image + 1, tile=where)
    column = int(seen.image_mask[:token].sum())  # among all image tokens
    rows = ""
    lenses = {layer: at for at, layer in enumerate(seen.lens_layers)}
    mixed = {layer: at for at, layer in enumerate(seen.expert_layers)}
    for layer in range(len(seen.attention)):
        experts = words = ""
        if layer in mixed:
            taken, weights = (each[mixed[layer], token].tolist() for each in (seen.experts, seen.expert_weights))
            pairs = zip(taken, weights, strict=True)
            experts = " ".join(f'<b title="{weight:.2f}">{expert + 1}</b>' for expert, weight in pairs)
        if layer in lenses:
            ids = seen.lens[lenses[layer], column].tolist()
            words = " ".join(f"<code>{escape(make_visible(seen.words[each]))}</code>" for each in ids)
        rows += f'<tr><th scope="row">{layer + 1}</th><td>{experts}</td><td>{words}</td></tr>'
    watchers = seen.watchers(token)
    most = [at for at in watchers.argsort()[::-1][:MOST_WATCHERS].tolist() if watchers[at] > 0]
    looked = ", ".join(f"<q>{escape(make_visible(seen.tokens[at]))}</q> {watchers[at]:.2%}" for at in most)
    title = say("Token {token:,}: {where}", token=token, where=where)
    return (
        f'<section class="place"><h3>{title}</h3><p>{say("Words of the answer that looked here most:")} {looked}</p>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table><thead><tr>'
        f'<th scope="col">{say("Layer")}</th><th scope="col">{say("Experts, the heaviest first")}</th>'
        f'<th scope="col">{say("Nearest words")}</th></tr></thead><tbody>{rows}</tbody></table></div></section>'
    )


def show_expert_kinds(seen: Inspection) -> str:
    """Which experts do pictures and which words, and how evenly they are used."""
    if not seen.expert_layers:
        return ""
    image = np.zeros(seen.experts.shape[1], bool)
    image[: len(seen.prompt)] = seen.image_mask
    rows = ""
    for layer, chosen in zip(seen.expert_layers, seen.experts, strict=True):
        counts = [np.bincount(chosen[tokens].ravel(), minlength=seen.expert_count) for tokens in (image, ~image)]
        shares = [each / max(1, each.sum()) for each in counts]
        cells = ""
        for mine, other in (shares, shares[::-1]):
            order = np.argsort(other - mine, kind="stable")[:3].tolist()
            cells += "<td>" + " ".join(
                f'<button type="button" data-layer="{layer}" data-expert="{each}">{each + 1}</button>'
                f"<small>{percent(float(mine[each]))}</small>"
                for each in order
                if mine[each] > other[each]
            )
            cells += "</td>"
        balance = measure_balance(counts[0] + counts[1])
        rows += (
            f'<tr><th scope="row">{layer + 1}</th>{cells}<td><meter min="0" max="1" value="{balance:.3f}" '
            f'aria-hidden="true"></meter> {percent(balance)}</td></tr>'
        )
    heads = (say("Layer"), say("More for pictures"), say("More for words"), say("Balance"))
    titles = "".join(f'<th scope="col">{head}</th>' for head in heads)
    how = say(
        "Balance is the entropy of the choices as a share of the most there can be: 100% where all experts are chosen "
        "alike. Choose an expert to see its tokens."
    )
    return (
        f'<section class="kinds"><p>{how}</p><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{say("Which experts do pictures, and which words")}"><table>'
        f"<thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def measure_balance(counts: np.ndarray) -> float:
    """Of choices per expert: 1 where all are alike, 0 where one took everything."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum() / math.log(len(counts))) if len(counts) > 1 else 1.0
