"""Pictures drawn by programs that know the truth of what they draw: seed -> Scene, endless and fast."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from nano.scenes import charts, documents, screens, shapes
from nano.scenes.scene import Scene, SceneObject
from nano.scenes.sizes import Level

FAMILIES: dict[str, Callable[[Random, Level], Scene]] = {
    "shapes": shapes.render,
    "documents": documents.render,
    "charts": charts.render,
    "screens": screens.render,
}

__all__ = ["FAMILIES", "Level", "Scene", "SceneObject", "render"]


def render(family: str, rng: Random, level: Level = Level()) -> Scene:  # noqa: B008 - frozen value
    """A scene of this family with at least one object."""
    while True:
        scene = FAMILIES[family](rng, level)
        if scene.objects:
            return scene
