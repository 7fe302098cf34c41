"""Packages of drawings, models and photographs: which version, under which licence, and what in them misleads."""

from __future__ import annotations

from dataclasses import dataclass

from nano.things.pack import KEPT_HAND, MODEL, PHOTOGRAPH


@dataclass(frozen=True, slots=True)
class Source:
    """`hand` is what its drawings are called in a pack; `reader` says how they are stored."""

    hand: str
    package: str
    version: str
    licence: str
    reader: str  # "icons", "codes", "glyphs", "clips", "stamps", "models" or "wallpapers"
    misread: frozenset[str] = frozenset()  # drawings that show something else than their names say

    @property
    def debian(self) -> bool:
        return self.reader in ("clips", "stamps", "models", "wallpapers")


# Signs of programs that are called like things: a mouse with buttons, a square for a window, waves for a radio.
_NO_SIGNS = frozenset(
    ("mouse", "cricket", "bowling", "badminton", "tennis", "hospital", "label", "seal", "school", "radio", "bug",
     "metro", "sushi", "locked", "pie", "rock", "pick", "satellite", "window", "magic-wand", "turkey", "compass",
     "flashlight", "ice-hockey", "floppy-disk", "keyboard", "ring", "thread", "television", "eye", "package")
)  # fmt: skip
_NO_GAMES = frozenset(("butterfly", "pig-face", "wrench", "fountain", "volcano", "ram", "bank", "kite"))
_NO_MODELS = frozenset(
    ("Flower box", "Plant box", "Bread box", "Medicine box", "Letters box", "Box", "Toilet brush", "Brush",
     "Number lock", "Rocking horse", "Clothes horse", "Child hut", "Tablet", "Island", "Island bath", "Fitness tower",
     "Spice tower", "Indoor bike", "Little bank", "Wood bank", "Entry bell ring", "VW new beetle", "Peach blossom",
     "Dog house", "Doll house", "Surveillance camera", "Thermometer", "Keyboard", "Pencil", "Cup cake", "Glass door",
     "Motorbike", "Shower door", "Elevator door", "Garage door", "Door/window", "Christmas tree")
)  # fmt: skip
SOURCES: tuple[Source, ...] = (
    Source("noto", "@iconify-json/noto", "1.2.9", "Apache-2.0", "icons"),
    Source("blob", "@iconify-json/noto-v1", "1.2.5", "Apache-2.0", "icons"),
    Source("twemoji", "@iconify-json/twemoji", "1.2.5", "CC-BY-4.0", "icons"),
    Source("fluent", "@iconify-json/fluent-emoji-flat", "1.2.6", "MIT", "icons"),
    Source("fluent-3d", "@lobehub/fluent-emoji-3d", "1.1.0", "MIT", "codes"),
    Source("emojione", "@iconify-json/emojione", "1.2.3", "CC-BY-4.0", "icons"),
    Source("emojione-v1", "@iconify-json/emojione-v1", "1.2.3", "CC-BY-SA-4.0", "icons"),
    Source("firefox", "@iconify-json/fxemoji", "1.2.2", "Apache-2.0", "icons"),
    Source("streamline", "@iconify-json/streamline-emojis", "1.2.4", "CC-BY-4.0", "icons", frozenset({"turkey"})),
    Source("noto-line", "@expo-google-fonts/noto-emoji", "0.4.7", "OFL-1.1", "glyphs"),
    Source("fluent-line", "@iconify-json/fluent-emoji-high-contrast", "1.2.6", "MIT", "icons"),
    Source("emojione-line", "@iconify-json/emojione-monotone", "1.2.1", "CC-BY-4.0", "icons"),
    Source("games", "@iconify-json/game-icons", "1.2.4", "CC-BY-3.0", "icons", _NO_GAMES),
    Source("material", "@iconify-json/mdi", "1.2.3", "Apache-2.0", "icons", _NO_SIGNS),
    Source("phosphor", "@iconify-json/ph", "1.2.2", "MIT", "icons", _NO_SIGNS),
    Source("tabler", "@iconify-json/tabler", "1.2.41", "MIT", "icons", _NO_SIGNS),
    Source("lucide", "@iconify-json/lucide", "1.2.137", "ISC", "icons", _NO_SIGNS),
    Source("huge", "@iconify-json/hugeicons", "1.2.35", "MIT", "icons", _NO_SIGNS),
    Source("awesome", "@iconify-json/fa7-solid", "1.2.5", "CC-BY-4.0", "icons", _NO_SIGNS),
    Source(KEPT_HAND, "@iconify-json/openmoji", "1.2.29", "CC-BY-SA-4.0", "icons"),
    Source("openclipart", "openclipart-svg", "1:0.18+dfsg-19", "public domain", "clips"),
    Source(PHOTOGRAPH, "tuxpaint-stamps-default", "2022.06.04-1", "GPL-2", "stamps"),
    Source(MODEL, "sweethome3d-furniture", "1.8-1", "CC0-1.0, CC-BY-3.0", "models", _NO_MODELS),
    Source("mate", "mate-backgrounds", "1.26.0-1", "GPL-2+, CC-BY-SA-4.0", "wallpapers"),
    Source("gnome", "gnome-backgrounds", "43.1-1", "CC-BY-SA-3.0", "wallpapers"),
    Source("lomiri", "lomiri-wallpapers-20.04", "20.04.0-2", "CC-BY-SA-4.0", "wallpapers"),
)

# Clip art that shows no single thing, or something else than its name says: scenes, signs, outlines, other languages.
NO_CLIPS = (
    "people", "special", "signs_and_symbols", "logos", "geography", "duplicates", "cards", "chess", "buttons", "shapes",
    "icon", "decorations", "roadsigns", "aiga", "_bw", "contour", "_mateya", "etiquette", "RPSWB", "architett",
    "baseball_", "corn_dog", "onion_rings", "keyboard_key", "coat_of", "flying_spa", "ammo_can", "desk_lamp",
    "avvolgibile",
    "ape_miele", "recycl", "set_top", "egg_muffin", "pie_", "pies", "giraffe_c", "dead_frogs", "school_", "car_ride",
    "simple_te", "bored", "gattina", "church_b", "satellite", "houses", "cd_drive", "help", "out_of", "what_", "rock_",
    "caterpillar_d", "fall_scene", "tree_whit", "tennis_sh", "moon_", "compass_", "cymru", "red_telephone",
    "brush_roll", "paint_roller", "turkey_p", "hotel", "candied", "tile_", "apple_wedge", "worm", "bullet",
    "fireworks", "wallp", "cone_soft", "mouse_scr", "mute", "caterpill", "gallows", "label",
)  # fmt: skip
# Stamps of letters, signs and people, and those that their titles do not tell.
NO_STAMPS = {"alphabets", "asl", "chess", "faces", "math", "music", "shapes", "people", "signs"}
NO_TITLES = {
    "beetle.png", "penguin_with_spider.png", "bathyscape.png", "spider_computer.png", "spider_fly.png",
    "spider_football.png", "trainSign.png", "chilepepper.png", "motorbike.svg", "white_train.svg", "uk_post_box.png",
    "trophy_cup.png", "chick-hat.png", "sword_in_the_stone.png", "bikewheel.svg", "pasta_pot.png", "leafrake.svg",
    "mortarboard.svg", *(f"grave-{letter}.png" for letter in "abcdefghijklmnopqrstuvwxyz"),
}  # fmt: skip
NO_GROUNDS = ("pixels", "Traditional")  # which show things, or a sign
