"""Scene -> questions with answers. Each family has a table of tasks with how often each is asked."""

from __future__ import annotations

from random import Random

from nano.scenes.scene import Scene
from nano.tasks import boxes, charts, documents, screens, shapes, things
from nano.tasks.turn import Task, Turn

TASKS: dict[str, dict[str, tuple[Task, float]]] = {
    "shapes": shapes.TASKS,
    "documents": documents.TASKS,
    "charts": charts.TASKS,
    "screens": screens.TASKS,
    "things": things.TASKS,
}


def ask(scene: Scene, rng: Random, task: str) -> Turn | None:
    """One question of this task, or None where the scene holds nothing to ask."""
    return TASKS[scene.family][task][0](scene, rng)


def ask_some(scene: Scene, rng: Random, count: int) -> list[Turn]:
    """Up to `count` different questions about a scene, chosen by the weights of its family's tasks."""
    tasks = TASKS[scene.family]
    if not scene.objects:
        return []
    turns: dict[str, Turn] = {}
    for name in rng.choices(list(tasks), [weight for _, weight in tasks.values()], k=3 * count):
        turn = tasks[name][0](scene, rng)
        if turn is not None:
            turns.setdefault(turn.question, turn)
            if len(turns) == count:
                break
    return list(turns.values())


def follow_up(scene: Scene, rng: Random) -> list[Turn]:
    """A conversation whose later questions say "it"; empty for families that have none."""
    return boxes.converse(scene, rng) if scene.family == "shapes" else []
