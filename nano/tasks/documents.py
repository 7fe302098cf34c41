"""Questions about what is written: words, lines, receipts, forms, tables."""

from __future__ import annotations

from random import Random

from nano.phrasings import phrase
from nano.scenes.scene import Box, Scene, SceneObject
from nano.scenes.words import invent_number, invent_word
from nano.tasks.turn import Task, Turn, place_of, write_boxes, write_reference

LONGEST_READING = 160  # characters; more text than this is not asked for at once
PUNCTUATION = ".,:;!?"


def quote(text: str) -> str:
    return f'"{text}"'


def _words(scene: Scene, least: int = 1) -> list[SceneObject]:
    """Words that stand once in the picture, without a mark at their end."""
    seen: dict[str, int] = {}
    for item in scene.objects:
        key = item.text.lower().strip(PUNCTUATION)
        seen[key] = seen.get(key, 0) + 1
    return [
        item
        for item in scene.objects
        if item.kind == "word"
        and len(item.text) >= least
        and item.text[-1] not in PUNCTUATION
        and seen[item.text.lower()] == 1
    ]


def _reading(question: str, text: str, kind: str) -> Turn:
    task = "number" if text.isdigit() else kind
    return Turn(question, f"It says {quote(text)}.", f"documents.{task}", {"text": text})


def ask_read_only(scene: Scene, rng: Random) -> Turn | None:
    if len(scene.objects) != 1:
        return None
    return _reading(phrase(rng, "read_only"), scene.objects[0].text, "word")


def ask_read_all(scene: Scene, rng: Random) -> Turn | None:
    """Lines from top to bottom, joined as `a / b`; words that share a row go from left to right."""
    lines = sorted(scene.lines, key=lambda line: (line.box[1], line.box[0]))
    rows: list[list[tuple[int, str]]] = []
    reach = -1
    for line in lines:
        if (line.box[1] + line.box[3]) / 2 > reach:
            rows.append([])
            reach = line.box[3]
        rows[-1].append((line.box[0], line.text))
    if scene.variety == "words":
        rows = [[(line.box[0], line.text)] for line in lines]
    text = "\n".join(" ".join(piece for _, piece in sorted(row)) for row in rows)
    if len(text) > LONGEST_READING:
        return None
    return Turn(phrase(rng, "read_all"), text, "documents.read_all", {"text": text})


def ask_read_box(scene: Scene, rng: Random) -> Turn | None:
    words = [item for item in scene.objects if item.kind == "word"]
    if not words:
        return None
    item = rng.choice(words)
    box = write_boxes([item.box], scene.size)[0]
    return _reading(phrase(rng, "read_box", box=box), item.text, "read_box")


def ask_read_place(scene: Scene, rng: Random) -> Turn | None:
    """A word by where it stands, for scattered words."""
    if not 2 <= len(scene.objects) <= 8:
        return None
    item = rng.choice(scene.objects)
    place = place_of(item.box, scene.size)
    if place is None or sum(place_of(other.box, scene.size) in (place, None) for other in scene.objects) != 1:
        return None
    return _reading(phrase(rng, "read_where", place=place), item.text, "word")


def ask_read_colour(scene: Scene, rng: Random) -> Turn | None:
    single = [
        item
        for item in scene.objects
        if item.colour and sum(other.colour == item.colour for other in scene.objects) == 1
    ]
    if len(scene.objects) < 2 or not single:
        return None
    item = rng.choice(single)
    return _reading(phrase(rng, "read_colour", colour=item.colour), item.text, "word")


def ask_word_colour(scene: Scene, rng: Random) -> Turn | None:
    words = [item for item in _words(scene) if item.colour]
    if not words:
        return None
    item = rng.choice(words)
    question = phrase(rng, "word_colour", word=quote(item.text))
    fact = ["grey", "gray"] if item.colour == "grey" else [item.colour]
    return Turn(question, f"The word {quote(item.text)} is {item.colour}.", "documents.word_colour", {"fact": fact})


