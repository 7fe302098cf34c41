"""What a suite found, as a table that grows row by row and as JSON.

A suite is a module that has `choose_rows(things)`, what it measures, MOST_CASES, the most questions a row, and
`evaluate(answer, cases, rows)`, which yields a `Score` for each row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

Messages = list[dict[str, Any]]
Answer = Callable[[Messages], str]


@dataclass(frozen=True, slots=True)
class Score:
    family: str
    task: str
    cases: int
    accuracy: float
    chance: float
    floor: float | None

    @property
    def reached(self) -> bool:
        return self.floor is None or self.accuracy >= self.floor

    @property
    def line(self) -> str:
        floor = "" if self.floor is None else f"{self.floor:.2f}"
        numbers = f"{self.cases:>5} {self.accuracy:>8.2f} {self.chance:>6.2f} {floor:>5}"
        return f"{self.family:<10} {self.task:<28} {numbers}{'' if self.reached else '  below'}"


HEADING = f"{'family':<10} {'task':<28} {'cases':>5} {'accuracy':>8} {'chance':>6} {'floor':>5}"


@dataclass(frozen=True, slots=True)
class Report:
    scores: tuple[Score, ...]

    @property
    def table(self) -> str:
        return "\n".join((HEADING, *(score.line for score in self.scores)))

    def as_dict(self) -> dict[str, Any]:
        """For the JSON line at the end of a run."""
        promised = [score for score in self.scores if score.floor is not None]
        return {
            "rows": [asdict(score) for score in self.scores],
            "reached": sum(score.reached for score in promised),
            "floors": len(promised),
        }
