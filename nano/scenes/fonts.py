"""Typefaces -> glyph masks: finds the machine's fonts without fontconfig and caches each glyph it draws.

Debian packages that hold every face named here (about 30 MB):

    apt-get install fonts-dejavu-core fonts-dejavu-extra fonts-liberation fonts-lato fonts-open-sans \
        fonts-roboto-unhinted fonts-crosextra-carlito fonts-crosextra-caladea fonts-freefont-ttf \
        fonts-inconsolata fonts-cantarell fonts-courier-prime fonts-b612 fonts-comic-neue

A machine that cannot install packages takes the files from a folder named by DSVL2_FONTS, which
`python -m nano.scenes.fonts FOLDER` fills on one that has them. A machine with no font at all
draws with the one inside Pillow. The order of FACES is fixed, so that equal sets of fonts give equal scenes.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FACES: dict[str, tuple[str, ...]] = {
    "sans": (
        "DejaVuSans.ttf",
        "DejaVuSans-Bold.ttf",
        "DejaVuSansCondensed.ttf",
        "DejaVuSansCondensed-Bold.ttf",
        "LiberationSans-Regular.ttf",
        "LiberationSans-Bold.ttf",
        "LiberationSansNarrow-Bold.ttf",
        "Lato-Regular.ttf",
        "Lato-Bold.ttf",
        "OpenSans-Regular.ttf",
        "OpenSans-Semibold.ttf",
        "Roboto-Regular.ttf",
        "Roboto-Medium.ttf",
        "Roboto-Bold.ttf",
        "Carlito-Regular.ttf",
        "Carlito-Bold.ttf",
        "FreeSans.ttf",
        "FreeSansBold.ttf",
        "Cantarell-Regular.otf",
        "Cantarell-Bold.otf",
        "B612-Regular.otf",
    ),
    "serif": (
        "DejaVuSerif.ttf",
        "DejaVuSerif-Bold.ttf",
        "LiberationSerif-Regular.ttf",
        "LiberationSerif-Bold.ttf",
        "Caladea-Regular.ttf",
        "Caladea-Bold.ttf",
        "FreeSerif.ttf",
        "FreeSerifBold.ttf",
    ),
    "mono": (
        "DejaVuSansMono.ttf",
        "DejaVuSansMono-Bold.ttf",
        "LiberationMono-Regular.ttf",
        "LiberationMono-Bold.ttf",
        "FreeMonoBold.ttf",
        "Inconsolata.otf",
        "Courier Prime.otf",
        "Courier Prime Bold.otf",
        "B612Mono-Regular.otf",
    ),
    "slanted": (
        "DejaVuSans-Oblique.ttf",
        "LiberationSans-Italic.ttf",
        "LiberationSerif-Italic.ttf",
        "OpenSans-Italic.ttf",
        "ComicNeue-Regular.otf",
        "ComicNeue-Bold.otf",
    ),
}
FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts", "/Library/Fonts")

# Every character that scenes draw and that the patch targets name; 0 stands for no character.
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;!?'\"-+/%$&#@()*=_£€"
FAINT = 64  # coverage up to here is the blur around a glyph, not part of its box
CHARACTER_CODE = {character: code for code, character in enumerate(CHARACTERS, start=1)}


@dataclass(frozen=True, slots=True)
class Glyph:
    """One character's coverage, placed relative to the pen on the baseline."""

    mask: np.ndarray  # uint8, height x width, cropped to the ink
    left: int
    top: int  # negative above the baseline
    advance: int


class Font:
    """A face at a size in pixels; glyphs stand at whole pixels, unkerned, so that boxes are exact."""

    def __init__(self, path: Path | None, size: int) -> None:
        self.path, self.size = path, size
        self._glyphs: dict[str, Glyph] = {}
        self.cap_height = -self.glyph("H").top
        self.space = max(self.glyph(" ").advance, size // 5)

    def glyph(self, character: str) -> Glyph:
        found = self._glyphs.get(character)
        if found is None:
            found = self._glyphs[character] = self._rasterise(character)
        return found

    def _rasterise(self, character: str) -> Glyph:
        font = _open(self.path, self.size)
        advance = round(font.getlength(character))
        left, top, right, bottom = (round(edge) for edge in font.getbbox(character, anchor="ls"))
        paper = Image.new("L", (max(right - left, 1), max(bottom - top, 1)))
        ImageDraw.Draw(paper).text((-left, -top), character, fill=255, font=font, anchor="ls")
        mask = np.asarray(paper)
        rows, columns = np.flatnonzero(mask.max(1) > FAINT), np.flatnonzero(mask.max(0) > FAINT)
        if not len(rows):
            return Glyph(np.zeros((0, 0), np.uint8), 0, 0, advance)
        mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
        return Glyph(mask, left + int(columns[0]), top + int(rows[0]), advance)

    def width(self, text: str) -> int:
        """Pen advance over `text`."""
        return sum(self.space if character == " " else self.glyph(character).advance for character in text)


@lru_cache(maxsize=256)  # 0.2 MB each; glyphs once drawn need it no more
def _open(path: Path | None, size: int) -> ImageFont.FreeTypeFont:
    if path:
        return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


@cache
def find_faces() -> dict[str, tuple[Path | None, ...]]:
    """Styles and the files this machine has for them, in the order of FACES."""
    folders = [os.environ["DSVL2_FONTS"]] if os.environ.get("DSVL2_FONTS") else FOLDERS
    on_disk: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(Path(folder).expanduser().rglob("*.[to]tf")):
            on_disk.setdefault(path.name, path)
    found = {style: tuple(on_disk[name] for name in names if name in on_disk) for style, names in FACES.items()}
    if not any(found.values()):
        return {"sans": (None,)}
    return {style: paths for style, paths in found.items() if paths}


def load_font(path: Path | None, size: int) -> Font:
    """The font at `size` px or slightly below: larger sizes come in steps, so that glyphs are found again."""
    step = 1 if size < 24 else 2 if size < 48 else 4
    return _font_at(path, max(size // step * step, 6))


@cache
def _font_at(path: Path | None, size: int) -> Font:
    return Font(path, size)


def copy_faces(folder: Path) -> int:
    """Copy every face this machine has into one folder, for a machine that has none."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [path for paths in find_faces().values() for path in paths if path]
    for path in paths:
        shutil.copy(path, folder / path.name)
    return len(paths)


if __name__ == "__main__":
    print(f"{copy_faces(Path(sys.argv[1]))} faces copied to {sys.argv[1]}")
