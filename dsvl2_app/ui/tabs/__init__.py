"""The tabs of the page, each a folder with a class in its `tab` module. A new one is added to TABS."""

from __future__ import annotations

from dsvl2_app.ui.tabs.chat.tab import Chat
from dsvl2_app.ui.tabs.documents.tab import Documents
from dsvl2_app.ui.tabs.grounding.tab import Grounding
from dsvl2_app.ui.tabs.protocol import Tab
from dsvl2_app.ui.tabs.tiles.tab import Tiles

TABS: tuple[type[Tab], ...] = (Chat, Grounding, Documents, Tiles)