def ask_word_where(scene: Scene, rng: Random) -> Turn | None:
    words = _words(scene, 3)
    if not words:
        return None
    item = rng.choice(words)
    place = place_of(item.box, scene.size)
    if place is None:
        return None
    question = phrase(rng, "word_where", word=quote(item.text))
    return Turn(question, f"The word {quote(item.text)} is {place}.", "documents.word_where", {"fact": [place]})


def ask_word_exists(scene: Scene, rng: Random) -> Turn | None:
    words = _words(scene, 3)
    if not words:
        return None
    yes = rng.random() < 0.5
    word = rng.choice(words).text if yes else invent_word(rng)
    if not yes and any(word.lower() == item.text.lower().strip(PUNCTUATION) for item in scene.objects):
        return None
    question = phrase(rng, "word_exists", word=quote(word))
    answer = f"Yes, it says {quote(word)}." if yes else f"No, it does not say {quote(word)}."
    return Turn(question, answer, "documents.word_exists", {"yes": yes})


def ask_word_count(scene: Scene, rng: Random) -> Turn | None:
    count = len(scene.objects)
    if not 1 <= count <= 9:
        return None
    answer = "There is 1 word." if count == 1 else f"There are {count} words."
    return Turn(phrase(rng, "word_count"), answer, "documents.word_count", {"number": count})


def ask_locate_word(scene: Scene, rng: Random) -> Turn | None:
    words = _words(scene, 2)
    if rng.random() < 0.14:
        word = invent_number(rng) if rng.random() < 0.2 else invent_word(rng)
        if any(word.lower() == item.text.lower().strip(PUNCTUATION) for item in scene.objects):
            return None
        found = None
    elif words:
        found = rng.choice(words)
        word = found.text
    else:
        return None
    name = "number" if word.isdigit() else "word"
    label = rng.choice((f"{name} {quote(word)}", f"the {name} {quote(word)}", quote(word), word))
    return locate(scene, rng, label, quote(word), [] if found is None else [found.box], "documents.locate_word")


def locate(scene: Scene, rng: Random, label: str, name: str, boxes: list[Box], kind: str) -> Turn:
    """A grounding question whose label is taken to the letter."""
    wrapped = rng.random() < 0.7
    question = phrase(rng, "locate" if wrapped else "locate_plainly", verbatim=True, what=label)
    if not boxes:
        family = kind.split(".")[0]
        return Turn(question, f"There is no {name} in the picture.", f"{family}.none", {"boxes": []})
    return Turn(question, write_reference(label, boxes, scene.size), kind, {"boxes": write_boxes(boxes, scene.size)[1]})


# ---- pages -------------------------------------------------------------------------------------------------


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


# ---- receipts ----------------------------------------------------------------------------------------------


def ask_total(scene: Scene, rng: Random) -> Turn | None:
    if scene.variety != "receipt":
        return None
    total = scene.facts["total"]
    if rng.random() < 0.3:
        return locate(scene, rng, "the total", "total", [scene.facts["boxes"]["total"]], "documents.locate_value")
    return Turn(phrase(rng, "total"), f"The total is {total}.", "documents.total", {"fact": [total]})


def ask_price(scene: Scene, rng: Random) -> Turn | None:
    if scene.variety != "receipt":
        return None
    item, price = rng.choice(list(scene.facts["items"].items()))
    if rng.random() < 0.3:
        return locate(
            scene, rng, f"the price of {item}", f"price of {item}", [scene.facts["boxes"][item]],
            "documents.locate_value",
        )  # fmt: skip
    question = phrase(rng, "price", item=item if rng.random() < 0.6 else item.lower())
    return Turn(question, f"{item} costs {price}.", "documents.price", {"fact": [price]})


