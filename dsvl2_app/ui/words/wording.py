"""What the engine reports -> words for people: progress, the cost of an answer, and errors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import gradio as gr

from dsvl2_app.errors import AppError, explain
from dsvl2_app.request import Event, Finish, ModelCard, Timings
from dsvl2_app.ui.words.translations import say

logger = logging.getLogger(__name__)

UNEXPECTED = "Something went wrong on the server, which has noted it; please try again."


def describe_progress(event: Event) -> str:
    if event.stage == "queued":
        if event.total < 2:
            return say("Waiting")
        return say("Waiting: number {done:,} of {total:,}", done=event.done, total=event.total)
    if event.stage == "vision":
        return say("Looking at the pictures: tile {done:,} of {total:,}", done=event.done, total=event.total)
    if event.stage == "prefill":
        return say("Reading: {done:,} of {total:,} tokens", done=event.done, total=event.total)
    return say("Answering")


def describe_ending(timings: Timings, finish: Finish | None, context: int = 0) -> str:
    """One line under an answer. `context` is the model's, in tokens, where it is known."""
    words = [count(timings.new_tokens, "token")]
    if timings.new_tokens > 1:
        words += describe_speed(timings.new_tokens, timings.decode)
    seconds = timings.waited + timings.queued + timings.vision + timings.prefill + timings.decode
    words.append(say("{seconds:.1f} s in all", seconds=seconds) if seconds >= 0.05 else say("under 0.1 s in all"))
    full = 0 < context <= timings.prompt_tokens + timings.new_tokens + 1
    return " · ".join(filter(None, [*words, describe_reason(finish, full=full)]))


def describe_reason(finish: Finish | None, *, full: bool = False) -> str:
    """Why an answer ended; "" where it ended by itself, and while it grows. `full`: the context is."""
    if finish == "length":
        return say("stopped because the context is full" if full else "stopped at the limit of new tokens")
    if finish == "time":
        return say("stopped at this server's limit of time")
    if finish == "repetition":
        return say("stopped: it repeated itself")
    return say("stopped") if finish == "cancelled" else ""


def describe_timings(timings: Timings) -> list[tuple[str, str, str, str]]:
    """What each stage did, how fast, and how long it took; then what was spared, none of which is in the rows above,
    and what is held."""
    table = []
    if timings.queued >= 0.05:
        table.append((say("Waiting"), say("for other requests"), "", describe_seconds(timings.queued)))
    if timings.waited:
        table.append((say("Server"), say("until its first token"), "", describe_seconds(timings.waited)))
    if timings.encoded_tiles:
        merged = timings.tiles - timings.encoded_tiles - timings.reused_tiles
        tiles = count(timings.encoded_tiles, "tile")
        tiles += say(", {merged:,} more alike", merged=merged) if merged > 0 else ""
        table.append((say("Pictures"), tiles, "", describe_seconds(timings.vision)))
    for stage, tokens, seconds in (
        (say("Prompt"), timings.prompt_tokens - timings.reused_tokens, timings.prefill),
        (say("Answer"), timings.new_tokens, timings.decode),
    ):
        time = describe_seconds(seconds) if seconds or not timings.waited else ""
        table.append((stage, count(tokens, "token"), "".join(describe_speed(tokens, seconds)), time))
    reused = [
        count(number, noun)
        for number, noun in ((timings.reused_tokens, "token"), (timings.reused_tiles, "tile"))
        if number
    ]
    if reused:
        table.append((say("From the cache"), ", ".join(reused), "", ""))
    if timings.cache_bytes:
        table.append((say("KV cache"), f"{abbreviate(timings.cache_bytes)}B", "", ""))
    return table


def describe_speed(tokens: int, seconds: float) -> list[str]:
    """Nothing for what took no time."""
    if not tokens or seconds <= 0:
        return []
    speed = tokens / seconds
    return [say("{speed} tokens/s", speed=f"{speed:,.0f}" if speed >= 100 else f"{speed:.3g}")]


def describe_seconds(seconds: float) -> str:
    return say("{seconds:.2f} s", seconds=seconds)


def describe_card(card: ModelCard) -> list[str]:
    sizes = say("{size} parameters", size=abbreviate(card.parameters)) if card.parameters else ""
    if card.active_parameters != card.parameters:
        sizes += say(", {size} active", size=abbreviate(card.active_parameters))
    facts = [sizes, card.dtype, card.device, say("{tokens:,} tokens of context", tokens=card.context)]
    return [fact for fact in facts if fact]  # a server elsewhere may not tell all of them


def describe_error(error: Exception) -> str:
    """The sentence to show; an error that is no AppError goes to the log, and the sentence is UNEXPECTED."""
    error = explain(error)
    if isinstance(error, AppError):
        return say(error.sentence, **error.values)
    logger.error("request failed", exc_info=error)
    return say(UNEXPECTED)


def show_notice(error: Exception | None = None) -> str:
    """A message in its place on the page; nothing without an error."""
    return f'<div class="notice" role="alert">{escape(describe_error(error))}</div>' if error else ""


def show_status(text: str, *, running: bool = False) -> str:
    return f'<p class="progress{" running" if running else ""}" role="status">{escape(text)}</p>'


@contextmanager
def errors_for_clients() -> Iterator[None]:
    """Any failure within it reaches the caller of an event as one sentence."""
    try:
        yield
    except gr.Error:
        raise
    except Exception as error:
        raise gr.Error(describe_error(error), title=say("Error"), print_exception=False) from error


def count(number: int, noun: str, plural: str = "") -> str:
    return say(f"{{number:,}} {noun if number == 1 else plural or noun + 's'}", number=number)


def abbreviate(number: int) -> str:
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)
