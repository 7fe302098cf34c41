# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportIncompatibleMethodOverride=false
# transformers leaves some types open, and our methods take the options that this model has.
"""The face that transformers knows: messages or prompts with images -> model inputs, and the processor's files.

B prompts, T tokens, N tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from transformers import BatchFeature, PreTrainedTokenizerFast, ProcessorMixin

from dsvl2_app.errors import CheckpointError, PromptError, SettingsError
from dsvl2_app.hub import HUB_OPTIONS, TEXT_FILES, find_base, find_folder, is_adapter
from dsvl2_app.image.geometry import TileGeometry
from dsvl2_app.registration import register_processor
from dsvl2_app.text import tokenizer as files
from dsvl2_app.text.batch import collate, cut_to_length
from dsvl2_app.text.configuration import FILE_NAME, ProcessorConfig
from dsvl2_app.text.image_processor import DeepseekVL2ImageProcessor
from dsvl2_app.text.messages import IMAGE_TOKEN, ROLES, Message, is_mapping, is_several
from dsvl2_app.text.options import Options
from dsvl2_app.text.tokens import Prompt, PromptBuilder

# What Auto classes and pipelines hand on, which is not about the processor.
LOADING_NOTES = ("trust_remote_code", "code_revision")
REFUSED = ("chat_template", "tools", "documents")  # the prompt has one form, without tools


class DeepseekVL2Processor(ProcessorMixin):
    attributes = ["tokenizer"]  # noqa: RUF012
    tokenizer_class = "PreTrainedTokenizerFast"

    def __init__(self, tokenizer: PreTrainedTokenizerFast, **settings: Any) -> None:
        """`settings` are fields of `ProcessorConfig`; another name is a SettingsError."""
        self.config = ProcessorConfig.of({name: value for name, value in settings.items() if value is not None})
        files.add_special_tokens(tokenizer, self.config.pad_token)
        super().__init__(tokenizer)
        self.image_processor = DeepseekVL2ImageProcessor(self.config)
        self.prompts = PromptBuilder(tokenizer, self.image_processor)
        self.image_token_id = self.prompts.image_token_id

    def __getattr__(self, name: str) -> Any:
        """Fields of the configuration by their names, as transformers' tools read them."""
        config = vars(self).get("config")
        if config is None or name not in config.names():
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return config.to_dict()[name]

    @property
    def settings(self) -> dict[str, Any]:
        """processor_config.json, to be written back as it was."""
        return self.config.to_dict()

    @property
    def geometry(self) -> TileGeometry:
        return self.image_processor.geometry

    def build(self, messages: Sequence[Message], **options: Any) -> Prompt:
        """Tokenise a conversation: see `PromptBuilder.build`."""
        return self.prompts.build(messages, **options)

    def cut(self, built: Prompt) -> np.ndarray:
        """All tiles of a prompt's images, [N, side, side, 3] uint8, image after image."""
        return self.image_processor.cut(built.images, built.layouts)

    def normalise(self, tiles: np.ndarray | Tensor) -> Tensor:
        """Pixels [N, H, W, 3] uint8 -> [N, 3, H, W] float32 around 0."""
        return self.image_processor.normalise(tiles)

    def apply_chat_template(
        self,
        conversation: Sequence[Message] | Sequence[Sequence[Message]],
        *,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        return_assistant_tokens_mask: bool = False,
        tokenize: bool = False,
        return_dict: bool = False,
        return_tensors: Any = "auto",
        processor_kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> BatchFeature | str | list[Any]:
        """Messages (see `messages` for their spellings), or a list of such conversations, -> model inputs.

        Without `tokenize` the prompt as text, `<image>` standing for images, which may be missing still; without
        `return_dict` the ids alone, as lists unless tensors are asked for. `return_assistant_tokens_mask` adds
        assistant_masks [B, T], 1 where the assistant speaks. The rest are `Options`, and `images` for empty places.
        """
        batched = bool(conversation) and not isinstance(conversation[0], dict)
        conversations = cast("list[Sequence[Message]]", list(conversation) if batched else [conversation])
        ends: Any = dict(add_generation_prompt=add_generation_prompt, continue_final_message=continue_final_message)
        _check_ending(conversations if continue_final_message else ())
        read, images = _read_options(options, processor_kwargs or {}, return_tensors)
        if return_assistant_tokens_mask and not (tokenize and return_dict):
            raise SettingsError("return_assistant_tokens_mask needs tokenize=True and return_dict=True; set both.")
        if not tokenize:
            if images is not None:
                raise SettingsError("Text holds no images; give them with tokenize=True, or to the processor's call.")
            texts = [self.prompts.render(messages, **ends) for messages in conversations]
            return texts if batched else texts[0]
        built = [
            self.prompts.build(messages, tiling=read.tiling, max_tiles=read.max_tiles, images=_as_list(group), **ends)
            for messages, group in _pair(conversations, images, batched=batched)
        ]
        if return_dict or return_tensors not in (None, "auto"):
            features = self._collate(built, read, with_answers=return_assistant_tokens_mask)
            return features if return_dict else features["input_ids"]
        ids = [cut_to_length(each, self.tokenizer, read).input_ids for each in built]
        return ids if batched else ids[0]

    def __call__(self, images: Any = None, text: str | Sequence[str] | None = None, **options: Any) -> BatchFeature:
        """Prompts as text, with `<image>` where each image goes, -> model inputs.

        `images` is one image, or a list of them in the order of the texts, or a list for each text (None for one
        without images); `image.source` says what an image may be. `options` are `Options`: unless told otherwise
        tensors come back, padded on the left, and a begin token is put first where the text has none.
        """
        read = Options.read(options)
        texts = [text] if isinstance(text, str) else list(text or [])
        if not texts:
            raise PromptError("There is no text; pass the prompt as text, with <image> where each image goes.")
        if not all(isinstance(each, str) for each in texts):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PromptError("Each text must be a string, with <image> where each image goes.")
        groups = _share_out(images, texts)
        return self._collate(
            [
                self.prompts.build_text(each, group, read.tiling, read.max_tiles, begin=read.add_special_tokens)
                for each, group in zip(texts, groups, strict=True)
            ],
            read,
        )

    def _collate(self, prompts: Sequence[Prompt], options: Options, *, with_answers: bool = False) -> BatchFeature:
        prompts = [cut_to_length(each, self.tokenizer, options) for each in prompts]
        pixels = [self.normalise(self.cut(each)) for each in prompts if each.images]
        more = {"assistant_masks": ([each.answer_mask for each in prompts], 0)} if with_answers else {}
        return collate(prompts, torch.cat(pixels) if pixels else None, self.tokenizer, options, **more)

    def decode(self, ids: Any, skip_special_tokens: bool = False, **options: Any) -> str:
        """Text of ids; special tokens such as <|ref|> are part of answers, so they stay unless asked otherwise."""
        return self.tokenizer.decode(ids, skip_special_tokens=skip_special_tokens, **options)

    @property
    def model_input_names(self) -> list[str]:
        return ["input_ids", "attention_mask", "pixel_values", "images_seq_mask", "images_spatial_crop"]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> DeepseekVL2Processor:
        """Read processor_config.json and the tokenizer of a folder or repository in the official layout, or those of
        the model that an adapter is for.

        `options` say where to find it (`revision`, `token`, `cache_dir`, ...), are fields of `ProcessorConfig` to be
        changed, or the tokenizer's (its special tokens, `padding_side`, `truncation_side`, `model_max_length`).
        """
        options = {name: value for name, value in options.items() if value is not None}
        if "_from_pipeline" in options:  # which hands the options of the model to everybody
            known = (*HUB_OPTIONS, *files.OPTIONS, *ProcessorConfig.names())
            options = {name: value for name, value in options.items() if name in known}
        hub = {name: options.pop(name) for name in HUB_OPTIONS if name in options}
        texts = {name: options.pop(name) for name in files.OPTIONS if name in options}
        if "pad_token" in texts:
            options["pad_token"] = texts["pad_token"]
        changed = {
            name: value for name, value in options.items() if name not in LOADING_NOTES and not name.startswith("_")
        }
        ProcessorConfig.of(changed)
        folder = find_folder(pretrained_model_name_or_path, TEXT_FILES, **hub)
        if is_adapter(folder) and not (folder / FILE_NAME).exists():
            folder = find_base(folder, TEXT_FILES, **hub)
        try:
            config = ProcessorConfig.read(folder, **changed)
            processor = cls(files.read_tokenizer(folder, **texts), **config.to_dict())
            processor.tokenizer.padding_side = texts.get("padding_side", "left")
            return processor
        except CheckpointError:
            raise
        except Exception as error:  # a damaged tokenizer.json raises a bare Exception
            raise CheckpointError(
                f"{folder} has no usable {FILE_NAME} and tokenizer.json ({error}); give a whole checkpoint."
            ) from error

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        is_main_process: bool = True,
        push_to_hub: bool = False,
        max_shard_size: int | str | None = None,
        **options: Any,
    ) -> list[str]:
        """Write processor_config.json and the tokenizer's files, in the main one of several processes only.

        `max_shard_size` is about weights, of which there are none; transformers' own `push_to_hub` passes it.
        """
        refused = [name for name, value in {"push_to_hub": push_to_hub, **options}.items() if value]
        if refused:
            raise SettingsError(f"The processor's save_pretrained does not offer {refused[0]!r}; leave it out.")
        if not is_main_process:
            return []
        folder = Path(save_directory)
        return [*self.image_processor.save_pretrained(folder), *files.write_tokenizer(self.tokenizer, folder)]

    def to_dict(self) -> dict[str, Any]:
        return {**self.settings, "processor_class": type(self).__name__}


