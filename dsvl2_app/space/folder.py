"""`space`: this clone -> a folder that is ready to be pushed as a Space, with what a Space needs and nothing else."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement

from dsvl2_app.errors import SettingsError
from dsvl2_app.hub import PINNED
from dsvl2_app.settings import RELEASED
from dsvl2_app.space.presets import PRESETS, Preset, write_front_matter

CLONE = Path(__file__).parents[2]
WHOLE = ("LICENSE", "packages.txt")  # files that are copied as they are
PARTS = ("dsvl2_app", "assets")
UNWANTED = ("__pycache__", "screenshot.png")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
# Of Python 3.12 on Linux, for the markers of requirements and constraints.
PLACE = {
    "python_version": "3.12",
    "python_full_version": "3.12.12",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "os_name": "posix",
}


def run(flags: argparse.Namespace) -> None:
    folder = Path(flags.folder)
    write_folder(flags.preset, folder)
    print(f"{folder} is ready: hf upload USER/SPACE {folder} . --repo-type space")


def write_folder(name: str, folder: Path) -> None:
    """Raises SettingsError where the folder holds something already, or where this is no clone."""
    preset = PRESETS[name]
    if not (CLONE / "app.py").exists() or not (CLONE / "constraints.txt").exists():
        raise SettingsError("This needs a clone of the project; run `python -m dsvl2_app space` there.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"{folder} is not empty; name a new folder.")
    folder.mkdir(parents=True, exist_ok=True)
    pins = read_pins()
    for part in PARTS:
        shutil.copytree(CLONE / part, folder / part, ignore=shutil.ignore_patterns(*UNWANTED))
    for each in WHOLE:
        shutil.copy(CLONE / each, folder / each)
    write(folder / "app.py", choose_model((CLONE / "app.py").read_text(encoding="utf-8"), preset))
    write(folder / "requirements.txt", "".join(f"{line}\n" for line in list_requirements(preset, pins)))
    write(folder / "README.md", write_front_matter(preset, pins["gradio"]) + describe(preset))
    write(folder / ".gitattributes", "".join(f"{line}\n" for line in list_attributes(folder)))


def read_pins() -> dict[str, str]:
    """The release of each package that the tests ran with."""
    return {each.name: str(each.specifier).removeprefix("==") for each in _read(CLONE / "constraints.txt")}


def list_requirements(preset: Preset, pins: dict[str, str]) -> Iterator[str]:
    """What the demo needs itself, at the releases that the tests ran with. Spaces install all of it in one go with
    gradio's and `spaces`' releases, so what these need is left to pip."""
    if preset.hardware.startswith("cpu"):
        yield f"--extra-index-url {CPU_INDEX}"
    for each in _read(CLONE / "requirements.txt"):
        yield f"{each.name}=={pins[each.name]}"


def choose_model(app: str, preset: Preset) -> str:
    """app.py with the Space's model as the default of its variable."""
    if preset.model == "nano":
        return app
    head, main, rest = app.partition("\n\ndef main(")
    assert main
    chosen = f'os.environ.setdefault("DSVL2_MODEL", "{preset.model}")  # a variable of the Space can name another'
    return f"{head}\n{chosen}\n{main}{rest}"


def describe(preset: Preset) -> str:
    """The README below its front matter."""
    if preset.model == "nano":
        answers = "*nano*, a toy of 11.7 M parameters that comes with the code and knows no photographs, answers."
    else:
        repo = RELEASED[preset.model]
        answers = f"[{repo}](https://huggingface.co/{repo}) at `{PINNED[repo]}` answers."
    return f"""
# DeepSeek-VL2

Chat about pictures, find things as boxes, and look at the tiles that a picture is cut into. {answers}

Flags of `python app.py --help` are set as variables of the Space: `DSVL2_MODEL` for `--model`, and so on.
"""


def list_attributes(folder: Path) -> Iterator[str]:
    """Kinds of files that git keeps by Git LFS, as the hub wants of all that is no text."""
    kinds = {file.suffix for file in folder.rglob("*") if file.is_file() and not _is_text(file)}
    for kind in sorted(kinds):
        yield f"*{kind} filter=lfs diff=lfs merge=lfs -text"


def write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


def _is_text(file: Path) -> bool:
    try:
        return "\0" not in file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False


def _read(file: Path) -> Iterable[Requirement]:
    """A file in pip's format, without what is meant for other places."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    for requirement in map(Requirement, filter(None, lines)):
        if requirement.marker is None or requirement.marker.evaluate({**PLACE, "extra": ""}):
            yield requirement
