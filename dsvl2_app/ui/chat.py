"""The Chat tab and the /chat endpoint: a conversation about pictures, streamed.

The transcript lives on the server (`Conversation` in a gr.State); the Chatbot only shows it, because its value comes
from the browser and could say anything.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

import gradio as gr

from dsvl2_app.engine.request import Finish, Request, Sampling, Timings
from dsvl2_app.engine.worker import Stream, Worker
from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.image.load import Limits, load_image
from dsvl2_app.text.prompt import place_images
from dsvl2_app.ui import wording
from dsvl2_app.ui.examples import read_examples
from dsvl2_app.ui.markup import show_literally, show_markdown
from dsvl2_app.ui.uploads import KINDS, open_upload, read_message, save_preview

DAY = 86400  # seconds
REFRESH = 0.05  # seconds between two pictures of a fast answer
EMPTY: dict[str, Any] = {"text": "", "files": []}
FORMULAS = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]
WELCOME = """
<div class="welcome">
  <h2>Ask about your pictures</h2>
  <p>Drop, paste or attach one or more, then type a question.<br>
  Write <code>&lt;image&gt;</code> in the text to say where the next picture goes.</p>
</div>
"""


@dataclass(frozen=True, slots=True)
class Picture:
    path: str  # the upload
    preview: str  # what the page shows of it


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and as much of its answer as there is."""

    question: str
    pictures: tuple[Picture, ...]
    answer: str = ""
    progress: str = ""  # in words, while there is no answer yet
    finish: Finish | None = None
    timings: Timings = field(default_factory=Timings)

    @property
    def is_answered(self) -> bool:
        """An answer may be empty; one that was interrupted before its first word is none."""
        return bool(self.answer) or self.finish in ("eos", "length")


class Conversation:
    """One visitor's transcript and, while an answer is being written, its stream."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.stream: Stream | None = None
        self.stopping = False
        self.abandoned = False

    def messages(self, limits: Limits) -> list[dict[str, Any]]:
        """For the worker: transformers messages, the last turn waiting for its answer."""
        messages = []
        for turn in self.turns:
            images = [load_image(picture.path, limits=limits) for picture in turn.pictures]
            messages.append({"role": "user", "content": place_images(turn.question, images)})
            messages.append({"role": "assistant", "content": turn.answer})
        return messages[:-1]

    def stop(self) -> None:
        self.stopping = True
        if self.stream:
            self.stream.cancel()

    def abandon(self) -> None:
        """The visitor has begun another one, or gone."""
        self.abandoned = True
        self.stop()

    def show(self) -> list[dict[str, Any]]:
        """For the Chatbot: Markdown in which both sides' text is only text."""
        return [message for turn in self.turns for message in _show_turn(turn)]


def _show_turn(turn: Turn) -> list[dict[str, Any]]:
    pictures = [
        {"path": picture.preview, "alt_text": f"Picture {number}"}
        for number, picture in enumerate(turn.pictures, start=1)
    ]
    question = {"type": "text", "text": show_literally(turn.question)}
    if turn.answer:
        answer = show_markdown(turn.answer)
    elif turn.finish:
        answer = '<span class="progress">The model had nothing to say.</span>'
    else:
        answer = f'<span class="progress running">{escape(turn.progress)}</span>'
    if turn.finish:
        answer += "\n\n" + _show_timings(turn)
    return [
        {"role": "user", "content": [*pictures, question]},
        {"role": "assistant", "content": [{"type": "text", "text": answer}]},
    ]


def _show_timings(turn: Turn) -> str:
    """On one line, which is one block of HTML to Markdown."""
    rows = "".join(
        f"<tr><th>{stage}</th><td>{what}</td><td>{seconds}</td></tr>"
        for stage, what, seconds in wording.describe_timings(turn.timings)
    )
    summary = wording.describe_ending(turn.timings, turn.finish)
    return f'<details class="timings"><summary>{summary}</summary><table><tbody>{rows}</tbody></table></details>'


