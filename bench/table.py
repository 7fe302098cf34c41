"""The table that people read while a benchmark runs."""

from __future__ import annotations

import os


def show_title(*words: str) -> None:
    print(" · ".join(words), flush=True)


def show(what: str, seconds: float | None = None, *words: str) -> None:
    """One line, such as `prefill of 1,420 tokens     6.21 s    229 tokens/s    MFU 0.47`."""
    time = "" if seconds is None else f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
    print(f"  {what:<28}{time:>9}" + "".join(f"   {word:<16}" for word in words).rstrip(), flush=True)


def gigabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e9:.2f} GB"


def load_average() -> float | None:
    """Of the last minute; None on Windows."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def from_to(before: float | None, after: float | None) -> str:
    return f"{before} before, {after} after"
