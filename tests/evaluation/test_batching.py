from __future__ import annotations

import pytest

from nano.suite import ROWS
from tests.evaluation.batching import WAYS, compare


@pytest.mark.slow
def test_answers_are_the_same_alone_and_together() -> None:
    """A question of every row of nano's suite; `python -m tests.evaluation.batching` asks more."""
    assert len(ROWS) > 30 and len(WAYS) == 3
    assert compare(1, "off") == {"in batches": [], "continuously": []}
