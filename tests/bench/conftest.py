from __future__ import annotations

import pytest

from bench import roofs


@pytest.fixture
def quick_roofs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Roofs measured with little, in no time."""
    monkeypatch.setattr(roofs, "SIZES", roofs.Sizes(2**20, 64, 0.0))
