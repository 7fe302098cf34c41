"""Questions about windows: where things are, what they say, whether they are on."""

from __future__ import annotations

from random import Random

from nano.phrasings import phrase
from nano.scenes.scene import ICONS, Scene, SceneObject
from nano.scenes.screens import BUTTONS, OPTIONS
from nano.tasks.reading import locate, quote
from nano.tasks.turn import (
    Task,
    Turn,
    article,
    join,
    place_of,
    plural,
    side_of,
    write_boxes,
    write_reference,
)

NAMED = ("button", "field", "checkbox", "switch", "radio button", "tab")


def _widgets(scene: Scene, *kinds: str) -> list[SceneObject]:
    return [item for item in scene.objects if item.kind in (kinds or NAMED)]


def _call(item: SceneObject) -> str:
    """Save button, home icon"""
    return item.name if item.kind.endswith("icon") else f"{item.name} {item.kind}"


def ask_locate(scene: Scene, rng: Random) -> Turn | None:
    things = [item for item in scene.objects if item.kind != "word"]
    if rng.random() < 0.14:
        names = {item.name for item in things}
        name = rng.choice([*(f"{name} button" for name in BUTTONS), *(f"{name} checkbox" for name in OPTIONS),
                           *(f"{icon} icon" for icon in ICONS)])  # fmt: skip
        if name in names or name.rsplit(" ", 1)[0] in names:
            return None
        return locate(scene, rng, rng.choice((name, f"the {name}")), name, [], "screens.locate")
    if rng.random() < 0.18:
        kind = rng.choice(things).kind
        items = _widgets(scene, kind)
        if len(items) <= 9 and not kind.endswith("icon"):
            many = plural(kind)
            label = rng.choice((many, f"the {many}", f"all {many}", f"all the {many}"))
            return locate(scene, rng, label, kind, [item.box for item in items], "screens.locate_several")
    item = rng.choice(things)
    call = _call(item)
    quoted = call if item.kind.endswith("icon") else f"{item.kind} {quote(item.name)}"
    label = rng.choice((call, f"the {call}", f"the {call}", f"the {quoted}", call.lower()))
    if item.kind == "button" and item.colour and rng.random() < 0.15:
        alike = [other for other in things if other.kind == "button" and other.colour == item.colour]
        label = f"the {item.colour} button{'s' if len(alike) > 1 else ''}"
        return locate(scene, rng, label, label, [other.box for other in alike], "screens.locate")
    return locate(scene, rng, label, call, [item.box], "screens.locate")


def ask_title(scene: Scene, rng: Random) -> Turn | None:
    title = scene.facts["title"]
    if not title:
        return None
    return Turn(phrase(rng, "window"), f"The title is {quote(title)}.", "screens.title", {"text": title})


def ask_buttons(scene: Scene, rng: Random) -> Turn | None:
    buttons = _widgets(scene, "button")
    if not 1 <= len(buttons) <= 5:
        return None
    names = join([quote(item.name) for item in buttons])
    answer = f"The buttons are {names}." if len(buttons) > 1 else f"The button is {names}."
    return Turn(phrase(rng, "buttons"), answer, "screens.buttons", {"all": [[item.name] for item in buttons]})


def ask_count(scene: Scene, rng: Random) -> Turn | None:
    kind = rng.choice(("button", "button", "checkbox", "field", "switch", "icon"))
    count = sum(item.kind.endswith(kind) and item.kind != "radio button" for item in scene.objects)
    if count > 9 or (count < 2 and rng.random() < 0.6):
        return None
    many = plural(kind)
    answer = f"There is 1 {kind}." if count == 1 else f"There are {count or 'no'} {many}."
    return Turn(phrase(rng, "count", what=many), answer, "screens.count", {"number": count})


def ask_ticked(scene: Scene, rng: Random) -> Turn | None:
    options = _widgets(scene, "checkbox", "switch", "radio button")
    if not options:
        return None
    wanted = rng.random() < 0.5  # as many no as yes
    options = [item for item in options if item.state is wanted]
    if not options:
        return None
    item = rng.choice(options)
    word = {"checkbox": "ticked", "switch": "on", "radio button": "selected"}[item.kind]
    name = item.name if rng.random() < 0.5 else quote(item.name)
    answer = f"{'Yes' if wanted else 'No'}, {quote(item.name)} is {'' if wanted else 'not '}{word}."
    return Turn(phrase(rng, "ticked", word=name), answer, "screens.ticked", {"yes": wanted})


def ask_chosen(scene: Scene, rng: Random) -> Turn | None:
    chosen = scene.facts["selected"]
    if not any(item.kind == "radio button" and item.name == chosen for item in scene.objects):
        return None
    answer = f"{quote(chosen)} is selected."
    return Turn(phrase(rng, "chosen"), answer, "screens.chosen", {"fact": [chosen]})


