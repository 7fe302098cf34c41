"""Receipts and forms: names with the values that belong to them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from nano.scenes import words
from nano.scenes.canvas import Canvas
from nano.scenes.fonts import Font, load_font
from nano.scenes.scene import Box, Scene
from nano.scenes.sizes import Level, choose_size, unit
from nano.scenes.styles import ANY_STYLE, choose_face, choose_scheme, fit_font


def render_receipt(rng: Random, level: Level) -> Scene:
    """Facts: shop, items {name: price}, total, date; facts["boxes"] says where each value stands."""
    receipt = _Receipt(rng, level)
    facts = receipt.add_head(rng)
    items, total = receipt.add_items(rng)
    receipt.add_total(rng, total)
    receipt.canvas.wear(rng, level.hardness)
    return receipt.canvas.finish("documents", "receipt", items=items, total=total, boxes=receipt.boxes, **facts)


class _Receipt:
    """A column of rows, written from top to bottom; `y` is the next row's baseline."""

    def __init__(self, rng: Random, level: Level) -> None:
        width, height = choose_size(rng, level)
        self.pixel = unit(width, height, level)
        self.scheme = choose_scheme(rng, level)
        self.canvas = Canvas(width, height, self.scheme.paper)
        self.face = choose_face(rng, "mono", "mono", "sans")
        margin = 6 + round(0.04 * width)
        self.column = min(width - 2 * margin, round(330 * self.pixel * rng.uniform(0.8, 1.2)))
        self.left = margin if rng.random() < 0.4 else (width - self.column) // 2
        self.shop = rng.choice(words.SHOPS)
        if rng.random() < 0.4:
            self.shop = self.shop.upper()
        self.font = fit_font(
            self.face, rng.uniform(13, 20) * self.pixel, "Batteries 88.88", self.column, 10 * self.pixel
        )
        self.leading = round(self.font.size * rng.uniform(1.25, 1.6))
        rows = (height - 2 * margin) // self.leading
        self.named = rows >= 4
        self.dated = rows >= 6 and rng.random() < 0.7
        self.count = max(1, min(rng.randint(2, 7), rows - 1 - self.named - self.dated))
        self.currency = rng.choice(("", "", "$", "£", "€") if _draws_currency(self.font) else ("", "$"))
        self.y = margin + self.font.size
        self.boxes: dict[str, Box] = {}

    def add_head(self, rng: Random) -> dict[str, str]:
        """The shop's name and the date, where there is room for them."""
        facts: dict[str, str] = {}
        if self.named:
            large = fit_font(self.face, self.font.size * rng.uniform(1.0, 1.4), self.shop, self.column, self.font.size)
            x = self.left + max(0, (self.column - large.width(self.shop)) // 2)
            self.canvas.text(x, self.y, self.shop, large, self.scheme.ink, role="heading")
            facts["shop"] = self.shop
            self.y += round(self.leading * 1.1)
        if self.dated:
            facts["date"] = words.invent_date(rng)
            self.boxes["date"] = self.canvas.text(
                self.left, self.y, facts["date"], self.font, self.scheme.ink, role="date"
            )
            self.y += self.leading
        return facts

    def add_items(self, rng: Random) -> tuple[dict[str, str], str]:
        """Each item's price, and their sum."""
        items: dict[str, str] = {}
        total = 0
        for name in rng.sample(words.GOODS, self.count):
            cents = words.invent_price(rng)
            total += cents
            items[name] = words.write_price(cents)
            self._add_row(name, self.currency + items[name])
        return items, words.write_price(total)

    def add_total(self, rng: Random, total: str) -> None:
        thickness = max(1, round(self.pixel))
        rule = self.y - self.font.size - thickness
        self.canvas.rectangle((self.left, rule, self.left + self.column, rule + thickness), self.scheme.faint)
        self.y += round(2 * self.pixel)
        word = rng.choice(("Total", "TOTAL"))
        self._add_row(word, self.currency + total)
        self.boxes["total"] = self.boxes[word]

    def _add_row(self, label: str, value: str) -> None:
        self.canvas.text(self.left, self.y, label, self.font, self.scheme.ink, role="label")
        x = self.left + self.column - self.font.width(value)
        self.boxes[label] = self.canvas.text(x, self.y, value, self.font, self.scheme.ink, role="value")
        self.y += self.leading


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
