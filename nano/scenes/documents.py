"""Things to read: scattered words, pages, receipts, forms and tables, in many typefaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from nano.scenes import words
from nano.scenes.canvas import Canvas, overlap
from nano.scenes.fonts import Font, find_faces, load_font
from nano.scenes.scene import COLOURS, Box, Colour, Scene
from nano.scenes.shapes import jitter, paint_ground
from nano.scenes.sizes import Level, choose_size, unit


@dataclass(frozen=True, slots=True)
class Scheme:
    paper: Colour
    ink: Colour
    faint: Colour
    accent: Colour


def render(rng: Random, level: Level = Level(), variety: str = "") -> Scene:  # noqa: B008 - frozen value
    if not variety:
        easy, usual = (70, 10, 6, 7, 7), (30, 18, 17, 16, 19)
        weights = [low + (high - low) * level.hardness for low, high in zip(easy, usual, strict=True)]
        variety = rng.choices(list(VARIETIES), weights)[0]
    return VARIETIES[variety](rng, level)


def choose_scheme(rng: Random, level: Level) -> Scheme:
    accent = COLOURS[rng.choice(("red", "green", "blue", "purple", "brown", "orange"))]
    if rng.random() < 0.28 * (0.3 + level.hardness):
        paper = jitter((28, 30, 36), rng, 18)
        return Scheme(paper, jitter((235, 235, 230), rng, 15), (95, 100, 110), _lighten(accent))
    paper = jitter(rng.choice(((253, 253, 253), (253, 253, 253), (246, 240, 225), (232, 240, 246))), rng, 2)
    return Scheme(paper, jitter((25, 25, 28), rng, 22), (178, 180, 184), accent)


def _lighten(colour: Colour) -> Colour:
    red, green, blue = (part + (255 - part) // 2 for part in colour)
    return red, green, blue


def choose_face(rng: Random, *styles: str) -> Path | None:
    faces = find_faces()
    known = [style for style in styles if style in faces] or list(faces)
    return rng.choice([face for style in known for face in faces[style]])


ANY_STYLE = ("sans", "sans", "serif", "mono", "slanted")


def fit_font(face: Path | None, wanted: float, longest: str, room: int, least: float) -> Font:
    """The font at `wanted` px, or smaller so that `longest` fits into `room`, but never below `least`."""
    size = max(round(wanted), 8)
    font = load_font(face, size)
    while size > least and font.width(longest) > room:
        size -= 1
        font = load_font(face, size)
    return font


# ---- scattered words ---------------------------------------------------------------------------------------


def render_words(rng: Random, level: Level) -> Scene:
    """One to nine words and numbers, each in a size, colour and place of its own."""
    width, height = choose_size(rng, level)
    pixel = unit(width, height, level)
    canvas = Canvas(width, height)
    if rng.random() < 0.6:
        scheme = choose_scheme(rng, level)
        canvas.fill_all(scheme.paper)
        grounds = [scheme.paper]
    else:
        grounds, _ = paint_ground(canvas, rng, level)
    face = choose_face(rng, *ANY_STYLE)
    area = width * height / (pixel * 182) ** 2
    wanted = rng.randint(1, 3) if level.hardness < 0.3 else rng.randint(1, min(3 + round(3 * area), 10))
    low, high = (22, 44) if level.hardness < 0.3 else (15, 40)
    taken: list[Box] = []
    for _ in range(wanted):
        if rng.random() < 0.5:
            face = choose_face(rng, *ANY_STYLE)
        text = words.invent_number(rng) if rng.random() < 0.22 else words.invent_word(rng)
        if any(text.lower() == item.text.lower() for item in canvas.objects):
            continue
        size = low + (high - low) * rng.random() ** 1.7
        font = fit_font(face, size * pixel, text, width - 8, 11 * pixel)
        wide, tall = font.width(text), round(font.size * 1.25)
        if wide > width - 6 or tall > height - 6:
            continue
        colour = _ink_on(grounds, rng)
        for _ in range(12):
            x, y = rng.randint(3, width - wide - 3), rng.randint(3, height - tall - 3)
            box = (x - 3, y, x + wide + 3, y + tall)
            if not any(overlap(box, other, margin=2) for other in taken):
                taken.append(box)
                canvas.text(x, y + font.size, text, font, colour[1], role="word", colour_name=colour[0])
                break
    canvas.wear(rng, level.hardness)
    return canvas.finish("documents", "words")


def _ink_on(grounds: list[Colour], rng: Random) -> tuple[str, Colour]:
    def contrast(value: Colour) -> float:
        light = 0.3 * value[0] + 0.59 * value[1] + 0.11 * value[2]
        return min(abs(light - (0.3 * g[0] + 0.59 * g[1] + 0.11 * g[2])) for g in grounds)

    readable = [name for name, value in COLOURS.items() if contrast(value) > 75]
    plain = max(("black", "white"), key=lambda name: contrast(COLOURS[name]))
    name = rng.choice(readable) if readable and rng.random() < 0.6 else plain
    return name, jitter(COLOURS[name], rng, 10)


# ---- pages -------------------------------------------------------------------------------------------------


def render_page(rng: Random, level: Level) -> Scene:
    width, height = choose_size(rng, level)
    pixel = unit(width, height, level)
    scheme = choose_scheme(rng, level)
    canvas = Canvas(width, height, scheme.paper)
    margin = round(rng.uniform(0.03, 0.08) * width) + 3
    heading_face, body_face = choose_face(rng, "sans", "serif"), choose_face(rng, *ANY_STYLE)
    room = width - 2 * margin
    title = " ".join(words.invent_word(rng, 3, 8).capitalize() for _ in range(rng.randint(1, 3)))
    heading = fit_font(heading_face, rng.uniform(20, 34) * pixel, title, room, 13 * pixel)
    while heading.width(title) > room and " " in title:
        title = title.rsplit(" ", 1)[0]
    body = load_font(body_face, round(rng.uniform(14, 20) * pixel))
    y = margin + heading.size
    colour = scheme.accent if rng.random() < 0.4 else scheme.ink
    canvas.text(margin, y, title, heading, colour, role="heading")
    y += round(heading.size * 0.5)
    if rng.random() < 0.4:
        canvas.rectangle((margin, y, width - margin, y + max(1, round(pixel))), scheme.faint)
    leading = round(body.size * rng.uniform(1.25, 1.55))
    y += leading
    while y < height - margin:
        for line in wrap(words.invent_sentence(rng), body, room):
            if y >= height - margin * 0.6:
                break
            canvas.text(margin, y, line, body, scheme.ink)
            y += leading
        if rng.random() < 0.35:
            y += round(leading * 0.6)
        if rng.random() < 0.12:
            break
    canvas.wear(rng, level.hardness)
    return canvas.finish("documents", "page", title=title)


def wrap(text: str, font: Font, room: int) -> list[str]:
    lines: list[str] = []
    for word in text.split(" "):
        if font.width(word) > room:
            continue
        if lines and font.width(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


# ---- receipts and forms ------------------------------------------------------------------------------------


def render_receipt(rng: Random, level: Level) -> Scene:
    """Facts: shop, items {name: price}, total, date; facts["boxes"] says where each value stands."""
    width, height = choose_size(rng, level)
    pixel = unit(width, height, level)
    scheme = choose_scheme(rng, level)
    canvas = Canvas(width, height, scheme.paper)
    face = choose_face(rng, "mono", "mono", "sans")
    margin = 6 + round(0.04 * width)
    column = min(width - 2 * margin, round(330 * pixel * rng.uniform(0.8, 1.2)))
    left = margin if rng.random() < 0.4 else (width - column) // 2
    shop = rng.choice(words.SHOPS)
    if rng.random() < 0.4:
        shop = shop.upper()
    font = fit_font(face, rng.uniform(13, 20) * pixel, "Batteries 88.88", column, 10 * pixel)
    leading = round(font.size * rng.uniform(1.25, 1.6))
    rows = (height - 2 * margin) // leading
    banner = rows >= 4
    dated = rows >= 6 and rng.random() < 0.7
    count = max(1, min(rng.randint(2, 7), rows - 1 - banner - dated))
    currency = rng.choice(("", "", "$", "£", "€") if _draws_currency(font) else ("", "$"))
    y = margin + font.size
    boxes: dict[str, Box] = {}

    def row(label: str, value: str) -> None:
        nonlocal y
        canvas.text(left, y, label, font, scheme.ink, role="label")
        boxes[label] = canvas.text(left + column - font.width(value), y, value, font, scheme.ink, role="value")
        y += leading

    facts: dict[str, object] = {}
    if banner:
        large = fit_font(face, font.size * rng.uniform(1.0, 1.4), shop, column, font.size)
        x = left + max(0, (column - large.width(shop)) // 2)
        canvas.text(x, y, shop, large, scheme.ink, role="heading")
        facts["shop"] = shop
        y += round(leading * 1.1)
    if dated:
        facts["date"] = words.invent_date(rng)
        boxes["date"] = canvas.text(left, y, str(facts["date"]), font, scheme.ink, role="date")
        y += leading
    items: dict[str, str] = {}
    total = 0
    for name in rng.sample(words.GOODS, count):
        cents = words.invent_price(rng)
        total += cents
        items[name] = words.write_price(cents)
        row(name, currency + items[name])
    rule = y - font.size - max(1, round(pixel))
    canvas.rectangle((left, rule, left + column, rule + max(1, round(pixel))), scheme.faint)
    y += round(2 * pixel)
    word = rng.choice(("Total", "TOTAL"))
    row(word, currency + words.write_price(total))
    boxes["total"] = boxes[word]
    canvas.wear(rng, level.hardness)
    return canvas.finish("documents", "receipt", items=items, total=words.write_price(total), boxes=boxes, **facts)


def _draws_currency(font: Font) -> bool:
    return font.glyph("£").mask.size > 0 and font.glyph("€").mask.size > 0


FORM_FIELDS: dict[str, Callable[[Random], str]] = {
    "Name": lambda rng: f"{rng.choice(words.FIRST_NAMES)} {rng.choice(words.LAST_NAMES)}",
    "City": lambda rng: rng.choice(words.CITIES),
    "Phone": lambda rng: f"{rng.randint(200, 999)}-{rng.randint(1000, 9999)}",
    "Date": words.invent_date,
    "Age": lambda rng: str(rng.randint(18, 90)),
    "Code": lambda rng: "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=rng.randint(4, 6))),
    "Order": lambda rng: words.invent_number(rng, 5),
    "Room": lambda rng: str(rng.randint(1, 499)),
    "Team": lambda rng: words.invent_word(rng, 4, 8).capitalize(),
    "Street": lambda rng: f"{rng.choice(words.ENGLISH).capitalize()} Road",
    "Price": lambda rng: words.write_price(words.invent_price(rng)),
    "Status": lambda rng: rng.choice(("Open", "Closed", "Paid", "Pending", "Shipped", "Done")),
    "Email": lambda rng: f"{rng.choice(words.FIRST_NAMES).lower()}@{rng.choice(words.ENGLISH)}.com",
    "Country": lambda rng: rng.choice(("France", "Japan", "Brazil", "Kenya", "Norway", "Spain", "India", "Peru")),
}


def render_form(rng: Random, level: Level) -> Scene:
    """Facts: fields {label: value}, boxes {label: box of the value}."""
    width, height = choose_size(rng, level)
    pixel = unit(width, height, level)
    scheme = choose_scheme(rng, level)
    canvas = Canvas(width, height, scheme.paper)
    face = choose_face(rng, *ANY_STYLE)
    bold = choose_face(rng, "sans", "serif")
    margin = 5 + round(0.04 * width)
    font = load_font(face, round(rng.uniform(13, 20) * pixel))
    leading = round(font.size * rng.uniform(1.5, 2.1))
    y = margin + font.size
    title = ""
    if height - 2 * margin > 3 * leading and rng.random() < 0.7:
        title = rng.choice(("Order form", "Contact", "Booking", "Report", "Invoice", "Registration", "Delivery note"))
        heading = fit_font(bold, font.size * 1.35, title, width - 2 * margin, font.size)
        canvas.text(margin, y + heading.size - font.size, title, heading, scheme.accent, role="heading")
        y += round(leading * 1.2)
    boxed = rng.random() < 0.4
    colon = ":" if rng.random() < 0.7 else ""
    labels = rng.sample(list(FORM_FIELDS), min(8, max(1, (height - margin - y) // leading + 1)))
    tab = max(font.width(label + colon) for label in labels) + font.space * 2
    fields: dict[str, str] = {}
    boxes: dict[str, Box] = {}
    for label in labels:
        value = FORM_FIELDS[label](rng)
        if margin + tab + font.width(value) > width - 4 or y > height - 4:
            continue
        canvas.text(margin, y, label + colon, font, scheme.ink, role="label")
        if boxed:
            edge = (margin + tab - 4, y - font.size, width - margin, y + round(font.size * 0.4))
            canvas.frame(edge, scheme.faint, max(1, round(pixel)))
        boxes[label] = canvas.text(margin + tab, y, value, font, scheme.ink, role="value")
        fields[label] = value
        y += leading
    canvas.wear(rng, level.hardness)
    return canvas.finish("documents", "form", fields=fields, boxes=boxes, title=title)


# ---- tables ------------------------------------------------------------------------------------------------


def render_table(rng: Random, level: Level) -> Scene:
    """Facts: columns, rows, cells {(row, column): text}, boxes {(row, column): box}."""
    width, height = choose_size(rng, level)
    pixel = unit(width, height, level)
    scheme = choose_scheme(rng, level)
    canvas = Canvas(width, height, scheme.paper)
    font = load_font(choose_face(rng, "sans", "serif", "mono"), round(rng.uniform(13, 19) * pixel))
    pad = round(font.size * rng.uniform(0.35, 0.7))
    tall = font.size + 2 * pad
    margin = 4 + round(0.02 * width)
    names = rng.choice((words.FIRST_NAMES, words.CITIES, words.GOODS))
    headings = rng.sample(words.TOPICS + words.MONTHS, 5)
    room = width - 2 * margin
    first = max(font.width(name) for name in names) + 2 * pad
    columns: list[str] = []
    widths = [first]
    for heading in headings:
        wide = max(font.width(heading), font.width("8888")) + 2 * pad
        if sum(widths) + wide > room:
            break
        columns.append(heading)
        widths.append(wide)
    if not columns:  # too narrow for this font
        return render_words(rng, level)
    rows = rng.sample(names, max(1, min(rng.randint(2, 7), (height - 2 * margin) // tall - 1)))
    spare = (room - sum(widths)) / len(widths) * rng.uniform(0.2, 1.0)
    widths = [round(wide + spare) for wide in widths]
    edges = [margin + sum(widths[:number]) for number in range(len(widths) + 1)]
    bottom = margin + tall * (len(rows) + 1)
    striped, ruled = rng.random() < 0.5, rng.random() < 0.6
    band = jitter(scheme.paper, rng, 14)
    if rng.random() < 0.6:
        canvas.rectangle((edges[0], margin, edges[-1], margin + tall), _mix(scheme.accent, scheme.paper, 0.75))
    for number in range(len(rows)):
        top = margin + tall * (number + 1)
        if striped and number % 2:
            canvas.rectangle((edges[0], top, edges[-1], top + tall), band)
        if ruled:
            canvas.rectangle((edges[0], top, edges[-1], top + 1), scheme.faint)
    if ruled and rng.random() < 0.6:
        canvas.frame((edges[0], margin, edges[-1], bottom), scheme.faint)
        for edge in edges[1:-1]:
            canvas.rectangle((edge, margin, edge + 1, bottom), scheme.faint)

    right = rng.random() < 0.5

    def write(row: int, column: int, text: str, role: str) -> Box:
        x = edges[column] + pad
        if right and column:
            x = edges[column + 1] - pad - font.width(text)
        return canvas.text(x, margin + tall * row + pad + round(font.size * 0.88), text, font, scheme.ink, role=role)

    for number, heading in enumerate(columns, start=1):
        write(0, number, heading, "heading")
    cells: dict[tuple[str, str], str] = {}
    boxes: dict[tuple[str, str], Box] = {}
    digits = rng.choice((1, 2, 2, 3, 4))
    for number, name in enumerate(rows, start=1):
        write(number, 0, name, "label")
        for place, heading in enumerate(columns, start=1):
            cells[name, heading] = words.invent_number(rng, digits)
            boxes[name, heading] = write(number, place, cells[name, heading], "value")
    canvas.wear(rng, level.hardness)
    return canvas.finish("documents", "table", columns=columns, rows=rows, cells=cells, boxes=boxes)


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


VARIETIES: dict[str, Callable[[Random, Level], Scene]] = {
    "words": render_words,
    "page": render_page,
    "receipt": render_receipt,
    "form": render_form,
    "table": render_table,
}
