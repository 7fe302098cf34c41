"""Where the files lie that come with the code: nano, example pictures, the page's style sheet and scripts.

Their source is the folder `assets` beside the package, where a Space looks for them. A wheel has a copy inside the
package, because pip installs nothing beside a package; pyproject.toml and setup.py map the one to the other.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def find_assets(package: Path = _PACKAGE) -> Path:
    """The copy inside an installed package, else the source beside it in a clone."""
    inside = package / "assets"
    return inside if inside.is_dir() else package.parent / "assets"


ASSETS = find_assets()
NANO = ASSETS / "nano"
EXAMPLES = ASSETS / "examples"


def read_asset(name: str) -> str:
    """The text of a script."""
    return (ASSETS / name).read_text(encoding="utf-8")
