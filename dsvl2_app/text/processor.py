"""Messages with images -> model inputs, in the official checkpoint's terms.

B batch, T tokens, N tiles. The processor encodes special tokens in text as the official one does; callers with
untrusted text go through `build(..., allow=...)`, which neutralises them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import AddedToken, BatchFeature, PreTrainedTokenizerFast, ProcessorMixin

from dsvl2_app.errors import CheckpointError, PromptError
from dsvl2_app.hub import HUB_OPTIONS, TEXT_FILES, find_folder
from dsvl2_app.image.load import is_loaded, load_image
from dsvl2_app.image.tiles import TileGeometry, TileLayout, cut_tiles, lay_out
from dsvl2_app.registration import register_processor
from dsvl2_app.text import prompt
from dsvl2_app.text.prompt import IMAGE_TOKEN, Begin, End, ImageSlot, Message

CONFIG_NAME = "processor_config.json"
MOST_TILED_IMAGES = 2  # with more images in the conversation, every one is a single tile
SPECIAL_TOKENS = (
    IMAGE_TOKEN,
    "<|ref|>",
    "<|/ref|>",
    "<|det|>",
    "<|/det|>",
    "<|grounding|>",
    prompt.USER,
    prompt.ASSISTANT,
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A tokenised conversation: T ids, and for each image its pixels' source, its tiles and its place in the ids."""

    input_ids: list[int]
    images: list[Image.Image]
    layouts: list[TileLayout]
    starts: list[int]  # index of each image's first token
    opening: int = 0  # tokens up to the end of the last image that nobody's words come before

    @property
    def image_mask(self) -> Tensor:
        """[T] bool, True where an image's embeds go."""
        mask = torch.zeros(len(self.input_ids), dtype=torch.bool)
        for start, layout in zip(self.starts, self.layouts, strict=True):
            mask[start : start + layout.num_tokens] = True
        return mask


