"""log.jsonl -> curves.png: every number of the log over the samples seen."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any


def draw_curves(log: Path, picture: Path) -> None:
    """Losses above, accuracies below; a dotted line where a stage begins."""
    import matplotlib  # only training needs it

    matplotlib.use("Agg")  # no screen is needed
    from matplotlib import pyplot

    entries = read_log(log)
    names = sorted({name for entry in entries for name in entry["values"]})
    rows = [[name for name in names if not name.endswith("accuracy")], [n for n in names if n.endswith("accuracy")]]
    figure, axes = pyplot.subplots(len(rows), 1, figsize=(10, 8), sharex=True)
    for axis, members in zip(axes, rows, strict=True):
        for name in members:
            points = [(entry["samples"], entry["values"][name]) for entry in entries if name in entry["values"]]
            axis.plot(*zip(*points, strict=True), label=name, linewidth=1)
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
        axis.grid(alpha=0.3)
    axes[0].set_yscale("log")
    for previous, entry in pairwise(entries):
        if previous["stage"] != entry["stage"]:
            for axis in axes:
                axis.axvline(entry["samples"], color="grey", linestyle=":")
            axes[0].text(entry["samples"], axes[0].get_ylim()[1], entry["stage"], fontsize=8)
    axes[-1].set_xlabel("samples")
    figure.savefig(picture, dpi=110, bbox_inches="tight")
    pyplot.close(figure)


def read_log(log: Path) -> list[dict[str, Any]]:
    """The entries of a run in order, without those that it went over again after a restart."""
    entries: list[dict[str, Any]] = []
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        while entries and entries[-1]["steps"] >= entry["steps"]:
            entries.pop()
        entries.append(entry)
    return entries
