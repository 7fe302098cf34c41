"""Questions about bar, line and pie charts."""

from __future__ import annotations

from random import Random

from nano.phrasings import phrase
from nano.scenes.scene import Scene, SceneObject
from nano.scenes.words import CITIES, GOODS
from nano.tasks import reading
from nano.tasks.reading import locate, quote
from nano.tasks.turn import Task, Turn, capital, join, write_reference


def _part(scene: Scene, name: str) -> SceneObject:
    return next(item for item in scene.objects if item.kind == scene.facts["part"] and item.name == name)


def _write(scene: Scene, value: int) -> str:
    return f"{value}%" if scene.variety == "pie" else str(value)


def _ordered(scene: Scene) -> list[str]:
    """Names from the lowest value to the highest."""
    values = scene.facts["values"]
    return sorted(values, key=values.__getitem__)


def ask_title(scene: Scene, rng: Random) -> Turn:
    title = scene.facts["title"]
    return Turn(phrase(rng, "chart_title"), f"The title is {quote(title)}.", "charts.title", {"text": title})


def ask_value(scene: Scene, rng: Random) -> Turn | None:
    if not scene.facts["readable"]:
        return None
    name = rng.choice(scene.facts["readable"])
    value = scene.facts["values"][name]
    answer = f"The value of {name} is {_write(scene, value)}."
    return Turn(phrase(rng, "value", name=name), answer, "charts.value", {"fact": [str(value)]})


def ask_highest(scene: Scene, rng: Random) -> Turn:
    name = _ordered(scene)[-1]
    part = scene.facts["part"]
    word = {"bar": "tallest", "point": "highest", "slice": "largest"}[part]
    question = phrase(rng, "highest", part=part)
    return Turn(question, f"The {word} {part} is {name}.", "charts.highest", {"fact": [name]})


def ask_highest_value(scene: Scene, rng: Random) -> Turn | None:
    name = _ordered(scene)[-1]
    if name not in scene.facts["readable"]:
        return None
    value = scene.facts["values"][name]
    question = phrase(rng, "highest_value", part=scene.facts["part"])
    answer = f"The highest value is {_write(scene, value)}."
    return Turn(question, answer, "charts.highest_value", {"fact": [str(value)]})


def ask_lowest(scene: Scene, rng: Random) -> Turn | None:
    first, second, *_ = _ordered(scene)
    values, part = scene.facts["values"], scene.facts["part"]
    if values[first] == values[second]:
        return None
    word = {"bar": "shortest", "point": "lowest", "slice": "smallest"}[part]
    question = phrase(rng, "lowest", part=part)
    return Turn(question, f"The {word} {part} is {first}.", "charts.lowest", {"fact": [first]})


def ask_count(scene: Scene, rng: Random) -> Turn:
    count, part = len(scene.facts["values"]), scene.facts["part"]
    question = phrase(rng, "parts", part=part)
    return Turn(question, f"There are {count} {part}s.", "charts.count", {"number": count})


def ask_kind(scene: Scene, rng: Random) -> Turn:
    kind = scene.facts["kind"]
    return Turn(phrase(rng, "chart_kind"), f"It is a {kind}.", "charts.kind", {"fact": [kind]})


def ask_axis(scene: Scene, rng: Random) -> Turn | None:
    if not scene.facts["axes"]:
        return None
    axis, label = rng.choice(list(scene.facts["axes"].items()))
    question = phrase(rng, "axis", axis=axis)
    return Turn(question, f"The label of the {axis} axis is {quote(label)}.", "charts.axis", {"text": label})


def ask_more(scene: Scene, rng: Random) -> Turn | None:
    values = scene.facts["values"]
    one, other = rng.sample(list(values), 2)
    if values[one] == values[other]:
        return None
    more, less = (one, other) if values[one] > values[other] else (other, one)
    question = phrase(rng, "more", one=one, other=other, verbatim=True)
    return Turn(question, f"{more} is larger than {less}.", "charts.more", {"fact": [f"{more} is larger"]})


