"""A conversation of the Chat tab to and from the visitor's disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from dsvl2_app.errors import PromptError
from dsvl2_app.image.load import Limits
from dsvl2_app.ui.gradio_quirks import upload_folder
from dsvl2_app.ui.tabs.chat.archive import read_archive, write_archive, write_markdown
from dsvl2_app.ui.tabs.chat.conversation import Conversation
from dsvl2_app.ui.tabs.chat.parts import ChatPage
from dsvl2_app.ui.uploads import uploaded_path
from dsvl2_app.ui.words import wording


class Transfer:
    """Exports a conversation and imports one. A file that cannot be read changes nothing."""

    def __init__(self, limits: Limits, page: ChatPage) -> None:
        self.limits = limits
        self.page = page

    def export(self, conversation: Conversation) -> str:
        with _new_folder(conversation) as folder:
            return str(write_archive(conversation, folder / "conversation.zip"))

    def write_markdown(self, conversation: Conversation) -> str:
        with _new_folder(conversation) as folder:
            path = folder / "conversation.md"
            path.write_text(write_markdown(conversation), encoding="utf-8")
            return str(path)

    def receive(self, file: Any, conversation: Conversation) -> dict[Any, Any]:
        try:
            imported = read_archive(uploaded_path(file), self.limits)
        except Exception as error:
            return {self.page.notice: wording.show_notice(error)}
        conversation.abandon(imported)
        imported.before = conversation if conversation.turns else None
        return {self.page.conversation: imported, **self.page.show_new(imported)}


@contextmanager
def _new_folder(conversation: Conversation) -> Iterator[Path]:
    """A folder to write it into, which is removed where that fails. Raises PromptError where there is nothing to
    write."""
    if not conversation.turns:
        raise PromptError("There is no conversation yet; ask something first.")
    uploads = upload_folder()
    uploads.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(dir=uploads))
    try:
        yield folder
    except BaseException:
        rmtree(folder, ignore_errors=True)
        raise
