"""How to read what packages of drawings, models and photographs hold: folder -> sprites or grounds."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nano.things.pack import INKED, INKED_SIDE, SIDE, STAMPS, Ground, Sprite
from nano.things.packages import NO_CLIPS, NO_GROUNDS, NO_STAMPS, NO_TITLES, Source
from nano.things.vocabulary import Noun, find_drawn, find_in, find_odd

RENDER = 288  # px that vector drawings are rendered at, before they are trimmed and made smaller
LEAST_SIDE = 24  # px, below which a drawing shows too little
# Hands whose drawings of other things nano learns not to know.
ODD_HANDS = ("noto", "twemoji", "emojione", "streamline", "fluent-line", "games")
CROPS = 6  # pieces of one wallpaper
GROUND = 360  # px of a piece's side
LONGEST_TITLE = 6  # words
# How sets call the same sign drawn otherwise, and what they draw a second time with little change or crossed out.
_VARIANT = re.compile(r"(-(outline|filled|fill|solid|alt|0?[1-9]))+$")
_REPEATED = re.compile(r"-(thin|light|bold|duotone|off|small)$")


def read_icons(folder: Path, source: Source) -> Iterator[Sprite]:
    """Vector drawings of an Iconify set, and the other names that it gives them."""
    icons = json.loads((folder / "package/icons.json").read_text(encoding="utf-8"))
    aliases = {alias: entry["parent"] for alias, entry in icons.get("aliases", {}).items()}
    done: set[str] = set()
    for name in (*icons["icons"], *aliases):
        parent, noun = aliases.get(name, name), _find_shown(name, source)
        if noun is None or parent in done or parent not in icons["icons"]:
            continue
        done.add(parent)
        icon = icons["icons"][parent]
        width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
        body = (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
        )
        yield from _cut(noun, source.hand, parent, rasterise(svg_string=body))


def _find_shown(name: str, source: Source) -> Noun | None:
    """What a drawing of this name shows, if that is anything that nano is to know, or to know that it does not."""
    plain = _VARIANT.sub("", name)
    if plain in source.misread:
        return None
    noun = find_drawn(name)
    if source.hand in INKED and not _REPEATED.search(name):
        noun = noun or find_drawn(plain)
    return noun or (find_odd(name) if source.hand in ODD_HANDS else None)


def read_codes(folder: Path, source: Source, names: dict[str, str]) -> Iterator[Sprite]:
    """Pictures named by code points; `names` says what these are called."""
    for file in sorted((folder / "package/assets").glob("*.webp")):
        noun = find_drawn(names.get(file.stem.replace("-fe0f", ""), ""))
        if noun:
            yield from _cut(noun, source.hand, file.name, np.array(Image.open(file).convert("RGBA")))


def read_glyphs(folder: Path, source: Source, names: dict[str, str]) -> Iterator[Sprite]:
    """Letters of a font; `names` says what their code points are called."""
    (file,) = folder.glob("package/400Regular/*.ttf")
    font = ImageFont.truetype(file, RENDER)
    for code, name in names.items():
        noun = find_drawn(name)
        if noun and "-" not in code:
            letter = Image.new("LA", (2 * RENDER, 2 * RENDER))
            ImageDraw.Draw(letter).text((RENDER, RENDER), chr(int(code, 16)), (0, 255), font, anchor="mm")
            yield from _cut(noun, source.hand, name, np.array(letter.convert("RGBA")))


def read_models(folder: Path, source: Source) -> Iterator[Sprite]:
    """Pictures of three-dimensional models, from the catalogues of Sweet Home 3D."""
    for file in sorted(folder.rglob("*.sh3f")):
        with zipfile.ZipFile(file) as archive:
            catalogue = archive.read("PluginFurnitureCatalog.properties").decode("latin-1")
            icons = dict(re.findall(r"^icon#(\d+)=/?(.*?)\s*$", catalogue, re.MULTILINE))
            for number, name in re.findall(r"^name#(\d+)=(.*?)\s*$", catalogue, re.MULTILINE):
                noun = None if name in source.misread else find_in(name, at_end=True)
                if noun:
                    with Image.open(io.BytesIO(archive.read(icons[number]))) as opened:
                        yield from _cut(noun, source.hand, icons[number], np.array(opened.convert("RGBA")))


def read_clips(folder: Path, source: Source) -> Iterator[Sprite]:
    """Clip art, called by its file name; what many people drew counts as one hand."""
    root = folder / "usr/share/openclipart/svg"
    seen: set[str] = set()
    for file in sorted(root.rglob("*.svg")):
        place, name = file.relative_to(root).as_posix(), file.stem
        noun = find_in(name.replace("_", " ").replace("-", " ")) or find_odd(name.replace("_", " "))
        if noun is None or name in seen or any(part in place for part in NO_CLIPS):
            continue
        seen.add(name)
        found = _cut(noun, source.hand, file.name, rasterise(svg_path=str(file)))
        yield from (sprite for sprite in found if sprite.colour != "black")  # silhouettes and signs


def read_stamps(folder: Path, source: Source) -> Iterator[Sprite]:
    """Photographs cut out, and some drawings among them; the first line of a text says what each shows."""
    for file in sorted((folder / "usr/share/tuxpaint/stamps").rglob("*.txt")):
        noun = find_titled(file.read_text(encoding="utf-8").splitlines()[0])
        picture = next((file.with_suffix(end) for end in (".png", ".svg") if file.with_suffix(end).exists()), None)
        if noun is None or picture is None or picture.name in NO_TITLES or NO_STAMPS & set(file.parts):
            continue
        drawn = picture.suffix == ".svg" or "cartoon" in picture.parts
        loaded = (
            rasterise(svg_path=str(picture))
            if picture.suffix == ".svg"
            else np.array(Image.open(picture).convert("RGBA"))
        )
        yield from _cut(noun, STAMPS[1] if drawn else source.hand, picture.name, loaded)


def find_titled(title: str) -> Noun | None:
    """What a short title such as "A yellow lemon." ends with; what a whole sentence is about is not known."""
    words = re.split(r"[,.(!?:;–—]", title)[0].split()
    return find_in(" ".join(words), at_end=True) if len(words) <= LONGEST_TITLE else None


def read_wallpapers(folder: Path) -> Iterator[Ground]:
    """Square pieces of each wallpaper, of several sizes."""
    for file in sorted((*folder.rglob("*.jpg"), *folder.rglob("*.webp"))):
        if file.is_symlink() or file.stat().st_size < 60_000 or any(part in file.name for part in NO_GROUNDS):
            continue
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
        picture.thumbnail((1600, 1600))
        shift = np.random.default_rng(len(file.name))
        for number in range(CROPS):
            side = int(min(picture.size) * (1.0, 0.8, 0.8, 0.5, 0.5, 0.35)[number])
            left, top = (int(shift.integers(0, length - side + 1)) for length in picture.size)
            piece = picture.crop((left, top, left + side, top + side)).resize((GROUND, GROUND))
            yield Ground(file.name, np.array(piece))


def rasterise(**svg: str) -> np.ndarray:
    """RGBA of a drawing, RENDER px wide; nothing where it cannot be read."""
    import resvg_py  # only making a pack needs it  # pyright: ignore[reportMissingImports]

    try:
        content = bytes(resvg_py.svg_to_bytes(**svg, width=RENDER, skip_system_fonts=True))
    except ValueError:
        return np.zeros((1, 1, 4), np.uint8)
    with Image.open(io.BytesIO(content)) as opened:
        return np.array(opened.convert("RGBA"))


def _cut(noun: Noun, hand: str, name: str, pixels: np.ndarray) -> Iterator[Sprite]:
    """Trimmed to what shows, and no larger than a pack's; nothing for an empty picture or one without a cut-out."""
    shows = pixels[..., 3] > 40
    if not shows.any():
        return
    rows, columns = np.flatnonzero(shows.any(1)), np.flatnonzero(shows.any(0))
    pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = pixels.shape[:2]
    scale = (INKED_SIDE if hand in INKED else SIDE) / max(height, width)
    if min(height, width) * min(scale, 1) < LEAST_SIDE / 2 or max(height, width) < LEAST_SIDE or shows.mean() > 0.97:
        return
    if scale < 1:
        # Colours count by how much they show, or what is behind the edge would shine through.
        weight = pixels[..., 3:].astype(np.float32) / 255
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        small = cv2.resize(np.dstack((pixels[..., :3] * weight, weight)), size, interpolation=cv2.INTER_AREA)
        colours = small[..., :3] / np.maximum(small[..., 3:], 1e-3)
        pixels = np.dstack((colours, small[..., 3:] * 255)).clip(0, 255).astype(np.uint8)
    yield Sprite(noun.name, hand, name, find_colour(pixels), np.ascontiguousarray(pixels))


_HUES = ((8, "red"), (21, "orange"), (34, "yellow"), (82, "green"), (98, "cyan"), (130, "blue"), (152, "purple"),
         (168, "pink"), (180, "red"))  # fmt: skip
MOST_OF_IT = 0.62


def find_colour(pixels: np.ndarray) -> str:
    """The colour that most of a cut-out has, or "" where it has several."""
    shown = pixels[pixels[..., 3] > 200][None, :, :3]
    if not shown.size:
        return ""
    seen = cv2.cvtColor(shown, cv2.COLOR_RGB2HSV)[0].astype(int)
    hue, saturation, value = seen.T
    names = np.empty(len(seen), "<U6")
    for end, name in reversed(_HUES):
        names[hue < end] = name
    names[(names == "red") & (saturation < 150) & (value > 190)] = "pink"
    names[np.isin(names, ("orange", "red")) & (value < 165) & (hue > 3) & (hue < 25)] = "brown"
    names[saturation < 45] = "grey"
    names[(saturation < 35) & (value > 215)] = "white"
    names[value < 55] = "black"
    found, counts = np.unique(names, return_counts=True)
    best = int(counts.argmax())
    return str(found[best]) if counts[best] >= MOST_OF_IT * len(seen) else ""
