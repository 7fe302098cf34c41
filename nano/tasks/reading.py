"""Questions about written words, wherever they stand."""

from __future__ import annotations

from random import Random

from nano.phrasings import phrase
from nano.scenes.scene import Box, Scene, SceneObject
from nano.scenes.words import invent_number, invent_word
from nano.tasks.turn import Turn, place_of, write_boxes, write_reference

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