class Chat:
    def __init__(self, worker: Worker, limits: Limits) -> None:
        self.worker = worker
        self.limits = limits
        self.examples = read_examples("chat")

    def build(self, demo: gr.Blocks) -> None:
        self.conversation = conversation = gr.State(
            Conversation(), time_to_live=DAY, delete_callback=Conversation.abandon
        )
        self.chatbot = gr.Chatbot(
            label="Conversation",
            show_label=False,
            height="max(22rem, calc(100dvh - 21.5rem))",
            buttons=["copy", "copy_all"],
            feedback_options=None,
            allow_file_downloads=False,
            latex_delimiters=FORMULAS,
            placeholder=WELCOME,
            examples=[{"text": example.text, "files": list(example.pictures)} for example in self.examples] or None,
            elem_id="conversation",
        )
        self.notice = gr.HTML(elem_id="chat-notice")
        self.box = gr.MultimodalTextbox(
            label="Message",
            show_label=False,
            placeholder="Ask about your pictures",
            file_count="multiple",
            file_types=KINDS,
            max_plain_text_length=20_000,
            max_lines=8,
            autofocus=True,
            elem_id="message",
        )
        with gr.Accordion("Sampling", open=False, elem_id="chat-settings"):
            choices = build_sampling(self.worker.card.context)

        page = [self.box, self.chatbot, self.notice]
        options: dict[str, Any] = {
            "preprocess": False,
            "api_visibility": "private",
            "concurrency_id": "model",
            "concurrency_limit": None,
            "show_progress": "hidden",
        }
        demo.load(Conversation, None, conversation, queue=False, api_visibility="private")
        self.box.submit(self.send, [self.box, conversation, *choices], page, **options)
        self.chatbot.retry(self.retry, [conversation, *choices], page, **options)
        self.box.stop(self.stop, conversation, None, queue=False, api_visibility="private")
        self.chatbot.clear(self.clear, conversation, [conversation, *page], queue=False, api_visibility="private")
        if self.examples:
            chosen = self.chatbot.example_select(self.choose, None, self.box, api_visibility="private")
            chosen.then(self.send, [self.box, conversation, *choices], page, **options)

    def send(self, message: Any, conversation: Conversation, *choices: Any) -> Iterator[dict[Any, Any]]:
        try:
            sampling = read_sampling(*choices)
            text, paths = read_message(message)
            pictures = [Picture(path, save_preview(load_image(path, limits=self.limits))) for path in paths]
        except Exception as error:
            yield {self.notice: wording.show_notice(error)}
            return
        yield from self.answer(conversation, Turn(text, tuple(pictures)), sampling)

    def retry(self, conversation: Conversation, *choices: Any) -> Iterator[dict[Any, Any]]:
        try:
            sampling = read_sampling(*choices)
        except Exception as error:
            yield {self.notice: wording.show_notice(error)}
            return
        if conversation.turns:
            last = conversation.turns.pop()
            yield from self.answer(conversation, Turn(last.question, last.pictures), sampling)

    def answer(self, conversation: Conversation, turn: Turn, sampling: Sampling) -> Iterator[dict[Any, Any]]:
        """Stream the answer to `turn`. A question that gets none goes back to where it was typed."""
        conversation.stopping = False
        conversation.turns.append(replace(turn, progress="Starting"))
        yield {
            self.box: show_box(busy=True, value=EMPTY),
            self.chatbot: conversation.show(),
            self.notice: wording.show_notice(),
        }
        failure = None
        try:
            for _ in self.run(conversation, sampling):
                yield {self.chatbot: conversation.show()}
        except Exception as error:
            failure = error
        if conversation.abandoned:  # what comes last stays on the page
            yield self.show_empty()
            return
        last = conversation.turns[-1]
        box = show_box(busy=False)
        if not last.is_answered:
            conversation.turns.pop()
            question = {"text": turn.question, "files": [picture.path for picture in turn.pictures]}
            box = show_box(busy=False, value=question)
        elif failure:
            conversation.turns[-1] = replace(last, finish="cancelled")
        yield {
            self.box: box,
            self.chatbot: conversation.show(),
            self.notice: wording.show_notice(failure),
        }

    def run(self, conversation: Conversation, sampling: Sampling) -> Iterator[None]:
        """Write the answer into the last turn; yields whenever there is something new to show."""
        shown = 0.0
        with self.worker.submit(Request(conversation.messages(self.limits), sampling)) as stream:
            conversation.stream = stream
            if conversation.stopping:
                stream.cancel()
            for step in stream:
                turn = conversation.turns[-1]
                conversation.turns[-1] = replace(
                    turn,
                    answer=turn.answer + step.text,
                    progress=wording.describe_progress(step),
                    finish=step.finish,
                    timings=step.timings,
                )
                if step.finish or time.monotonic() - shown > REFRESH:
                    yield
                    shown = time.monotonic()

    async def stop(self, conversation: Conversation) -> None:
        """Not in a thread of the pool, which may be full of answers."""
        conversation.stop()

    async def clear(self, conversation: Conversation) -> dict[Any, Any]:
        conversation.abandon()
        return {self.conversation: Conversation(), **self.show_empty()}

    def show_empty(self) -> dict[Any, Any]:
        return {self.box: show_box(busy=False, value=EMPTY), self.chatbot: [], self.notice: wording.show_notice()}

    def choose(self, event: gr.SelectData) -> dict[str, Any]:
        """By its number: what else the browser says of the example could be anything."""
        example = self.examples[event.index]
        return {"text": example.text, "files": list(example.pictures)}

    def build_endpoint(self) -> None:
        gr.Button().click(
            self.reply,
            [
                gr.MultimodalTextbox(label="message", file_count="multiple"),
                gr.JSON(value=[], label="history"),
                *build_sampling(self.worker.card.context)[:-1],
                gr.Number(value=None, precision=0, label="Seed"),
            ],
            gr.Textbox(label="answer"),
            api_name="chat",
            preprocess=False,
            concurrency_id="model",
            concurrency_limit=None,
        )

    def reply(
        self,
        message: dict[str, Any],
        history: list[dict[str, Any]] | None = None,
        temperature: float = 0.2,
        top_p: float = 0.9,
        repetition_penalty: float = 1.0,
        max_new_tokens: int = 512,
        seed: int | None = None,
    ) -> Iterator[str]:
        """Answer a message about any number of pictures. Streams the answer so far; the last value is all of it.

        Nothing is kept between calls: what was said before goes into `history`.

        Args:
            message: {"text": "What differs?", "files": [handle_file("a.png"), handle_file("b.png")]}; `<image>` in
                the text says where the next picture goes, pictures left over go first.
            history: Earlier turns, oldest first: [{"role": "user", "content": "Hi"}, {"role": "assistant",
                "content": "Hello."}]. Content may also be a list of {"type": "text", "text": ...} and
                {"type": "image", "image": handle_file(...)}. The first role may be "system".
            temperature: 0 always takes the likeliest token.
            top_p: Choose among the likeliest tokens that together have this probability.
            repetition_penalty: Above 1 discourages tokens that occurred before.
            max_new_tokens: The answer's limit.
            seed: The same seed gives the same answer; leave it out for a random one.
        """
        with wording.errors_for_clients():
            sampling = read_sampling(temperature, top_p, repetition_penalty, max_new_tokens, seed)
            messages = self.read_history(history or [])
            text, paths = read_message(message)
            images = [load_image(path, limits=self.limits) for path in paths]
            messages.append({"role": "user", "content": place_images(text, images)})
            answer = ""
            with self.worker.submit(Request(messages, sampling)) as stream:
                for step in stream:
                    if step.text:
                        answer += step.text
                        yield answer
            yield answer

    def read_history(self, history: Any) -> list[dict[str, Any]]:
        """Messages as clients write them -> messages with pictures in place of files."""
        if not isinstance(history, list) or not all(isinstance(message, dict) for message in history):
            raise PromptError('The history must be a list of {"role": ..., "content": ...}.')
        return [{**message, "content": self.read_content(message.get("content"))} for message in history]

    def read_content(self, content: Any) -> Any:
        if not isinstance(content, list):
            return content
        return [
            {"type": "image", "image": open_upload(part.get("image"), self.limits)}
            if isinstance(part, dict) and part.get("type") == "image"
            else part
            for part in content
        ]