class DeepseekVLV2Processor(DeepseekVL2Processor):
    """The same under its official name, which processor_config.json carries and AutoProcessor looks for."""


register_processor(DeepseekVLV2Processor)


def _pair(
    conversations: Sequence[Sequence[Message]], images: Any, *, batched: bool
) -> Iterator[tuple[Sequence[Message], Any]]:
    """Each conversation with its images, or with None. Raises PromptError where their numbers differ."""
    groups = [None] * len(conversations) if images is None else list(images) if batched else [images]
    if len(groups) != len(conversations):
        raise PromptError(f"{len(groups)} lists of images come with {len(conversations)} conversations.")
    return zip(conversations, groups, strict=True)


def _share_out(images: Any, texts: Sequence[str]) -> list[list[Any]]:
    """One list of images for each text; a flat list is shared out by the `<image>` of the texts."""
    if isinstance(images, np.ndarray | Tensor) and images.ndim == 4:
        images = list(images)
    images = list(images) if is_several(images) else [images]
    if not any(map(is_several, images)):
        slots = [each.count(IMAGE_TOKEN) for each in texts]
        given = _as_list(images)
        if len(texts) == 1:
            return [given]
        if len(given) != sum(slots):
            raise PromptError(
                f"{len(texts)} texts come with one flat list of images, {len(given)} for {sum(slots)} <image> tokens; "
                "write one for each image, or pass one list of images per text."
            )
        remaining = iter(given)
        return [[next(remaining) for _ in range(count)] for count in slots]
    if len(images) != len(texts):
        raise PromptError(f"{len(images)} lists of images come with {len(texts)} texts; pass one list per text.")
    return [_as_list(group) for group in images]


def _as_list(images: Any) -> list[Any]:
    """The images of one prompt; None is no image."""
    return [each for each in (images if is_several(images) else [images]) if each is not None]


def _read_options(
    options: dict[str, Any], processor_kwargs: dict[str, Any], return_tensors: Any
) -> tuple[Options, Any]:
    """Those of apply_chat_template, and the images among them."""
    for name in REFUSED:
        if options.pop(name, None):
            raise SettingsError(f"The prompt of this model has one form and no {name}; leave {name} out.")
    if twice := sorted(options.keys() & processor_kwargs.keys()):
        raise SettingsError(f"The option {twice[0]!r} is given twice; give it once.")
    given = {**options, **processor_kwargs}
    images = given.pop("images", None)
    if return_tensors != "auto":
        given["return_tensors"] = return_tensors
    return Options.read(given), images


def _check_ending(conversations: Sequence[Sequence[Message]]) -> None:
    for messages in conversations:
        role = messages[-1].get("role") if messages and is_mapping(messages[-1]) else None
        if not isinstance(role, str) or ROLES.get(role) != "assistant":
            raise PromptError("continue_final_message continues an answer; end the conversation with the assistant's.")
