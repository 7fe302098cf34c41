"""What was learnt -> its folder, so that a full disk, a stop or an error in the middle loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError

from dsvl2_app.errors import SettingsError

FAILURES = (OSError, SafetensorError)  # of writing; safetensors tells a full disk in its own words
Write = Callable[[Path], None]


def write_whole(folder: Path, write: Write) -> None:
    """All files that `write` puts into a folder, moved into `folder` once every one is there: what lay there before
    stays until then."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder, ignore_cleanup_errors=True) as fresh:
        write(Path(fresh))
        for file in Path(fresh).iterdir():
            file.replace(folder / file.name)


def write_somewhere(folder: Path, write: Write) -> None:
    """`write_whole`; where `folder` cannot take it, into a temporary folder, which the SettingsError names."""
    try:
        return write_whole(folder, write)
    except FAILURES as error:
        reason = str(error)
    spare = Path(tempfile.mkdtemp(prefix="dsvl2-learnt-"))
    try:
        write(spare)
    except FAILURES as error:
        shutil.rmtree(spare, ignore_errors=True)
        raise SettingsError(
            f"--out {folder} cannot be written ({reason}), nor {spare} ({error}); free some space. "
            f"What {folder} held before is still there."
        ) from error
    raise SettingsError(f"--out {folder} cannot be written ({reason}); what was learnt is in {spare} instead.")


def try_to_write(folder: Path, write: Write) -> None:
    """`write_whole` on the way: a failure is told, and training goes on."""
    try:
        write_whole(folder, write)
    except FAILURES as error:
        print(f"{folder} cannot be written ({error}); free some space, training goes on.", file=sys.stderr)


class Log:
    """log.jsonl of a folder: JSON lines, whole or not at all. A disk that is full is told once and stops nothing."""

    def __init__(self, folder: str | Path, wanted: bool = True) -> None:
        """Not `wanted`, it notes nothing: of several processes one does."""
        self.path, self.told = Path(folder, "log.jsonl"), False
        self.file: BinaryIO | None = None
        try:
            if wanted:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise SettingsError(f"{self.path} cannot be written ({error}); give another --out.") from error

    def note(self, **entry: Any) -> None:
        if self.file is None:
            return
        line = (json.dumps(entry, allow_nan=False) + "\n").encode()
        size = os.fstat(self.file.fileno()).st_size
        try:
            if self.file.write(line) < len(line):
                raise OSError("the disk is full")
        except OSError as error:
            with suppress(OSError):
                self.file.truncate(size)
            if not self.told:
                print(f"{self.path} cannot be written ({error}); training goes on.", file=sys.stderr)
            self.told = True

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()
