# pyright: reportUnknownMemberType=false
# PyTorch and transformers leave some of their types open.
"""The official prompt -> token ids, and where in them the images and the assistant's words are.

T tokens. Special tokens in text are encoded as the official processor does; callers with untrusted text go through
`build(..., allow=...)`, which neutralises them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from dsvl2_app.errors import ContextError, PromptError
from dsvl2_app.image.geometry import TileGeometry
from dsvl2_app.image.load import is_loaded
from dsvl2_app.image.reference import ImageRef
from dsvl2_app.image.tiles import TileLayout, lay_out
from dsvl2_app.text import prompt
from dsvl2_app.text.image_processor import DeepseekVL2ImageProcessor
from dsvl2_app.text.messages import IMAGE_TOKEN, OPEN, Message, fill_places
from dsvl2_app.text.prompt import Begin, End, ImageSlot


@dataclass(frozen=True, slots=True)
class Prompt:
    """A tokenised conversation: T ids, and for each image its tiles and its place in the ids."""

    input_ids: list[int]
    images: list[ImageRef]
    layouts: list[TileLayout]
    starts: list[int]  # index of each image's first token
    shareable_prefix: int = 0  # tokens up to the end of the last image that nobody's words come before
    answers: tuple[tuple[int, int], ...] = ()  # start and end of what the assistant says, its end tokens included

    @property
    def image_mask(self) -> Tensor:
        """[T] bool, True where an image's embeds go."""
        mask = torch.zeros(len(self.input_ids), dtype=torch.bool)
        for start, layout in zip(self.starts, self.layouts, strict=True):
            mask[start : start + layout.num_tokens] = True
        return mask

    @property
    def answer_mask(self) -> list[int]:
        """[T], 1 where the assistant speaks."""
        mask = [0] * len(self.input_ids)
        for start, end in self.answers:
            mask[start:end] = [1] * (end - start)
        return mask

    def cut_to(self, length: int) -> Prompt:
        """Its first `length` tokens. Raises PromptError where an image is among the rest."""
        if len(self.input_ids) <= length:
            return self
        for number, (start, layout) in enumerate(zip(self.starts, self.layouts, strict=True), start=1):
            if start + layout.num_tokens > length:
                raise PromptError(
                    "The prompt has {tokens} tokens, and cutting it to {length} would cut picture {number}; "
                    "allow more tokens, or show fewer or squarer pictures.",
                    tokens=len(self.input_ids),
                    length=length,
                    number=number,
                )
        answers = tuple((start, min(end, length)) for start, end in self.answers if start < length)
        return replace(self, input_ids=self.input_ids[:length], answers=answers)