class DeepseekVL2Processor(ProcessorMixin):
    attributes = ["tokenizer"]  # noqa: RUF012
    tokenizer_class = "PreTrainedTokenizerFast"

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        candidate_resolutions: Sequence[Sequence[int]] = TileGeometry().candidates,
        patch_size: int = 14,
        downsample_ratio: int = 2,
        image_mean: Sequence[float] = (0.5, 0.5, 0.5),
        image_std: Sequence[float] = (0.5, 0.5, 0.5),
        normalize: bool = True,
        image_token: str = IMAGE_TOKEN,
        pad_token: str = "<｜▁pad▁｜>",
        add_special_token: bool = False,
        sft_format: str = "deepseek",
        mask_prompt: bool = True,
        ignore_id: int = -100,
        **_: Any,
    ) -> None:
        self.settings = {  # processor_config.json, to be written back as it was
            "candidate_resolutions": [list(pair) for pair in candidate_resolutions],
            "patch_size": patch_size,
            "downsample_ratio": downsample_ratio,
            "image_mean": list(image_mean),
            "image_std": list(image_std),
            "normalize": normalize,
            "image_token": image_token,
            "pad_token": pad_token,
            "add_special_token": add_special_token,
            "sft_format": sft_format,
            "mask_prompt": mask_prompt,
            "ignore_id": ignore_id,
        }
        if sft_format != "deepseek" or image_token != IMAGE_TOKEN:
            raise CheckpointError(
                f"{CONFIG_NAME} asks for sft_format {sft_format!r} and image token {image_token!r}; "
                f"only 'deepseek' and {IMAGE_TOKEN!r} are known."
            )
        add_special_tokens(tokenizer, pad_token)
        self.chat_template = None
        super().__init__(tokenizer)
        self.geometry = TileGeometry(
            tile=candidate_resolutions[0][0],
            patch=patch_size,
            downsample=downsample_ratio,
            candidates=tuple((int(w), int(h)) for w, h in candidate_resolutions),
        )
        self._longest_token = max(map(len, tokenizer.get_vocab()))  # of bytes, so of characters at the most
        self.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (image_mean, image_std))
        self._scale = (mean, std) if normalize else (torch.zeros(3, 1, 1), torch.ones(3, 1, 1))

    # -- prompt ---------------------------------------------------------------------------------------------

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
    ) -> Prompt:
        """Tokenise a conversation.

        With `allow`, special tokens in user and system text become ordinary ones except those named, the assistant's
        earlier answers keep only grounding tokens, and no file is opened by its name; without it, all of that is
        trusted. `tiling` None is the official rule: on for at most two images in the whole conversation; `max_tiles`
        bounds each grid. Text that cannot fit into `context` tokens is refused before it is tokenised: that takes long.
        """
        pieces, sources = prompt.compose(
            messages, answer_next=add_generation_prompt, continue_answer=continue_final_message
        )
        if allow is not None and any(isinstance(source, str | Path) for source in sources):
            raise PromptError("A picture of the conversation is the name of a file; send the picture itself.")
        characters = sum(len(text.content) for piece in pieces if isinstance(piece, list) for text in piece)
        if context and characters > context * self._longest_token:
            raise PromptError(
                "The conversation has {characters:,} characters, more than {context:,} tokens hold; write less.",
                characters=characters,
                context=context,
            )
        images, layouts = self._lay_out(sources, tiling, max_tiles)
        ids: list[int] = []
        starts: list[int] = []
        opening, wordless = 0, True
        for piece in pieces:
            if isinstance(piece, Begin):
                ids.append(self.tokenizer.bos_token_id)
            elif isinstance(piece, End):
                ids.append(self.tokenizer.eos_token_id)
            elif isinstance(piece, ImageSlot):
                starts.append(len(ids))
                ids += [self.image_token_id] * layouts[piece.index].num_tokens
                opening = len(ids) if wordless else opening
            else:
                ids += self._encode(piece, allow)
                wordless = wordless and all(text.author == "template" or text.content.isspace() for text in piece)
        return Prompt(ids, images, layouts, starts, opening)

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

    def _lay_out(
        self, sources: Sequence[Any], tiling: bool | None, max_tiles: int | None = None
    ) -> tuple[list[Image.Image], list[TileLayout]]:
        images = [source if is_loaded(source) else load_image(source) for source in sources]
        tiled = len(images) <= MOST_TILED_IMAGES if tiling is None else tiling
        return images, [lay_out(*image.size, self.geometry, tiling=tiled, max_tiles=max_tiles) for image in images]

    # -- pixels ---------------------------------------------------------------------------------------------

    def cut(self, built: Prompt) -> np.ndarray:
        """All tiles of a prompt's images, [N, side, side, 3] uint8, image after image."""
        side = self.geometry.tile
        tiles = [cut_tiles(image, layout) for image, layout in zip(built.images, built.layouts, strict=True)]
        return np.concatenate(tiles) if tiles else np.zeros((0, side, side, 3), np.uint8)

    def normalise(self, tiles: np.ndarray | Tensor) -> Tensor:
        """Pixels [N, H, W, 3] uint8 -> [N, 3, H, W] float32 around 0."""
        pixels = torch.as_tensor(tiles).permute(0, 3, 1, 2)
        pixels = pixels.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        mean, std = self._scale
        return pixels.sub_(mean.to(pixels.device)).div_(std.to(pixels.device))

    # -- transformers' interface ----------------------------------------------------------------------------

    def apply_chat_template(
        self,
        conversation: Sequence[Message] | Sequence[Sequence[Message]],
        *,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tokenize: bool = False,
        return_dict: bool = False,
        return_tensors: str | None = None,
        tiling: bool | None = None,
        **_: Any,
    ) -> BatchFeature | str | list[Any]:
        """Messages, or a list of such conversations, -> model inputs padded on the left.

        Without `tokenize` the prompt as text, `<image>` standing for images; without `return_dict` the ids alone.
        Parts of a message may stand in any order, and content may be a plain string.
        """
        batched = bool(conversation) and not isinstance(conversation[0], dict)
        conversations = conversation if batched else [conversation]
        options = dict(add_generation_prompt=add_generation_prompt, continue_final_message=continue_final_message)
        if not tokenize:
            texts = [self._render(messages, **options) for messages in conversations]
            return texts if batched else texts[0]
        built = [self.build(messages, tiling=tiling, **options) for messages in conversations]
        if not return_dict and return_tensors is None:
            return [each.input_ids for each in built] if batched else built[0].input_ids
        features = self._collate(built)
        return features if return_dict else features["input_ids"]

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        *,
        return_tensors: str | None = "pt",
        tiling: bool | None = None,
        **_: Any,
    ) -> BatchFeature:
        """Prompts as text, with `<image>` where each image goes, -> model inputs padded on the left.

        `images` is one image, a list for one text, or a list of lists for several. A begin token is put first
        where the text has none.
        """
        texts = [text] if isinstance(text, str) else list(text or [])
        if not texts:
            raise PromptError("There is no text; pass the prompt as text, with <image> where each image goes.")
        if images is None:
            images = []
        elif not isinstance(images, list | tuple):
            images = [images]
        nested = bool(images) and isinstance(images[0], list | tuple)
        if not nested and len(texts) > 1 and images:
            raise PromptError(
                f"{len(texts)} texts come with one flat list of images; pass one list of images per text."
            )
        groups = images if nested else [images] + [[]] * (len(texts) - 1)
        if len(groups) != len(texts):
            raise PromptError(f"{len(groups)} lists of images come with {len(texts)} texts; pass one list per text.")
        return self._collate([self._build_text(*pair, tiling) for pair in zip(texts, groups, strict=True)])

    def _build_text(self, text: str, images: Sequence[Any], tiling: bool | None) -> Prompt:
        strings = text.removeprefix(self.tokenizer.bos_token).split(IMAGE_TOKEN)
        _check_slots(len(strings) - 1, len(images))
        loaded, layouts = self._lay_out(images, tiling)
        ids, starts = [self.tokenizer.bos_token_id], []
        for number, string in enumerate(strings):
            if number:
                starts.append(len(ids))
                ids += [self.image_token_id] * layouts[number - 1].num_tokens
            # an answer is tokenised by itself, so nothing merges across the colon before it
            for piece in re.split(f"(?<={re.escape(prompt.ASSISTANT)}:)", string):
                ids += self.tokenizer.encode(piece, add_special_tokens=False)
        return Prompt(ids, loaded, layouts, starts)

    def _render(self, messages: Sequence[Message], **options: bool) -> str:
        pieces, _ = prompt.compose(
            messages,
            answer_next=options["add_generation_prompt"],
            continue_answer=options["continue_final_message"],
        )
        marks = {Begin: self.tokenizer.bos_token, End: self.tokenizer.eos_token, ImageSlot: IMAGE_TOKEN}
        return "".join(marks.get(type(piece)) or "".join(text.content for text in piece) for piece in pieces)

    def _collate(self, prompts: Sequence[Prompt]) -> BatchFeature:
        """A batch padded on the left; without any image, no pixels."""
        longest = max(len(each.input_ids) for each in prompts)
        most_images = max(1, *(len(each.images) for each in prompts))
        input_ids = torch.full((len(prompts), longest), self.tokenizer.pad_token_id)
        attention_mask = torch.zeros(len(prompts), longest, dtype=torch.bool)
        images_seq_mask = torch.zeros(len(prompts), longest, dtype=torch.bool)
        images_spatial_crop = torch.zeros(len(prompts), most_images, 2, dtype=torch.long)
        for row, each in enumerate(prompts):
            start = longest - len(each.input_ids)
            input_ids[row, start:] = torch.tensor(each.input_ids)
            attention_mask[row, start:] = True
            images_seq_mask[row, start:] = each.image_mask
            for number, layout in enumerate(each.layouts):
                images_spatial_crop[row, number] = torch.tensor(layout.grid)
        data = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "images_seq_mask": images_seq_mask,
            "images_spatial_crop": images_spatial_crop,
        }
        if any(each.images for each in prompts):
            data["pixel_values"] = torch.cat([self.normalise(self.cut(each)) for each in prompts])
        return BatchFeature(data)

    def decode(self, ids: Any, skip_special_tokens: bool = False, **options: Any) -> str:
        """Text of ids; special tokens such as <|ref|> are part of answers, so they stay unless asked otherwise."""
        return self.tokenizer.decode(ids, skip_special_tokens=skip_special_tokens, **options)

    @property
    def model_input_names(self) -> list[str]:
        return ["input_ids", "attention_mask", "pixel_values", "images_seq_mask", "images_spatial_crop"]

    # -- files ----------------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> DeepseekVL2Processor:
        """Read processor_config.json and the tokenizer of a folder or repository in the official layout."""
        hub = {name: options[name] for name in HUB_OPTIONS if name in options}
        folder = find_folder(pretrained_model_name_or_path, TEXT_FILES, **hub)
        try:
            settings = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
            # The raw tokenizer.json: the class named in tokenizer_config.json would put Llama's own rules into it.
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
            return cls(tokenizer, **settings)
        except CheckpointError:
            raise
        except Exception as error:  # a damaged tokenizer.json raises a bare Exception
            raise CheckpointError(
                f"{folder} has no usable {CONFIG_NAME} and tokenizer.json ({error}); give a whole checkpoint."
            ) from error

    def save_pretrained(self, save_directory: str | Path, **_: Any) -> list[str]:
        """Write processor_config.json and the tokenizer's files."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        settings = {**self.settings, "processor_class": "DeepseekVLV2Processor"}
        (folder / CONFIG_NAME).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return [str(folder / CONFIG_NAME), *self.tokenizer.save_pretrained(folder)]


class DeepseekVLV2Processor(DeepseekVL2Processor):
    """The same under its official name, which processor_config.json carries and AutoProcessor looks for."""


register_processor(DeepseekVLV2Processor)


def add_special_tokens(tokenizer: PreTrainedTokenizerFast, pad_token: str) -> None:
    """Give a tokenizer what it lacks, in the official order, which decides the ids."""
    if tokenizer.pad_token is None:
        tokenizer.add_special_tokens({"pad_token": pad_token})
    known = tokenizer.get_vocab()
    lacking = [AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS if token not in known]
    tokenizer.add_tokens(lacking, special_tokens=True)
    tokenizer.padding_side = "left"


def _check_slots(slots: int, images: int) -> None:
    if slots != images:
        raise PromptError(f"The text has {slots} <image> tokens for {images} images; write one for each image.")
