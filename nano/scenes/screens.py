"""Windows with things to press: buttons, fields, checkboxes, switches, radio buttons, tabs and icons, all
named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from nano.scenes import words
from nano.scenes.canvas import Canvas, unite
from nano.scenes.controls import Theme, choose_theme, draw_checkbox, draw_radio, draw_switch, ink_on
from nano.scenes.fonts import Font, load_font
from nano.scenes.grounds import jitter
from nano.scenes.icons import draw_icon
from nano.scenes.scene import COLOURS, ICONS, Box, Colour, Scene, SceneObject
from nano.scenes.sizes import Level, choose_size, unit
from nano.scenes.styles import choose_face

TITLES = ("Settings", "Login", "Profile", "New message", "Checkout", "Search", "Options", "Account", "Booking",
          "Player", "Calendar", "Contacts", "Upload", "Feedback", "Orders", "Welcome")  # fmt: skip
BUTTONS = ("Save", "Cancel", "OK", "Send", "Delete", "Search", "Login", "Sign up", "Next", "Back", "Submit", "Apply",
           "Close", "Help", "Edit", "Share", "Print", "Upload", "Buy now", "Add", "Reset", "Start", "Stop", "Open",
           "New", "Retry", "Accept", "Decline", "Skip", "Refresh")  # fmt: skip
FIELDS = {
    "Name": words.FIRST_NAMES,
    "Email": tuple(f"{name.lower()}@mail.com" for name in words.FIRST_NAMES),
    "City": words.CITIES,
    "Surname": words.LAST_NAMES,
    "Item": words.GOODS,
    "Code": ("A1", "B27", "C305", "X9", "K44", "Z810"),
    "Street": tuple(f"{name} Road" for name in words.LAST_NAMES),
    "User": tuple(f"{name.lower()}{number}" for number, name in enumerate(words.FIRST_NAMES, start=7)),
}
OPTIONS = ("Remember me", "Dark mode", "Sound", "Updates", "Wi-Fi", "Bluetooth", "Newsletter", "Auto save", "Location",
           "Alerts", "Large text", "Backup", "Cookies", "Vibration", "Sync", "Airplane mode")  # fmt: skip
CHOICES = (
    ("Small", "Medium", "Large"), ("Yes", "No", "Maybe"), ("Daily", "Weekly", "Monthly"), ("Light", "Dark"),
    ("Card", "Cash", "Transfer"), ("Public", "Private"), ("Low", "High"), ("Metric", "Imperial"),
)  # fmt: skip
TABS = ("File", "Edit", "View", "Tools", "Help", "Home", "Files", "Photos", "Music", "Mail", "News", "Maps", "Shop")

MOST_WIDGETS = 18


def render(rng: Random, level: Level = Level()) -> Scene:  # noqa: B008 - frozen value
    """Facts: title, selected (of the radio buttons); the rest is in the objects."""
    width, height = choose_size(rng, level)
    pixel = unit(width, height, level)
    theme = choose_theme(rng, pixel)
    canvas = Canvas(width, height, theme.ground)
    font = load_font(choose_face(rng, "sans"), round(rng.uniform(13, 18) * pixel))
    screen = _Screen(canvas, rng, theme, font, pixel)
    title = screen.add_title_bar() if rng.random() < 0.65 and height > 7 * font.size else ""
    if rng.random() < 0.3 and height > 9 * font.size:
        screen.add_tabs()
    rows = [screen.add_field, screen.add_field, screen.add_checkbox, screen.add_switch, screen.add_buttons,
            screen.add_icons, screen.add_choices]  # fmt: skip
    patience = 3
    while patience and len(canvas.objects) < MOST_WIDGETS:
        patience -= not rng.choice(rows)()
    if not screen.used and not screen.add_buttons():
        return render(rng, level)  # there was room for words alone
    canvas.wear(rng, level.hardness)
    return canvas.finish("screens", "window", title=title, selected=screen.selected)


class _Screen:
    """Rows of widgets from top to bottom; each `add_` returns False when the next row would not fit."""

    def __init__(self, canvas: Canvas, rng: Random, theme: Theme, font: Font, pixel: float) -> None:
        self.canvas, self.rng, self.theme, self.font, self.pixel = canvas, rng, theme, font, pixel
        self.margin = round(0.03 * canvas.width) + round(4 * pixel)
        self.gap = round(font.size * rng.uniform(0.45, 0.9))
        self.tall = round(font.size * rng.uniform(1.6, 2.1))
        self.line = max(1, round(pixel))
        self.y = self.gap
        self.selected = ""
        self.used: set[str] = set()

    # ---- rows --------------------------------------------------------------------------------------------

    def add_title_bar(self) -> str:
        title = self.rng.choice(
            [title for title in TITLES if self.font.width(title) < self._room() - self.tall] or [""]
        )
        if not title:
            return ""
        coloured = self.rng.random() < 0.5
        bar = COLOURS[self.theme.primary] if coloured else self.theme.edge if self.theme.dark else (226, 228, 232)
        self.canvas.rectangle((0, 0, self.canvas.width, self.tall), bar)
        self.canvas.text(self.margin, self._baseline(0), title, self.font, ink_on(bar), role="heading")
        self.y = self.tall + self.gap
        return title

    def add_tabs(self) -> bool:
        x = self.margin
        chosen = -1
        for number, name in enumerate(self.rng.sample(TABS, 6)):
            wide = self.font.width(name) + self.font.size
            if x + wide > self.canvas.width - self.margin or name in self.used:
                break
            box = (x, self.y, x + wide, self.y + self.tall)
            if number == 0:
                chosen = number
                self.canvas.rectangle((x, box[3] - 2 * self.line, box[2], box[3]), COLOURS[self.theme.primary])
            self._claim(SceneObject("tab", box, "", name, name, True, 0, -1, number == chosen))
            self._label(x + self.font.size // 2, self.y, name, self.theme.ink)
            x += wide
        self.y += self.tall + self.gap
        return True

    def add_field(self) -> bool:
        names = [name for name in FIELDS if name not in self.used]
        above = self.rng.random() < 0.3
        needed = self.tall + (round(self.font.size * 1.4) if above else 0)
        if not names or not self._fits(needed):
            return False
        name = self.rng.choice(names)
        value = self.rng.choice(FIELDS[name]) if self.rng.random() < 0.7 else ""
        left = self._indent()
        if above:
            self.canvas.text(left, self.y + self.font.size, name, self.font, self.theme.ink, role="label")
            self.y += round(self.font.size * 1.4)
        else:
            box = self.canvas.text(left, self._baseline(self.y), name, self.font, self.theme.ink, role="label")
            left = box[2] + self.gap
        longest = max(map(self.font.width, FIELDS[name])) + self.font.size
        right = min(self.canvas.width - self.margin, left + round(longest * self.rng.uniform(1.0, 2.0)))
        if right - left < 2 * self.font.size:
            return False
        if self.font.width(value) > right - left - self.font.size:
            value = ""
        box = (left, self.y, right, self.y + self.tall)
        self.canvas.rectangle(box, self.theme.panel, radius=self.theme.radius)
        self.canvas.frame(box, self.theme.edge, self.line, radius=self.theme.radius)
        self._claim(SceneObject("field", box, "", value, name))
        if value:
            self._label(left + self.font.size // 2, self.y, value, self.theme.ink)
        self.y += self.tall + self.gap
        return True

    def add_checkbox(self) -> bool:
        return self._add_options(self.rng.randint(1, 3), "checkbox", draw_checkbox)

    def add_switch(self) -> bool:
        return self._add_options(self.rng.randint(1, 2), "switch", draw_switch)

    def add_choices(self) -> bool:
        if self.selected:
            return False
        names = self.rng.choice(CHOICES)
        if not self._fits(self.tall * len(names)):
            return False
        chosen = self.rng.randrange(len(names))
        self.selected = names[chosen]
        return self._add_options(
            len(names), "radio button", draw_radio, names, [number == chosen for number in range(len(names))]
        )

    def _add_options(
        self,
        count: int,
        kind: str,
        draw: Callable[[Canvas, Theme, int, int, int, bool], Box],
        names: tuple[str, ...] | list[str] = (),
        states: list[bool] | None = None,
    ) -> bool:
        """Options below one another; the box of each spans its control and its words."""
        names = names or self.rng.sample([name for name in OPTIONS if name not in self.used], count)
        states = states or [self.rng.random() < 0.5 for _ in names]
        placed = False
        left = self._indent()
        for name, state in zip(names, states, strict=True):
            side = round(self.font.size * 0.95)
            if not self._fits(self.tall) or left + self.font.width(name) + 3 * side > self.canvas.width:
                break
            control = draw(self.canvas, self.theme, left, self.y + (self.tall - side) // 2, side, state)
            number = len(self.canvas.objects)
            self._claim(SceneObject(kind, control, "", name, name, True, 0, -1, state))
            words_box = self._label(control[2] + round(side * 0.6), self.y, name, self.theme.ink)
            box = unite([control, words_box])
            item = replace(self.canvas.objects[number], box=box)
            self.canvas.objects[number] = item
            self.canvas.owner[box[1] : box[3], box[0] : box[2]] = number + 1
            self.y += self.tall
            placed = True
        self.y += self.gap if placed else 0
        return placed

    def add_buttons(self) -> bool:
        if not self._fits(self.tall):
            return False
        x = self._indent()
        placed = False
        primary = self.rng.random() < 0.7
        for _ in range(self.rng.randint(1, 4)):
            name = self.rng.choice(BUTTONS)
            if self.rng.random() < 0.12:
                name = words.invent_word(self.rng, 3, 9).capitalize()
            if name in self.used:
                continue
            wide = self.font.width(name) + round(self.font.size * self.rng.uniform(1.0, 2.2))
            if x + wide > self.canvas.width - 2:
                continue
            box = (x, self.y, x + wide, self.y + self.tall)
            colour = ""
            if primary or self.rng.random() < 0.3:
                colour = (
                    self.theme.primary if primary else self.rng.choice(("red", "green", "blue", "orange", "purple"))
                )
                face = jitter(COLOURS[colour], self.rng, 6)
                self.canvas.rectangle(box, face, radius=self.theme.radius)
            else:
                face = self.theme.panel if self.rng.random() < 0.5 or self.theme.dark else (228, 230, 234)
                self.canvas.rectangle(box, face, radius=self.theme.radius)
                self.canvas.frame(box, self.theme.edge, self.line, radius=self.theme.radius)
            primary = False
            self._claim(SceneObject("button", box, colour, name, name))
            self._label(x + (wide - self.font.width(name)) // 2, self.y, name, ink_on(face))
            x += wide + self.gap
            placed = True
        self.y += self.tall + self.gap if placed else 0
        return placed

    def add_icons(self) -> bool:
        side = round(self.font.size * self.rng.uniform(1.3, 2.2))
        if not self._fits(side):
            return False
        x = self._indent()
        placed = False
        for name in self.rng.sample(ICONS, self.rng.randint(1, 6)):
            if x + side > self.canvas.width - self.margin or f"{name} icon" in self.used:
                continue
            colour = self.theme.ink if self.rng.random() < 0.7 else COLOURS[self.theme.primary]
            box = draw_icon(self.canvas, name, x, self.y, side, colour)
            self.canvas.claim(SceneObject(f"{name} icon", box, "", "", f"{name} icon"))
            self.used.add(f"{name} icon")
            x += side + self.gap
            placed = True
        self.y += side + self.gap if placed else 0
        return placed

    # ---- places ------------------------------------------------------------------------------------------

    def _room(self) -> int:
        return self.canvas.width - 2 * self.margin

    def _indent(self) -> int:
        """Where a row starts: at the margin, or somewhere in the left 40 % of a wide window."""
        if self._room() < 16 * self.font.size or self.rng.random() < 0.6:
            return self.margin
        return self.margin + round(self.rng.random() * 0.4 * self._room())

    def _fits(self, tall: int) -> bool:
        return self.y + tall <= self.canvas.height - 2

    def _baseline(self, top: int) -> int:
        return top + (self.tall + self.font.cap_height) // 2

    def _label(self, x: int, top: int, text: str, ink: Colour) -> Box:
        """Words that belong to the widget they stand on."""
        return self.canvas.text(x, self._baseline(top), text, self.font, ink, own=False)

    def _claim(self, item: SceneObject) -> None:
        self.canvas.claim(replace(item, glyph_height=self.font.cap_height))
        self.used.add(item.name)