def ask_entered(scene: Scene, rng: Random) -> Turn | None:
    fields = _widgets(scene, "field")
    if not fields:
        return None
    item = rng.choice(fields)
    question = phrase(rng, "entered", word=item.name)
    if not item.text:
        answer = f"The {item.name} field is empty."
        return Turn(question, answer, "screens.entered", {"fact": ["empty"]}) if rng.random() < 0.4 else None
    return Turn(question, f"It says {quote(item.text)}.", "screens.entered", {"text": item.text})


def ask_icon(scene: Scene, rng: Random) -> Turn | None:
    icons = [item for item in scene.objects if item.kind.endswith("icon")]
    if not icons:
        return None
    item = rng.choice(icons)
    box = write_boxes([item.box], scene.size)[0]
    return Turn(phrase(rng, "icon", box=box), f"It is the {item.name}.", "screens.icon", {"fact": [item.name]})


def ask_in_box(scene: Scene, rng: Random) -> Turn | None:
    widgets = _widgets(scene)
    if not widgets:
        return None
    item = rng.choice(widgets)
    box = write_boxes([item.box], scene.size)[0]
    answer = f"It is {article(item.kind)} {quote(item.name)}."
    return Turn(phrase(rng, "in_box", box=box), answer, "screens.in_box", {"fact": [item.name]})


def ask_where(scene: Scene, rng: Random) -> Turn | None:
    item = rng.choice(scene.objects)
    place = place_of(item.box, scene.size)
    if item.kind == "word" or place is None:
        return None
    question = phrase(rng, "where", what=_call(item), verbatim=True)
    return Turn(question, f"The {_call(item)} is {place}.", "screens.where", {"fact": [place]})


def ask_side(scene: Scene, rng: Random) -> Turn | None:
    things = [item for item in scene.objects if item.kind != "word"]
    if len(things) < 2:
        return None
    one, other = rng.sample(things, 2)
    side = side_of(one.box, other.box)
    if side is None:
        return None
    kind = "side" if "left" in side or "right" in side else "height"
    question = phrase(rng, kind, one=_call(one), other=_call(other), verbatim=True)
    fact = [word for word in ("left", "right", "above", "below") if word in side]
    return Turn(question, f"The {_call(one)} is {side} the {_call(other)}.", "screens.side", {"fact": fact})


def ask_exists(scene: Scene, rng: Random) -> Turn | None:
    names = {_call(item): item for item in scene.objects if item.kind != "word"}
    yes = rng.random() < 0.5
    if yes:
        call = rng.choice(list(names))
    else:
        call = rng.choice(
            (f"{rng.choice(BUTTONS)} button", f"{rng.choice(OPTIONS)} checkbox", f"{rng.choice(ICONS)} icon")
        )
        if call in names:
            return None
    answer = f"Yes, there is {article(call)}." if yes else f"No, there is no {call}."
    return Turn(phrase(rng, "exists", what=article(call), verbatim=True), answer, "screens.exists", {"yes": yes})


def ask_colour(scene: Scene, rng: Random) -> Turn | None:
    buttons = [item for item in _widgets(scene, "button") if item.colour]
    if not buttons:
        return None
    item = rng.choice(buttons)
    answer = f"The {item.name} button is {item.colour}."
    return Turn(phrase(rng, "widget_colour", word=item.name), answer, "screens.colour", {"fact": [item.colour]})


def ask_caption(scene: Scene, rng: Random) -> Turn:
    kinds: dict[str, int] = {}
    for item in scene.objects:
        if item.kind != "word":
            kind = "icon" if item.kind.endswith("icon") else item.kind
            kinds[kind] = kinds.get(kind, 0) + 1
    parts = join([article(kind) if count == 1 else f"{count} {plural(kind)}" for kind, count in kinds.items()])
    title = f" with the title {quote(scene.facts['title'])}" if scene.facts["title"] else ""
    answer = f"The picture shows a window{title}. It has {parts}."
    return Turn(phrase(rng, "caption"), answer, "screens.caption", {"fact": ["window"]})


def ask_grounded_caption(scene: Scene, rng: Random) -> Turn | None:
    things = [item for item in scene.objects if item.kind != "word"]
    if len(things) > 5:
        return None
    parts = [write_reference(_call(item), [item.box], scene.size) for item in things]
    truth = [write_boxes([item.box], scene.size)[1][0] for item in things]
    answer = f"The picture shows the {join(parts)}."
    return Turn(phrase(rng, "grounded_caption"), answer, "screens.grounded_caption", {"boxes": truth})


TASKS: dict[str, tuple[Task, float]] = {
    "locate": (ask_locate, 5.0),
    "title": (ask_title, 0.8),
    "buttons": (ask_buttons, 0.8),
    "count": (ask_count, 0.8),
    "ticked": (ask_ticked, 3.0),
    "chosen": (ask_chosen, 1.2),
    "entered": (ask_entered, 1.4),
    "icon": (ask_icon, 1.2),
    "in_box": (ask_in_box, 1.2),
    "where": (ask_where, 0.8),
    "side": (ask_side, 0.8),
    "exists": (ask_exists, 1.0),
    "colour": (ask_colour, 0.8),
    "caption": (ask_caption, 0.5),
    "grounded_caption": (ask_grounded_caption, 0.6),
}