def build_sampling(context: int) -> list[gr.components.Component]:
    """The controls whose values `read_sampling` takes, in its order."""
    with gr.Row():
        temperature = gr.Slider(
            0, 2, value=0.2, step=0.05, label="Temperature", info="0 always takes the likeliest token"
        )
        top_p = gr.Slider(0, 1, value=0.9, step=0.01, label="Top-p", info="Share of likely tokens to choose from")
        penalty = gr.Slider(
            1, 2, value=1, step=0.01, label="Repetition penalty", info="Above 1 avoids repeating; harms numbers"
        )
    with gr.Row():
        tokens = gr.Slider(
            1, context, value=min(512, context), step=1, label="New tokens at most", info="Limit of the answer"
        )
        seed = gr.Textbox(label="Seed", placeholder="random", info="The same seed repeats an answer")
    return [temperature, top_p, penalty, tokens, seed]


def read_sampling(temperature: Any, top_p: Any, repetition_penalty: Any, max_new_tokens: Any, seed: Any) -> Sampling:
    return Sampling(
        temperature,
        top_p,
        repetition_penalty,
        read_whole_number("max_new_tokens", max_new_tokens),
        None if seed in (None, "") else read_whole_number("seed", seed),
    )


def read_whole_number(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise SettingsError(f"{name} is {value!r}; choose a whole number.") from None


def show_box(*, busy: bool, **content: Any) -> Any:
    """The message box with its one button: stop while an answer is written, else send."""
    return gr.MultimodalTextbox(submit_btn=not busy, stop_btn=busy, **content)
