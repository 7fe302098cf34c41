"""Requests -> prompts, for callers in several threads."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from dsvl2_app.request import PromptPlan, Request

if TYPE_CHECKING:
    from dsvl2_app.text.processor import DeepseekVL2Processor
    from dsvl2_app.text.prompt import Message
    from dsvl2_app.text.tokens import Prompt


class Planner:
    """Builds one prompt at a time, because a tokenizer serves one thread."""

    def __init__(self, processor: DeepseekVL2Processor) -> None:
        self.processor = processor
        self._lock = threading.Lock()

    def build(self, request: Request, context: int | None = None) -> Prompt:
        """The prompt, with the tokens that its answer begins with. Raises PromptError or ImageError, and ContextError
        for what cannot fit into `context` tokens."""
        with self._lock:
            prompt = self.processor.build(
                request.messages,
                allow=request.allow,
                tiling=request.tiling,
                max_tiles=request.max_tiles,
                context=context,
            )
        return replace(prompt, input_ids=[*prompt.input_ids, *request.answer_prefix])

    def plan(self, messages: list[Message], tiling: bool | None, max_tiles: int | None, context: int) -> PromptPlan:
        """What a conversation would cost. Raises as `build` does."""
        prompt = self.build(Request(messages, tiling=tiling, max_tiles=max_tiles), context)
        decoded = sum(image.decoded for image in prompt.images)
        return PromptPlan(len(prompt.input_ids), tuple(prompt.layouts), context, decoded)
