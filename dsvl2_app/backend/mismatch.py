"""Whether a server elsewhere has the checkpoint that --model names, as far as it tells."""

from __future__ import annotations

from dsvl2_app.backend.servers import Server
from dsvl2_app.image.geometry import TileGeometry
from dsvl2_app.settings import RELEASED

BUNDLED = "nano"
NOTICE = (
    "The model's server has another checkpoint than --model names, so the tokens and tiles counted here are not those "
    "that it counts."
)


def find_mismatch(server: Server, geometry: TileGeometry, source: str) -> str:
    """What differs, in a few words; "" where nothing is known to. `source` is what --model names."""
    theirs = server.told.get("geometry")
    if theirs is not None and theirs != geometry.describe():
        return "it cuts pictures into other tiles"
    if source == BUNDLED and not server.is_ours:
        return f"only this app serves {BUNDLED}"
    root = str(server.card.get("source") or server.model.get("root") or "")
    ours, its = find_released(source), find_released(root)
    return f"it serves {its}, not {ours}" if ours and its and ours != its else ""


def find_released(source: str) -> str:
    """The released model of a repository's name or a folder's; "" of any other."""
    name = source.rstrip("/").rpartition("/")[2].casefold()
    return next((each for each in RELEASED.values() if each.endswith(f"/{name}")), "")
