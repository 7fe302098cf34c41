"""`python -m dsvl2_app sprites`: packages -> things-training.zip and things-evaluation.zip."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dsvl2_app.errors import SettingsError
from dsvl2_app.finetune.extras import require
from nano.things import sources
from nano.things.pack import FILES, PHOTOGRAPH, Ground, Sprite, write
from nano.things.packages import SOURCES, Source
from nano.things.vocabulary import nouns

LEAST_HANDS = 3  # sources that a noun must stand in


def fetch(source: Source, folder: Path) -> Path:
    """The unpacked package, fetched if it is not there yet. Raises SettingsError where that fails."""
    unpacked = folder / source.package.replace("/", "+")
    if (unpacked / "complete").exists():
        return unpacked
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir(parents=True)
    if source.debian:
        _call("apt-get", "download", f"{source.package}={source.version}", folder=unpacked)
        (archive,) = unpacked.glob("*.deb")
        _call("dpkg-deb", "-x", archive.name, ".", folder=unpacked)
    else:
        _call("npm", "pack", "--silent", f"{source.package}@{source.version}", folder=unpacked)
        (archive,) = unpacked.glob("*.tgz")
        _call("tar", "-xzf", archive.name, folder=unpacked)
    archive.unlink()
    (unpacked / "complete").touch()
    return unpacked


def _call(*command: str, folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)  # noqa: S603 - our own words
    except FileNotFoundError:
        raise SettingsError(f"{command[0]} is not installed; sprites come from packages of npm and Debian.") from None
    except subprocess.CalledProcessError as error:
        raise SettingsError(f"`{' '.join(command)}` failed: {error.stderr.strip()[-300:]}") from None


def read_all(folder: Path) -> tuple[list[Sprite], list[Ground]]:
    """Every sprite of a noun that stands in enough hands, and every ground."""
    sprites: list[Sprite] = []
    grounds: list[Ground] = []
    for source in SOURCES:
        unpacked = fetch(source, folder)
        before = len(sprites) + len(grounds)
        if source.reader == "wallpapers":
            grounds += sources.read_wallpapers(unpacked)
        else:
            sprites += _read(source, unpacked, folder)
        found = len(sprites) + len(grounds) - before
        print(f"{source.hand:<12} {found:>5}  {source.package} {source.version}, {source.licence}", flush=True)
    hands = Counter(noun for noun, _ in {(sprite.noun, sprite.hand) for sprite in sprites})
    return [sprite for sprite in sprites if hands[sprite.noun] >= LEAST_HANDS], grounds


def _read(source: Source, unpacked: Path, folder: Path) -> Iterator[Sprite]:
    match source.reader:
        case "icons":
            return sources.read_icons(unpacked, source)
        case "codes" | "glyphs":
            chars = fetch(SOURCES[0], folder) / "package/chars.json"
            read = sources.read_codes if source.reader == "codes" else sources.read_glyphs
            return read(unpacked, source, json.loads(chars.read_text(encoding="utf-8")))
        case "models":
            return sources.read_models(unpacked, source)
        case "clips":
            return sources.read_clips(unpacked, source)
    return sources.read_stamps(unpacked, source)


def run(flags: argparse.Namespace) -> None:
    require("resvg_py")
    out = Path(flags.out)
    out.mkdir(parents=True, exist_ok=True)
    sprites, grounds = read_all(out / "packages")
    for split, name in FILES.items():
        size = write(out / name, sprites, grounds, split)
        chosen = [sprite for sprite in sprites if sprite.split == split]
        known = {sprite.noun for sprite in chosen if nouns()[sprite.noun].known}
        photographs = sum(sprite.hand == PHOTOGRAPH for sprite in chosen)
        print(
            f"{out / name}: {len(chosen):,} sprites, {photographs} of them photographs, of {len(known)} known things "
            f"and {len({sprite.noun for sprite in chosen} - known)} others; {size / 2**20:.1f} MiB"
        )
    missing = [name for name in nouns() if name not in {sprite.noun for sprite in sprites}]
    if missing:
        print(f"In fewer than {LEAST_HANDS} hands: {', '.join(missing)}")
