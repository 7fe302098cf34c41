"""Rows of requests and looks at the process -> figures, and which of them are out of bounds."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any

from tests.soak.chats import Row
from tests.soak.server import Sample

Report = dict[str, Any]
Bounds = dict[str, Callable[[Report], bool]]

# What must hold on any machine.
COUNTS: Bounds = {
    "every request has an answer or an error": lambda told: not told["unanswered"],
    "no stream hangs": lambda told: not told["hung"],
    "nobody is told what is somebody else's": lambda told: not told["mixed"],
    "only files that are no pictures are refused": lambda told: not told["refused without a reason"],
    "each of those is": lambda told: not told["hostile files answered"],
    "somebody was answered": lambda told: told["answered"] > 0,
    "the app lives": lambda told: told["lived"],
    "SIGTERM ends it": lambda told: told["exit status"] == 0,
    "nothing unforeseen is in the log": lambda told: not told["tracebacks"],
    "nobody's words are in the log": lambda told: not told["canaries in the log"],
    "/healthz always answers": lambda told: told["healthz"]["failed"] == 0,
}
# What must hold on two cores besides.
BOUNDS: Bounds = COUNTS | {
    "95 of 100 first words come within 5 s": lambda told: told["first token"]["p95"] < 5,
    "/healthz answers within 200 ms": lambda told: told["healthz"]["max"] < 0.2,
    "memory grows by less than 3 % after minute 2": lambda told: (told["memory growth"] or 0) < 0.03,
}


def find_broken(report: Report, bounds: Bounds) -> list[str]:
    return [name for name, holds in bounds.items() if not holds(report)]


def report(rows: Sequence[Row], samples: Sequence[Sample]) -> Report:
    outcomes = Counter(row.outcome for row in rows)
    healthz = sorted(sample.healthz for sample in samples)
    reasons = Counter((row.outcome, re.sub(r"[0-9a-f]{8,}|\d+", "N", row.why)) for row in rows if row.why)
    return {
        "requests": len(rows),
        "by way": Counter(row.way for row in rows),
        "answered": outcomes["answered"],
        "left": outcomes["left"],
        "refused": outcomes["refused"],
        "unanswered": outcomes["lost"],
        "hung": outcomes["hung"],
        "mixed": outcomes["mixed"],
        "hostile": sum(row.hostile for row in rows),
        "refused without a reason": sum(row.outcome == "refused" and not row.hostile for row in rows),
        "hostile files answered": sum(row.outcome == "answered" and row.hostile for row in rows),
        "reasons": [[*reason, count] for reason, count in reasons.most_common(12)],
        "first token": describe_firsts(rows),
        "first token by way": {
            way: describe_firsts([row for row in rows if row.way == way])
            for way in sorted({row.way for row in rows if row.first is not None})
        },
        "healthz": {
            "p50": pick(healthz, 0.5),
            "p95": pick(healthz, 0.95),
            "max": pick([seconds for seconds in healthz if math.isfinite(seconds)], 1),
            "failed": sum(math.isinf(seconds) for seconds in healthz),
        },
        "memory growth": find_growth(samples),
        "by minute": [describe_minute(samples, minute) for minute in range(count_minutes(samples))],
    }


def describe_firsts(rows: Sequence[Row]) -> dict[str, float]:
    firsts = sorted(row.first for row in rows if row.first is not None)
    return {name: pick(firsts, share) for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))}


def pick(ordered: Sequence[float], share: float) -> float:
    """A quantile."""
    return round(ordered[round(share * (len(ordered) - 1))], 3) if ordered else 0.0


def of_minute(samples: Sequence[Sample], minute: int) -> list[Sample]:
    return [sample for sample in samples if minute <= sample.seconds / 60 < minute + 1]


def count_minutes(samples: Sequence[Sample]) -> int:
    return int(samples[-1].seconds // 60) + 1 if samples else 0


def find_growth(samples: Sequence[Sample]) -> float | None:
    """The mean memory of the last whole minute over that of the minute after the second, less one; None in a run that
    is shorter."""
    last = count_minutes(samples) - 2
    if last < 3:
        return None
    first, later = (mean(each.memory for each in of_minute(samples, minute)) for minute in (2, last))
    return round(later / first - 1, 4)


def describe_minute(samples: Sequence[Sample], minute: int) -> dict[str, float]:
    here = of_minute(samples, minute)
    span = max(here[-1].seconds - here[0].seconds, 1)
    return {
        "minute": minute,
        "memory MB": round(mean(sample.memory for sample in here)),
        "highest MB": round(max(sample.memory for sample in here)),
        "threads": max(sample.threads for sample in here),
        "files": max(sample.files for sample in here),
        "cores": round((here[-1].cpu - here[0].cpu) / span, 2),
        "healthz max": pick(sorted(sample.healthz for sample in here if math.isfinite(sample.healthz)), 1),
        "load": round(mean(sample.load for sample in here), 1),
    }