class PromptBuilder:
    def __init__(self, tokenizer: PreTrainedTokenizerFast, images: DeepseekVL2ImageProcessor) -> None:
        self.tokenizer, self.images = tokenizer, images
        self.image_token_id = cast("int", tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))
        self._longest_token = max(map(len, tokenizer.get_vocab()))  # of bytes, so of characters at the most

    def build(
        self,
        messages: Sequence[Message],
        *,
        allow: frozenset[str] | None = None,
        tiling: bool | None = None,
        max_tiles: int | None = None,
        context: int | None = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        images: Sequence[Any] | None = None,
    ) -> Prompt:
        """Tokenise a conversation (see `messages` for its spellings).

        With `allow`, special tokens in user and system text become ordinary ones except those named, the assistant's
        earlier answers keep only grounding tokens, and nothing is opened by its name; without it, all of that is
        trusted. `tiling` None is the official rule: on for at most two images in the whole conversation; `max_tiles`
        bounds each grid. Text and pictures that cannot fit into `context` tokens are refused before they are
        tokenised and measured: that takes long. `images` are the pictures of the places that hold none.
        """
        pieces, sources = prompt.compose(
            messages,
            answer_next=add_generation_prompt,
            continue_answer=continue_final_message,
            trusted=allow is None,
        )
        if allow is not None and any(isinstance(source, str | Path) for source in sources):
            raise PromptError("A picture of the conversation is the name of a file; send the picture itself.")
        if images is not None or any(source is OPEN for source in sources):
            sources = fill_places(sources, images or [])
        if context:
            self._check_context(pieces, sources, context)
        return self._join(pieces, *self.images.lay_out(sources, tiling, max_tiles), allow)

    def build_text(
        self,
        text: str,
        images: Sequence[Any],
        tiling: bool | None = None,
        max_tiles: int | None = None,
        *,
        begin: bool = True,
    ) -> Prompt:
        """Tokenise a prompt that is text already, `<image>` standing for images; `begin` puts a begin token first
        where there is none."""
        strings = (text.removeprefix(cast("str", self.tokenizer.bos_token)) if begin else text).split(IMAGE_TOKEN)
        sources = fill_places([OPEN] * (len(strings) - 1), images)
        measured, layouts = self.images.lay_out(sources, tiling, max_tiles)
        ids = [cast("int", self.tokenizer.bos_token_id)] if begin else []
        starts: list[int] = []
        for number, string in enumerate(strings):
            if number:
                starts.append(len(ids))
                ids += [self.image_token_id] * layouts[number - 1].num_tokens
            # an answer is tokenised by itself, so nothing merges across the colon before it
            for piece in re.split(f"(?<={re.escape(prompt.ASSISTANT)}:)", string):
                ids += self.tokenizer.encode(piece, add_special_tokens=False)
        return Prompt(ids, measured, layouts, starts)

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool, continue_final_message: bool) -> str:
        """A conversation as text, `<image>` standing for images, which may be missing still."""
        pieces, _ = prompt.compose(messages, answer_next=add_generation_prompt, continue_answer=continue_final_message)
        special = {Begin: self.tokenizer.bos_token, End: self.tokenizer.eos_token, ImageSlot: IMAGE_TOKEN}
        marks = cast("dict[type, str]", special)
        return "".join(
            "".join(text.content for text in piece) if isinstance(piece, list) else marks[type(piece)]
            for piece in pieces
        )

    def _check_context(self, pieces: Sequence[prompt.Piece], sources: Sequence[Any], context: int) -> None:
        characters = sum(len(text.content) for piece in pieces if isinstance(piece, list) for text in piece)
        if characters > context * self._longest_token:
            raise ContextError(
                "The conversation has {characters:,} characters, more than {context:,} tokens hold; write less.",
                characters=characters,
                context=context,
            )
        if not all(isinstance(source, ImageRef) or is_loaded(source) for source in sources):
            check_count(len(sources), self.images.geometry, context)

    def _join(
        self,
        pieces: Sequence[prompt.Piece],
        images: list[ImageRef],
        layouts: list[TileLayout],
        allow: frozenset[str] | None,
    ) -> Prompt:
        ids: list[int] = []
        starts: list[int] = []
        answers: list[tuple[int, int]] = []
        begin, end = cast("tuple[int, int]", (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id))
        shareable, wordless = 0, True
        for piece in pieces:
            start = len(ids)
            if isinstance(piece, Begin):
                ids.append(begin)
            elif isinstance(piece, End):
                ids.append(end)
            elif isinstance(piece, ImageSlot):
                starts.append(len(ids))
                ids += [self.image_token_id] * layouts[piece.index].num_tokens
                shareable = len(ids) if wordless else shareable
            else:
                ids += self._encode(piece, allow)
                wordless = wordless and all(text.author == "template" or text.content.isspace() for text in piece)
            if isinstance(piece, End) or (isinstance(piece, list) and piece and piece[0].author == "assistant"):
                answers.append((start, len(ids)))
        return Prompt(ids, images, layouts, starts, shareable, tuple(answers))

    def _encode(self, texts: Sequence[prompt.Text], allow: frozenset[str] | None) -> list[int]:
        """Ids of texts that follow each other, as one string unless a special token in them must be broken up."""
        strings, special = [""], tuple(self.tokenizer.get_added_vocab())  # 800 in the released ones, and users may add
        for text in texts:
            pieces = [text.content]
            if allow is not None and text.author != "template":
                allowed = prompt.ANSWER_TOKENS if text.author == "assistant" else allow
                pieces = prompt.split_special(text.content, special, allowed)
            strings[-1] += pieces[0]
            strings += pieces[1:]
        return [token for string in strings for token in self.tokenizer.encode(string, add_special_tokens=False)]


def check_count(pictures: int, geometry: TileGeometry, context: int) -> None:
    """Refuse more pictures than fit into `context` tokens with a single tile each; nothing is decoded for that."""
    each = lay_out(1, 1, geometry, tiling=False).num_tokens
    if pictures * each > context:
        raise ContextError(
            "The conversation has {pictures} pictures of at least {tokens} tokens each, more than {context:,} tokens "
            "hold; remove some.",
            pictures=pictures,
            tokens=each,
            context=context,
        )
