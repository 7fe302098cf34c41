from __future__ import annotations

import pytest

from bench import overlay


@pytest.mark.slow
def test_drawing_and_html_are_timed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(overlay, "SIZE", (400, 300))
    result = overlay.measure(repeats=2)
    assert result["boxes"] == len(overlay.scatter_boxes()) == 100
    assert set(result["median"]) == {"first drawing", "drawing", "html"}
    assert all(seconds > 0 for seconds in result["median"].values())
    assert "100 boxes, drawing" in capsys.readouterr().out
