"""One example of somebody's data -> messages with their pictures in place, whichever trainer it was written for.

| written for | the conversation | its pictures |
|---|---|---|
| transformers, ours | `messages`, or the list alone, of {role, content} | parts with `path`, `image`, `url`, `base64` |
| TRL | `messages`, or `prompt` and `completion` | `images` or `image`, at parts {"type": "image"} without a source |
| LLaMA-Factory, ms-swift | `messages`, or `query` and `response`, `instruction` and `output` | `images`, at `<image>` |
| LLaVA, ShareGPT | `conversations` of {from, value} | `image` or `images`, at `<image>` |
| DeepSeek-VL2 | the list alone, of {role: "<|User|>", content, images} | `images` of the turn, at its `<image>` |

A dialogue that the assistant begins follows an empty question. Pictures that the text has no place for go first. What
is neither read nor refused here is named, so that nothing is dropped in silence.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsvl2_app.errors import ImageError, PromptError
from dsvl2_app.finetune.objects import place_objects
from dsvl2_app.text.messages import ASSISTANT, IMAGE_TOKEN, USER, Message

TALKS = ("messages", "conversations", "conversation")
ANSWERED = {"prompt": "completion", "query": "response", "instruction": "output"}  # question: answer
ROLES = {
    **dict.fromkeys(("user", "human", USER), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "chatgpt", "bot", ASSISTANT), "assistant"),
    "system": "system",
}
UNREADABLE = {
    **dict.fromkeys(("videos", "video"), "videos; the model sees pictures alone"),
    **dict.fromkeys(("audios", "audio"), "sound; the model sees pictures alone"),
    **dict.fromkeys(("tools", "functions"), "tools; the model calls none"),
    **dict.fromkeys(("chosen", "rejected", "rejected_response", "rejected_messages"), "preferences, not answers"),
    **dict.fromkeys(("label", "labels", "kto_tag", "completions"), "judgements, not answers"),
}
SOURCES = ("image", "path", "url", "image_url", "base64", "bytes")


@dataclass(frozen=True, slots=True)
class PictureSource:
    """Where an image's pixels are: a file that is there, or what is in one."""

    source: Path | bytes


class Place:
    """Where an image goes that is named elsewhere."""


Part = str | PictureSource | Place


