"""Questions about what is written: those about words, of `reading`, about `records`, and about pages as a whole."""

from __future__ import annotations

from random import Random

from nano.phrasings import phrase
from nano.scenes.scene import Scene
from nano.tasks import reading, records
from nano.tasks.reading import quote
from nano.tasks.turn import Task, Turn, write_boxes, write_reference


def ask_title(scene: Scene, rng: Random) -> Turn | None:
    title = scene.facts.get("title")
    if not title:
        return None
    return Turn(phrase(rng, "title"), f"The title is {quote(title)}.", "documents.title", {"text": title})


def ask_line(scene: Scene, rng: Random) -> Turn | None:
    if scene.variety != "page" or len(scene.lines) < 2:
        return None
    number = rng.randrange(len(scene.lines))
    text = scene.lines[number].text
    place = {0: "first", 1: "second", len(scene.lines) - 1: "last"}.get(number)
    if place and rng.random() < 0.7:
        question = phrase(rng, "read_place", place=place)
    elif number < 9:
        question = phrase(rng, "read_line", number=str(number + 1))
    else:
        return None
    return Turn(question, f"It says {quote(text)}.", "documents.line", {"text": text})


def ask_grounded_reading(scene: Scene, rng: Random) -> Turn | None:
    if len(scene.objects) > 5:
        return None
    items = sorted(scene.objects, key=lambda item: item.box)
    answer = "The picture shows " + ", ".join(
        write_reference(quote(item.text), [item.box], scene.size) for item in items
    )
    truth = [write_boxes([item.box], scene.size)[1][0] for item in items]
    return Turn(phrase(rng, "grounded_caption"), f"{answer}.", "documents.grounded_caption", {"boxes": truth})


def ask_caption(scene: Scene, rng: Random) -> Turn:
    match scene.variety:
        case "words":
            texts = [quote(item.text) for item in sorted(scene.objects, key=lambda item: item.box[1])]
            answer = f"The picture shows the text {', '.join(texts)}." if texts else "The picture shows no text."
        case "page":
            answer = f"The picture shows a page of text with the title {quote(scene.facts['title'])}."
        case "receipt":
            shop = f" from {quote(scene.facts['shop'])}" if scene.facts.get("shop") else ""
            answer = f"The picture shows a receipt{shop} with the total {scene.facts['total']}."
        case "form":
            answer = f"The picture shows a form with the fields {', '.join(scene.facts['fields'])}."
        case _:
            answer = f"The picture shows a table with the columns {', '.join(scene.facts['columns'])}."
    return Turn(phrase(rng, "caption"), answer, "documents.caption", {"fact": [scene.variety]})


TASKS: dict[str, tuple[Task, float]] = {
    "read_only": (reading.ask_read_only, 4.0),
    "read_all": (reading.ask_read_all, 1.0),
    "read_box": (reading.ask_read_box, 3.0),
    "read_place": (reading.ask_read_place, 1.6),
    "read_colour": (reading.ask_read_colour, 1.6),
    "word_colour": (reading.ask_word_colour, 0.8),
    "word_where": (reading.ask_word_where, 0.8),
    "word_exists": (reading.ask_word_exists, 0.8),
    "word_count": (reading.ask_word_count, 0.6),
    "locate_word": (reading.ask_locate_word, 3.0),
    "grounded_reading": (ask_grounded_reading, 0.6),
    "caption": (ask_caption, 0.6),
    "title": (ask_title, 1.2),
    "line": (ask_line, 3.0),
    "total": (records.ask_total, 3.0),
    "price": (records.ask_price, 5.0),
    "receipt": (records.ask_receipt, 2.5),
    "field": (records.ask_field, 6.0),
    "cell": (records.ask_cell, 12.0),
    "table": (records.ask_table, 2.5),
}