def ask_receipt(scene: Scene, rng: Random) -> Turn | None:
    if scene.variety != "receipt":
        return None
    items: dict[str, str] = scene.facts["items"]
    match rng.choice(("shop", "date", "dearest", "items")):
        case "shop" if scene.facts.get("shop"):
            shop = scene.facts["shop"]
            return Turn(phrase(rng, "shop"), f"The shop is {quote(shop)}.", "documents.shop", {"text": shop})
        case "date" if scene.facts.get("date"):
            date = scene.facts["date"]
            return Turn(phrase(rng, "date"), f"The date is {quote(date)}.", "documents.date", {"text": date})
        case "dearest" if len(items) > 1:
            prices = sorted(items, key=lambda item: float(items[item]))
            if items[prices[-1]] == items[prices[-2]]:
                return None
            answer = f"{prices[-1]} costs the most, {items[prices[-1]]}."
            return Turn(phrase(rng, "dearest"), answer, "documents.dearest", {"fact": [prices[-1]]})
        case "items":
            count = len(items)
            answer = "There is 1 item." if count == 1 else f"There are {count} items."
            return Turn(phrase(rng, "items"), answer, "documents.items", {"number": count})
    return None


# ---- forms and tables --------------------------------------------------------------------------------------


def ask_field(scene: Scene, rng: Random) -> Turn | None:
    if not scene.facts.get("fields"):
        return None
    label, value = rng.choice(list(scene.facts["fields"].items()))
    if rng.random() < 0.25:
        said = rng.choice((f"the {label}", f"the {label.lower()}", f"the value of {label}"))
        return locate(scene, rng, said, label, [scene.facts["boxes"][label]], "documents.locate_value")
    question = phrase(rng, "field", label=label if rng.random() < 0.5 else label.lower())
    answer = f"The {label.lower()} is {quote(value)}."
    return Turn(question, answer, "documents.field", {"text": value})


def ask_cell(scene: Scene, rng: Random) -> Turn | None:
    if scene.variety != "table":
        return None
    (row, column), value = rng.choice(list(scene.facts["cells"].items()))
    if rng.random() < 0.25:
        box = scene.facts["boxes"][row, column]
        return locate(scene, rng, f"the {column} of {row}", column, [box], "documents.locate_value")
    question = phrase(rng, "cell", row=row, column=column)
    return Turn(question, f"It is {value}.", "documents.cell", {"fact": [value]})


def ask_table(scene: Scene, rng: Random) -> Turn | None:
    if scene.variety != "table":
        return None
    rows, cells = scene.facts["rows"], scene.facts["cells"]
    if rng.random() < 0.35:
        count = len(rows)
        answer = "There is 1 row." if count == 1 else f"There are {count} rows."
        return Turn(phrase(rng, "rows"), answer, "documents.rows", {"number": count})
    column = rng.choice(scene.facts["columns"])
    ordered = sorted(rows, key=lambda row: int(cells[row, column]))
    if len(rows) < 2 or cells[ordered[-1], column] == cells[ordered[-2], column]:
        return None
    answer = f"{ordered[-1]} has the highest {column}, {cells[ordered[-1], column]}."
    question = phrase(rng, "column_top", column=column)
    return Turn(question, answer, "documents.column_top", {"fact": [ordered[-1]]})


TASKS: dict[str, tuple[Task, float]] = {
    "read_only": (ask_read_only, 4.0),
    "read_all": (ask_read_all, 1.0),
    "read_box": (ask_read_box, 3.0),
    "read_place": (ask_read_place, 1.6),
    "read_colour": (ask_read_colour, 1.6),
    "word_colour": (ask_word_colour, 0.8),
    "word_where": (ask_word_where, 0.8),
    "word_exists": (ask_word_exists, 0.8),
    "word_count": (ask_word_count, 0.6),
    "locate_word": (ask_locate_word, 3.0),
    "grounded_reading": (ask_grounded_reading, 0.6),
    "caption": (ask_caption, 0.6),
    "title": (ask_title, 1.2),
    "line": (ask_line, 3.0),
    "total": (ask_total, 3.0),
    "price": (ask_price, 5.0),
    "receipt": (ask_receipt, 2.5),
    "field": (ask_field, 6.0),
    "cell": (ask_cell, 12.0),
    "table": (ask_table, 2.5),
}