def ask_trend(scene: Scene, rng: Random) -> Turn | None:
    if scene.variety != "line":
        return None
    values = scene.facts["values"]
    names = list(values)
    start = rng.randrange(len(names) - 1)
    one, other = names[start], names[start + 1]
    if values[one] == values[other]:
        return None
    word = "rises" if values[one] < values[other] else "falls"
    question = phrase(rng, "trend", one=one, other=other, verbatim=True)
    return Turn(question, f"The line {word} from {one} to {other}.", "charts.trend", {"fact": [word]})


def ask_colour(scene: Scene, rng: Random) -> Turn | None:
    colours = scene.facts["colours"]
    if scene.variety == "line":
        question = phrase(rng, "colour", what="line")
        return Turn(question, f"The line is {colours['line']}.", "charts.colour", {"fact": [colours["line"]]})
    name = rng.choice(list(colours))
    question = phrase(rng, "colour", what=f"{scene.facts['part']} of {name}", verbatim=True)
    answer = f"The {scene.facts['part']} of {name} is {colours[name]}."
    fact = ["grey", "gray"] if colours[name] == "grey" else [colours[name]]
    return Turn(question, answer, "charts.colour", {"fact": fact})


def ask_locate(scene: Scene, rng: Random) -> Turn | None:
    part = scene.facts["part"]
    draw = rng.random()
    if draw < 0.14:
        name = rng.choice(CITIES + GOODS)
        if name in scene.facts["values"]:
            return None
        return locate(scene, rng, f"the {part} of {name}", f"{part} of {name}", [], "charts.locate")
    if draw < 0.35:
        name = _ordered(scene)[-1]
        word = {"bar": "tallest", "point": "highest", "slice": "largest"}[part]
        label = f"{rng.choice(('', 'the '))}{word} {part}"
    elif draw < 0.5 and scene.variety != "line" and len(set(scene.facts["colours"].values())) > 1:
        name = rng.choice(list(scene.facts["values"]))
        label = f"{rng.choice(('', 'the '))}{scene.facts['colours'][name]} {part}"
    elif draw < 0.6:
        items = [item for item in scene.objects if item.kind == part]
        if len(items) > 9:
            return None
        label = rng.choice((f"all {part}s", f"the {part}s", f"all the {part}s"))
        return locate(scene, rng, label, part, [item.box for item in items], "charts.locate_several")
    else:
        name = rng.choice(list(scene.facts["values"]))
        label = rng.choice((f"the {part} of {name}", f"{name} {part}", f"the {part} for {name}"))
    return locate(scene, rng, label, part, [_part(scene, name).box], "charts.locate")


def ask_caption(scene: Scene, rng: Random) -> Turn:
    kind, title = scene.facts["kind"], scene.facts["title"]
    names = join(list(scene.facts["values"]))
    answer = f"The picture shows a {kind} with the title {quote(title)}. The {scene.facts['part']}s are {names}."
    return Turn(phrase(rng, "caption"), answer, "charts.caption", {"fact": [kind]})


def ask_grounded_highest(scene: Scene, rng: Random) -> Turn:
    part = scene.facts["part"]
    name = _ordered(scene)[-1]
    box = _part(scene, name).box
    word = {"bar": "tallest", "point": "highest", "slice": "largest"}[part]
    question = f"<|grounding|>{phrase(rng, 'highest', part=part)}"
    reference = write_reference(f"{word} {part}", [box], scene.size)
    answer = f"The {reference} is {name}."
    return Turn(question, capital(answer), "charts.grounded", {"fact": [name]})


TASKS: dict[str, tuple[Task, float]] = {
    "title": (ask_title, 1.0),
    "value": (ask_value, 2.2),
    "highest": (ask_highest, 2.0),
    "highest_value": (ask_highest_value, 1.4),
    "lowest": (ask_lowest, 1.2),
    "count": (ask_count, 0.8),
    "kind": (ask_kind, 0.5),
    "axis": (ask_axis, 0.8),
    "more": (ask_more, 0.9),
    "trend": (ask_trend, 1.5),
    "colour": (ask_colour, 1.0),
    "locate": (ask_locate, 2.6),
    "caption": (ask_caption, 0.6),
    "grounded_highest": (ask_grounded_highest, 0.5),
    "read_box": (reading.ask_read_box, 1.0),
    "locate_word": (reading.ask_locate_word, 0.8),
}
