"""`dsvl2 fetch`: a checkpoint from the hub, whole and checked."""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict
from pathlib import Path

from dsvl2_app.checkpoints.fetch import Fetched, fetch, list_files
from dsvl2_app.errors import SettingsError
from dsvl2_app.settings import Settings
from dsvl2_app.terminal.progress import shown_progress


def run(flags: argparse.Namespace) -> None:
    repo = Settings.choose(flags, {"DSVL2_MODEL": os.environ.get("DSVL2_MODEL", "")}).checkpoint
    if repo == "nano" or Path(repo).is_dir():
        raise SettingsError(f"{repo} is here already; name tiny, small, base or a repository of the hub.")
    started = time.perf_counter()
    with shown_progress():
        fetched = fetch(list_files(repo, flags.revision), Path(flags.to) if flags.to else None)
    _print(fetched, time.perf_counter() - started, as_json=flags.json)


def _print(fetched: Fetched, seconds: float, *, as_json: bool) -> None:
    listing = fetched.listing
    if as_json:
        told = {**asdict(listing), "folder": str(fetched.folder), "bytes": listing.size}
        print(json.dumps({**told, "downloaded": fetched.downloaded, "seconds": seconds}))
        return
    came = f"{fetched.downloaded / 1e9:.2f} GB of them now, in {seconds:.0f} s"
    print(f"{listing.repo} at {listing.commit}: {len(listing.files)} files, {listing.size / 1e9:.2f} GB, {came}.")
    print("Every size and hash is right.")
    print(fetched.folder)