@dataclass(slots=True)
class Turn:
    role: str
    parts: list[Part] = field(default_factory=list)

    @property
    def places(self) -> int:
        return sum(isinstance(part, Place) for part in self.parts)

    @property
    def text(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def pictures(self) -> list[PictureSource]:
        return [part for part in self.parts if isinstance(part, PictureSource)]

    def fill(self, pictures: Iterator[PictureSource]) -> None:
        self.parts = [next(pictures) if isinstance(part, Place) else part for part in self.parts]


def read_example(value: Any, folder: Path) -> tuple[list[Message], set[str]]:
    """Messages, and the columns that nothing was read from; paths are seen from `folder`.

    Raises PromptError or ImageError; what a sentence says of a place, the caller adds.
    """
    columns = {"messages": value} if isinstance(value, list) else value
    if not isinstance(columns, dict):
        raise PromptError('there are no messages; write {"messages": [...]}.')
    columns = drop_empty(columns, keep=TALKS)
    for name in columns:
        if name in UNREADABLE:
            raise PromptError(f"the column {name!r} holds {UNREADABLE[name]}.")
    talk, used = _find_talk(columns)
    turns = [_read_turn(turn, number, folder) for number, turn in enumerate(talk, start=1)]
    _place_pictures(turns, _find_pictures(columns, folder))
    _place_system(turns, columns.get("system"))
    place_objects(turns, columns.get("objects"))
    _check(turns)
    return [_write(turn) for turn in turns], set(columns) - used - {"images", "image", "system", "objects"}


def drop_empty(columns: Mapping[str, Any], keep: Sequence[str] = ()) -> dict[str, Any]:
    """Without what tables pad their rows with."""
    return {name: value for name, value in columns.items() if name in keep or value not in (None, "", [], {})}


def _find_talk(columns: dict[str, Any]) -> tuple[list[Any], set[str]]:
    """The turns as they are written, and the columns that they come from."""
    found = [name for name in (*TALKS, *ANSWERED) if name in columns]
    if len(found) > 1 and set(found) & set(TALKS):
        raise PromptError(f"{found[0]!r} and {found[1]!r} both hold a conversation; keep one of them.")
    if not found:
        raise PromptError('there are no messages; write {"messages": [...]}.')
    (name, *_) = found
    if name in ANSWERED:
        return _join(columns, name), {name, ANSWERED[name], "history", "input"}
    talk = columns[name]
    if not isinstance(talk, list):
        raise PromptError(f"there are no messages; {name!r} must be a list of them.")
    turns: list[Any] = []
    for turn in talk:
        pair = isinstance(turn, dict) and "human" in turn  # ms-swift's {"human": question, "assistant": answer}
        turns += [{"role": role, "content": text} for role, text in turn.items()] if pair else [turn]
    return turns, {name}


def _join(columns: dict[str, Any], name: str) -> list[Any]:
    """A question and its answer, each of them text or messages, behind the earlier ones in `history`."""
    question, answer = columns[name], columns.get(ANSWERED[name])
    if answer is None:
        raise PromptError(f"{name!r} has no {ANSWERED[name]!r} beside it; only answers are learnt.")
    if isinstance(question, str) and name == "instruction" and columns.get("input"):
        question = f"{question}\n{columns['input']}"
    history = columns.get("history", [])
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        raise PromptError("'history' must be a list of pairs [question, answer].")
    talk: list[Any] = []
    for asked, said in [*history, (question, answer)]:
        talk += asked if isinstance(asked, list) else [{"role": "user", "content": asked}]
        talk += said if isinstance(said, list) else [{"role": "assistant", "content": said}]
    return talk


# ---- one turn ----------------------------------------------------------------------------------------------


def _read_turn(turn: Any, number: int, folder: Path) -> Turn:
    if not isinstance(turn, dict):
        raise PromptError(f"Message {number} must be {{role, content}}, not {str(turn)[:80]!r}.")
    turn = drop_empty(turn, keep=("role", "content", "from", "value"))
    role_key, text_key = ("from", "value") if "from" in turn else ("role", "content")
    role = ROLES.get(turn.get(role_key)) if isinstance(turn.get(role_key), str) else None
    if role is None or text_key not in turn:
        raise PromptError(
            f"Message {number} needs a {role_key} (user, assistant or system) and {text_key}; got {str(turn)[:80]!r}."
        )
    strange = set(turn) - {role_key, text_key, "images", "image"}
    if strange:
        raise PromptError(f"Message {number} has {min(strange)!r}, which cannot be learnt; take it out.")
    content = turn[text_key]
    if content is None:
        parts: list[Part] = []
    elif isinstance(content, str):
        parts = _split(content)
    else:
        items = content if isinstance(content, list) else [content]
        parts = [part for item in items for part in _read_part(item, number, folder)]
    read = Turn(role, parts)
    own = _find_pictures(turn, folder)
    if own:
        _fill([read], own, f"message {number}")
    return read


def _split(text: str) -> list[Part]:
    parts: list[Part] = []
    for number, piece in enumerate(text.split(IMAGE_TOKEN)):
        parts += [Place()] if number else []
        parts += [piece] if piece else []
    return parts


def _read_part(part: Any, number: int, folder: Path) -> list[Part]:
    if isinstance(part, str):
        return _split(part)
    part = drop_empty(part, keep=("text",)) if isinstance(part, dict) else {}
    kind = part.get("type")
    if kind == "text" and isinstance(part.get("text"), str):
        return _split(part["text"])
    if kind in ("image", "image_url"):
        sources = {name: part[name] for name in SOURCES if name in part}
        return [PictureSource(find_picture(sources, folder)) if sources else Place()]
    raise PromptError(
        f"Message {number} has a part that is neither text nor an image: {str(part)[:80]!r}; "
        'write {"type": "text", "text": ...} or {"type": "image", "path": ...}.'
    )


# ---- pictures ----------------------------------------------------------------------------------------------


def _find_pictures(columns: dict[str, Any], folder: Path) -> list[PictureSource]:
    if "images" in columns and "image" in columns:
        raise PromptError("'images' and 'image' both hold pictures; keep one of them.")
    named = columns.get("images", columns.get("image", []))
    return [PictureSource(find_picture(each, folder)) for each in (named if isinstance(named, list) else [named])]


def find_picture(named: Any, folder: Path) -> Path | bytes:
    """The file or the bytes that a path, a data URL or a dict with one of them names."""
    if isinstance(named, dict):
        known = [name for name in SOURCES if named.get(name) is not None]
        if known[:1] == ["base64"]:
            return _decode(named["base64"])
        named = named[known[0]] if known else None
        return find_picture(named, folder)
    if not isinstance(named, str):
        raise ImageError(f"a picture must be named by its path, not {str(named)[:40]!r}.")
    if named.startswith("data:"):
        return _decode(named.partition(",")[2])
    if named.startswith(("http://", "https://")):
        raise ImageError(f"{named[:80]} is an address, and nothing is downloaded; save it and give its path.")
    path = folder / named.removeprefix("file://")
    if not path.is_file():
        raise ImageError(f"there is no image {path}; paths are seen from the data's own folder, or from --images.")
    return path


def _decode(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise ImageError("a picture is no base64; write it again.") from None


def _place_pictures(turns: list[Turn], pictures: list[PictureSource]) -> None:
    if pictures or any(turn.places for turn in turns):
        _fill(turns, pictures, "the conversation")


def _fill(turns: list[Turn], pictures: list[PictureSource], where: str) -> None:
    """Put each picture into its place, or all of them first where there are no places."""
    places = sum(turn.places for turn in turns)
    if not places:
        first = next((turn for turn in turns if turn.role == "user"), turns[0] if turns else Turn("user"))
        first.parts = [each for picture in pictures for each in (picture, "\n")] + first.parts
        return
    if places != len(pictures):
        raise PromptError(
            f"{where} has {places} {IMAGE_TOKEN} and {len(pictures)} pictures; give each picture one place."
        )
    remaining = iter(pictures)
    for turn in turns:
        turn.fill(remaining)


# ---- the whole ---------------------------------------------------------------------------------------------


def _place_system(turns: list[Turn], system: Any) -> None:
    if system is None:
        return
    if not isinstance(system, str):
        raise PromptError("'system' must be text.")
    if turns and turns[0].role == "system":
        raise PromptError("there are two system prompts, one of them in 'system'; keep one.")
    turns.insert(0, Turn("system", [system]))


def _check(turns: list[Turn]) -> None:
    """Roles take turns, users alone show pictures, and every answer says something; an empty question goes first
    where the assistant begins."""
    if not turns:
        raise PromptError("The conversation is empty; write a message first.")
    for number, turn in enumerate(turns):
        if turn.role == "system" and number:
            raise PromptError(f"Message {number + 1} is a system prompt; only the first message can be one.")
        if turn.role != "user" and not all(isinstance(part, str) for part in turn.parts):
            whose = "the assistant's" if turn.role == "assistant" else "a system prompt"
            raise PromptError(f"Message {number + 1} is {whose} and holds an image; only users can show images.")
        if turn.role == "assistant" and not turn.text.strip():
            raise PromptError(f"Message {number + 1} is an answer without words; write what is to be learnt.")
        if number and turn.role == turns[number - 1].role:
            raise PromptError(f"Messages {number} and {number + 1} have the same role; join them into one.")
    if turns[-1].role != "assistant":
        raise PromptError("the last message is no answer; end with one of the assistant's.")
    first = int(turns[0].role == "system")
    if turns[first].role == "assistant":
        turns.insert(first, Turn("user"))


def _write(turn: Turn) -> Message:
    if all(isinstance(part, str) for part in turn.parts):
        return {"role": turn.role, "content": turn.text}
    content = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part.source}
        for part in turn.parts
        if not isinstance(part, Place)  # each of them has its picture by now
    ]
    return {"role": turn.role, "content": content}
