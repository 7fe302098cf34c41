"""What the flags of `train` may be."""

from __future__ import annotations

import argparse

from dsvl2_app.errors import SettingsError
from nano.samples import RUNS

LEAST = {
    "minutes": 0,
    "steps": 1,
    "rows": 1,
    "length": 512,
    "tiles": 2,
    "workers": 0,
    "accumulate": 1,
    "log_every": 1,
    "seed": 0,
    "snapshots": 0,
    "keep": 0,
}


def check(flags: argparse.Namespace) -> None:
    """Raises SettingsError for the first value that no run can have."""
    for name, least in LEAST.items():
        if getattr(flags, name) < least:
            raise SettingsError(f"--{name.replace('_', '-')} is {getattr(flags, name)}; give at least {least}.")
    if flags.keep > 1:
        raise SettingsError(f"--keep is {flags.keep}; give a share from 0 to 1.")
    if flags.seed >= RUNS:
        raise SettingsError(f"--seed is {flags.seed}; pictures are numbered for 0 to {RUNS - 1}.")
    if flags.things and not flags.start:
        raise SettingsError("--things goes with --start: nano learns to see and to speak before it learns things.")
