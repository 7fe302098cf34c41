from __future__ import annotations

from pathlib import Path

import pytest

from dsvl2_app.bundled import ASSETS, EXAMPLES, NANO, find_assets

ROOT = Path(__file__).parents[1]


def test_a_clone_uses_its_top_level_assets() -> None:
    assert ROOT / "assets" == ASSETS
    assert (NANO / "config.json").is_file() and (EXAMPLES / "examples.json").is_file()


@pytest.mark.slow
def test_an_installed_package_uses_the_copy_inside_it_whatever_lies_beside(tmp_path: Path) -> None:
    for folder in ("dsvl2_app/assets", "assets"):
        (tmp_path / folder).mkdir(parents=True)
    assert find_assets(tmp_path / "dsvl2_app") == tmp_path / "dsvl2_app" / "assets"
