"""What a page is asked for: presets, each with the words that the model gets."""

from __future__ import annotations

from dataclasses import dataclass

from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.text.messages import Message
from dsvl2_app.text.prompt import GROUNDING_TOKEN, place_images

TABLES, OWN = "tables", "own"
MOST_TOKENS = 2048  # of a page's answer
BUNDLED_TOKENS = 512  # by the bundled model: it has learnt from 1,024 at once, and a page's picture takes half


@dataclass(frozen=True, slots=True)
class Task:
    name: str  # on the page
    question: str
    released: bool = False  # beyond what the bundled model has learnt


TASKS: dict[str, Task] = {
    "text": Task("Read everything", "Read all the text."),
    "markdown": Task(
        "As Markdown", "Convert this page to Markdown: headings, paragraphs, lists and tables, in reading order.", True
    ),
    TABLES: Task("Tables as CSV", "Write every table on this page as CSV, with a blank line between tables.", True),
    "figures": Task("Figures with boxes", f"{GROUNDING_TOKEN}Describe the figures, charts and tables on this page."),
    "english": Task("Translate into English", "Translate all the text on this page into English.", True),
    "chinese": Task("Translate into Chinese", "Translate all the text on this page into Chinese.", True),
    OWN: Task("My own question", ""),
}


def offer_tasks(*, bundled: bool) -> list[tuple[str, str]]:
    """Names and keys; the bundled model is offered what it can do."""
    return [(task.name, key) for key, task in TASKS.items() if not (bundled and task.released)]


def count_most(context: int, *, bundled: bool) -> int:
    """Tokens of a page's answer. What the bundled model writes beyond what it has learnt is noise, on any page."""
    return min(BUNDLED_TOKENS if bundled else MOST_TOKENS, context)


def compose(image: object, task: str, question: str) -> list[Message]:
    """What to ask of one page. Raises PromptError without a question of one's own."""
    if task not in TASKS:
        raise SettingsError("The task is {task!r}; choose one of {tasks}.", task=task, tasks=", ".join(TASKS))
    words = question.strip() if task == OWN else TASKS[task].question
    if not words:
        raise PromptError("There is no question of your own yet; type one.")
    return [{"role": "user", "content": place_images(words, [image])}]
