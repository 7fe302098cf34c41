"""Messages of a client -> messages with references to pictures within the page's limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dsvl2_app.api.failures import ProtocolError
from dsvl2_app.backend.packing import NAME
from dsvl2_app.image.load import Limits
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.source import refer_to
from dsvl2_app.request import ModelCard
from dsvl2_app.text.messages import Message, Part, Picture, read_message
from dsvl2_app.text.tokens import check_count

Turn = tuple[str, list[Part]]  # role and parts


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the messages of one request after the other. Pictures come as data URLs, and from `domains` by http(s)."""

    card: ModelCard
    limits: Limits
    domains: tuple[str, ...]

    def read(self, messages: Sequence[dict[str, Any]], files: Sequence[bytes] = ()) -> list[Message]:
        """Takes long where pictures are fetched. Messages may name `files` that came with them, see backend/packing.
        Raises PromptError, ImageError or ProtocolError."""
        turns = _join(read_message(_rename(message), number, trusted=False) for number, message in enumerate(messages))
        if turns and turns[-1][0] != "user":
            raise ProtocolError(400, "The last message is not a user's; end with a question.", param="messages")
        pictures = sum(isinstance(part, Picture) for _, parts in turns for part in parts)
        check_count(pictures, self.card.geometry, self.card.context)
        return [{"role": role, "content": self._write(parts, files)} for role, parts in turns]

    def _write(self, parts: list[Part], files: Sequence[bytes]) -> str | list[dict[str, Any]]:
        if len(parts) == 1 and isinstance(parts[0], str):
            return parts[0]
        return [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "image", "image": self._refer(part.source, files)}
            for part in parts
        ]

    def _refer(self, source: Any, files: Sequence[bytes]) -> ImageRef:
        if isinstance(source, str) and source.startswith(NAME):
            number = source.removeprefix(NAME)
            if not number.isdecimal() or int(number) >= len(files):
                raise ProtocolError(400, "A picture names a file that did not come with it.", param="messages")
            return ImageRef.of(files[int(number)], limits=self.limits)
        if isinstance(source, str) and source.startswith("data:"):
            return refer_to(source, self.limits)
        if isinstance(source, str) and source.startswith(("http://", "https://")):
            return refer_to(source, self.limits, self.domains)
        raise ProtocolError(400, "A picture is no address; send it as data:image/png;base64,...", param="messages")


def _join(turns: Iterable[Turn]) -> list[Turn]:
    """Several messages of a user in a row are one question, a line each: some clients send pictures by themselves."""
    joined: list[Turn] = []
    for role, parts in turns:
        if role == "user" and joined and joined[-1][0] == "user":
            joined[-1] = (role, [*joined[-1][1], "\n", *parts])
        else:
            joined.append((role, parts))
    return joined


def _rename(message: Any) -> Any:
    """What newer clients call a developer's message is a system prompt."""
    if isinstance(message, dict) and message.get("role") == "developer":
        return {**message, "role": "system"}
    return message
