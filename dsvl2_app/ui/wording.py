"""What the engine reports -> words for people: progress, the cost of an answer, and errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import gradio as gr

from dsvl2_app.engine.request import Finish, ModelCard, Step, Timings
from dsvl2_app.errors import AppError

logger = logging.getLogger(__name__)

UNEXPECTED = "Something went wrong on the server, which has noted it; please try again."
ENDINGS = {"length": "stopped at the limit of new tokens", "cancelled": "stopped"}


def describe_progress(step: Step) -> str:
    if step.stage == "queued":
        return f"Waiting: number {step.done:,} of {step.total:,}" if step.total > 1 else "Waiting"
    if step.stage == "vision":
        return f"Looking at the pictures: tile {step.done:,} of {step.total:,}"
    if step.stage == "prefill":
        return f"Reading: {step.done:,} of {step.total:,} tokens"
    return "Answering"


def describe_ending(timings: Timings, finish: Finish | None) -> str:
    """One line under an answer."""
    words = [count(timings.new_tokens, "token")]
    if timings.decode > 0 and timings.new_tokens > 1:
        words.append(f"{timings.new_tokens / timings.decode:.3g} tokens/s")
    words.append(f"{timings.queued + timings.vision + timings.prefill + timings.decode:.1f} s in all")
    if finish in ENDINGS:
        words.append(ENDINGS[finish])
    return " · ".join(words)


def describe_timings(timings: Timings) -> list[tuple[str, str, str]]:
    """What each stage did and how long it took."""
    stages = [("Prompt", count(timings.prompt_tokens, "token"), timings.prefill)]
    if timings.tiles:
        merged = timings.tiles - timings.encoded_tiles
        tiles = count(timings.tiles, "tile") + (f", {merged:,} of them alike" if merged else "")
        stages.insert(0, ("Pictures", tiles, timings.vision))
    stages.append(("Answer", count(timings.new_tokens, "token"), timings.decode))
    if timings.queued >= 0.05:
        stages.insert(0, ("Waiting", "for other requests", timings.queued))
    return [(stage, what, f"{seconds:.2f} s") for stage, what, seconds in stages]


def describe_card(card: ModelCard) -> list[str]:
    sizes = f"{abbreviate(card.parameters)} parameters"
    if card.active_parameters != card.parameters:
        sizes += f", {abbreviate(card.active_parameters)} active"
    return [sizes, card.dtype, card.device, f"{card.context:,} tokens of context"]


def describe_error(error: Exception) -> str:
    """The sentence to show; what nobody could foresee goes to the log instead."""
    if isinstance(error, AppError):
        return str(error)
    logger.error("request failed", exc_info=error)
    return UNEXPECTED


def show_notice(error: Exception | None = None) -> str:
    """A message in its place on the page; nothing without an error."""
    return f'<div class="notice" role="alert">{escape(describe_error(error))}</div>' if error else ""


@contextmanager
def errors_for_clients() -> Iterator[None]:
    """Inside a named endpoint: any failure reaches the caller as one sentence."""
    try:
        yield
    except Exception as error:
        raise gr.Error(describe_error(error), print_exception=False) from error


def count(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def abbreviate(number: int) -> str:
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)
