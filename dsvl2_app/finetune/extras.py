"""Packages that only training needs, so that serving a model installs without them."""

from __future__ import annotations

from importlib.util import find_spec

from dsvl2_app.errors import SettingsError


def require(*packages: str) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise SettingsError(f"{' and '.join(missing)} is not installed; run `pip install {' '.join(missing)}` first.")
