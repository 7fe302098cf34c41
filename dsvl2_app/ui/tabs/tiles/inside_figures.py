"""An inspection -> HTML for the Inside view: the answer's pieces, where attention went, experts, twins, the cost."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from html import escape

import numpy as np

from dsvl2_app.inspection import Inspection
from dsvl2_app.request import Timings
from dsvl2_app.ui.tabs.tiles.token_map import name_tile
from dsvl2_app.ui.words.translations import say

READABLE = 16  # experts whose shares can be read in the table's cells
INVISIBLE = {"\n": "↵", " ": "␣", "\t": "⇥", "": "…"}


def show_answer(text: str) -> str:
    """While it is being written."""
    return f'<p class="written">{escape(text)}</p>' if text else ""


def show_pieces(seen: Inspection, chosen: int) -> str:
    """The answer as buttons, one for each token, tinted where it was unlikely. Only one is reached by Tab, the others
    by arrow keys; pointing at one shows its rivals."""
    buttons = "".join(
        f'<button type="button" class="piece" data-index="{index}" tabindex="{0 if index == chosen else -1}" '
        f'style="--doubt:{1 - math.exp(float(seen.logprobs[index, 0])):.2f}" title="{_list_rivals(seen, index)}" '
        f'aria-pressed="{str(index == chosen).lower()}">{escape(make_visible(piece))}</button>'
        for index, piece in enumerate(seen.tokens)
    )
    return f'<div class="pieces" role="group" aria-label="{say("Answer, token by token")}">{buttons}</div>'


def _list_rivals(seen: Inspection, token: int) -> str:
    pairs = zip(seen.alternatives[token, 1:].tolist(), seen.logprobs[token, 1:].tolist(), strict=True)
    return escape("  ".join(f"{show_spaces(seen.words[each])} {percent(math.exp(chance))}" for each, chance in pairs))


def make_visible(piece: str) -> str:
    return INVISIBLE.get(piece, piece.replace("\n", "↵"))


def show_spaces(piece: str) -> str:
    """Where words stand in a list: with another space, a word is another token."""
    return re.sub("^ +| +$", lambda spaces: "␣" * len(spaces[0]), make_visible(piece))


def show_shares(seen: Inspection, token: int, layer: int | None, image: int) -> str:
    """What a token attended to, as a bar and in words; `image` is the one whose heat is shown below."""
    begin, text, answer = seen.elsewhere(token, layer).tolist()
    weights = seen.average(token, layer)
    attention = [
        weights[start : start + layout.num_tokens] for start, layout in zip(seen.starts, seen.layouts, strict=True)
    ]
    pictures = [float(weights.sum()) for weights in attention]
    placed = [place.box is not None for place in seen.layouts[image].tokens()]
    on_picture = float(attention[image][placed].sum())
    shares = [
        ("begin", say("Begin token"), begin),
        ("text", say("Text of the prompt"), text),
        ("answer", say("Answer so far"), answer),
    ]
    for place, share in enumerate(pictures):
        name = say("Picture {number}", number=place + 1) if len(pictures) > 1 else say("Picture")
        shares.insert(place, (f"picture{' shown' if place == image else ''}", name, share))
    bar = "".join(f'<span class="{kind}" style="flex-grow:{share:.4f}"></span>' for kind, _, share in shares)
    legend = "".join(
        f'<li class="{kind}"><strong>{percent(share)}</strong> {name}</li>' for kind, name, share in shares
    )
    piece = escape(make_visible(seen.tokens[token]))
    how = say(
        "{share} went to places in the picture, brightness being the square root of the weight; what else went to the "
        "picture is on its newlines, its separator and padding.",
        share=percent(on_picture),
    )
    return (
        f'<section class="shares"><h3>{say("Where the model looked when it chose")} <q>{piece}</q></h3>'
        f'<div class="strip" aria-hidden="true">{bar}</div><ul>{legend}</ul><p>{how}</p></section>'
    )


def show_experts(seen: Inspection) -> str:
    """A heat table for tokens of pictures and one for those of text: a row for each layer, a column for each expert."""
    if not seen.expert_layers:
        return ""
    all_shares = seen.expert_shares()
    most = float(all_shares.max()) or 1.0
    tables = "".join(
        _show_heat_table(title, [layer + 1 for layer in seen.expert_layers], shares, most)
        for title, shares in zip(
            (say("Tokens of pictures"), say("Tokens of text")), all_shares.swapaxes(0, 1), strict=True
        )
    )
    how = say(
        "Of 100 choices of a layer's router, how many fell on each expert. If all were chosen alike it would be "
        "{even}, and the most is {most}.",
        even=percent(1 / seen.expert_count),
        most=percent(most),
    )
    return (
        f'<section class="experts"><h3>{say("Which experts were chosen, layer by layer")}</h3><p>{how}</p>'
        f'<div class="pair">{tables}</div></section>'
    )


def _show_heat_table(title: str, layers: Sequence[int], shares: np.ndarray, most: float) -> str:
    experts = shares.shape[1]
    heads = "".join(f'<th scope="col">{expert + 1}</th>' for expert in range(experts))
    rows = "".join(
        f'<tr><th scope="row">{layer}</th>'
        + "".join(f'<td style="--level:{share / most:.2f}">{100 * share:.0f}</td>' for share in row.tolist())
        + "</tr>"
        for layer, row in zip(layers, shares, strict=True)
    )
    kind = "" if experts <= READABLE else " dense"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table class="heat{kind}">'
        f'<caption>{title}</caption><thead><tr><th scope="col">{say("Layer")}</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def show_twins(seen: Inspection) -> str:
    """Which tiles were the same pixels."""
    names = []
    for number, layout in enumerate(seen.layouts, start=1):
        tiles = map(name_tile, range(layout.num_tiles))
        several = len(seen.layouts) > 1
        names += [say("Picture {number}: {tile}", number=number, tile=tile) if several else tile for tile in tiles]
    groups: dict[int, list[str]] = defaultdict(list)
    for name, twin in zip(names, seen.twins, strict=True):
        groups[twin].append(name)
    alike = [" = ".join(group) for group in groups.values() if len(group) > 1]
    if not alike:
        found = say("All {tiles:,} tiles differ, so each was encoded.", tiles=len(names))
    else:
        found = say(
            "{encoded:,} of {tiles:,} tiles were encoded; the same pixels need it only once.",
            encoded=len(groups),
            tiles=len(names),
        )
    items = "".join(f"<li>{group}</li>" for group in alike)
    return (
        f'<section class="twins"><h3>{say("Tiles encoded once")}</h3><p>{found}</p>'
        + (f"<ul>{items}</ul>" if items else "")
        + "</section>"
    )


def estimate_seconds(timings: Timings, tokens: int, pace: float | None) -> float | None:
    """That looking inside will take: `tokens` at the pace in seconds of the last time, or at that of the last long
    prompt, whoever asked it; None where none was read."""
    if pace is not None:
        return pace * tokens
    return timings.vision + timings.prompt_pace * tokens if timings.prompt_pace else None


def offer_look(tokens: int, memory: int, seconds: float | None) -> str:
    """What looking inside will cost, before."""
    if seconds is None:
        return say(
            "Look inside: one more pass over {tokens:,} tokens, about {megabytes:,.1f} MB",
            tokens=tokens,
            megabytes=memory / 1e6,
        )
    return say(
        "Look inside: one more pass over {tokens:,} tokens, about {seconds:.1f} s and {megabytes:,.1f} MB",
        tokens=tokens,
        seconds=max(seconds, 0.1),
        megabytes=memory / 1e6,
    )


def show_cost(seen: Inspection) -> str:
    words = say(
        "Collecting this took {seconds:.2f} s and {megabytes:,.1f} MB: one more pass over {tokens:,} tokens, whose "
        "attention weights and router choices were kept. An answer that is not looked into costs nothing extra.",
        seconds=seen.seconds,
        megabytes=seen.memory / 1e6,
        tokens=seen.prompt_tokens + len(seen.tokens) - 1,
    )
    return f'<p class="cost">{words}</p>'


def percent(share: float) -> str:
    """As exact as it can be read, and never 0 for what is not."""
    if 0 < share < 0.0005:
        return f"{share:.2%}" if share >= 0.00005 else say("under 0.01%")
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"
