"""A backend without a model: it says what it is told to say. For tests, screenshots and work on the page."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dsvl2_app.backend.stream import Stream
from dsvl2_app.image.geometry import RELEASED_GEOMETRY
from dsvl2_app.image.tiles import TileLayout, lay_out_all
from dsvl2_app.inspection import Inspection
from dsvl2_app.inspection.record import NEAREST, PLACES
from dsvl2_app.request import Capabilities, Event, Health, ModelCard, PromptPlan, Request, Timings
from dsvl2_app.settings import Settings
from dsvl2_app.text.prompt import Message
from dsvl2_app.text.repetition import Repetition

ALL = Capabilities(grammar=True, inspection=True)
KEPT = 1000  # requests
PIECE = 7  # letters of what takes the place of a token
CARD = ModelCard(
    name="script",
    source="a script",
    notice="There is no model behind this page: every answer is the same.",
    parameters=12_345_678,
    active_parameters=5_000_000,
    dtype="float32",
    device="cpu",
    context=4096,
    geometry=RELEASED_GEOMETRY,
)


@dataclass
class ScriptedBackend:
    """Each answer is written by a thread of its own, so none waits for another."""

    say: str | Exception = "Hello."  # the answer, or what goes wrong
    endless: bool = False  # says it again and again until it is cancelled
    pause: float = 0.01  # seconds a piece
    card: ModelCard = CARD
    capabilities: Capabilities = ALL
    requests: list[Request] = field(default_factory=list)  # the last KEPT that were submitted
    closed: threading.Event = field(default_factory=threading.Event)  # set whenever an answer ends

    def plan(self, messages: list[Message], tiling: bool | None = None, max_tiles: int | None = None) -> PromptPlan:
        """One token of text, and those of the pictures."""
        layouts = lay_out_all(_find_sizes(messages), self.card.geometry, tiling, max_tiles)
        return PromptPlan(1 + sum(layout.num_tokens for layout in layouts), tuple(layouts), self.card.context)

    def submit(self, request: Request) -> Stream:
        stream = Stream()
        stream.put(Event("queued", done=1, total=1))
        self.requests.append(request)
        del self.requests[:-KEPT]
        self.closed.clear()
        threading.Thread(target=self._write, args=(stream, request), name="script", daemon=True).start()
        return stream

    def inspect(self, request: Request, answer_ids: Sequence[int]) -> Stream:
        """Attention that is the same everywhere, and tiles of which none is like another."""
        stream = Stream()
        layouts = self.plan(request.messages, request.tiling, request.max_tiles).layouts
        found = _look_evenly(layouts, len(answer_ids))
        stream.put(Event("prefill", done=found.prompt_tokens, total=found.prompt_tokens))
        stream.put(Event("done", finish="eos", inspection=found))
        stream.end()
        return stream

    def health(self) -> Health:
        return Health(alive=True)

    def close(self) -> None:
        """Its threads end with the process."""

    def _write(self, stream: Stream, request: Request) -> None:
        try:
            timings = Timings(tiles=3, encoded_tiles=2, vision=0.5, prefill=0.25, prompt_tokens=900)
            stream.put(Event("vision", done=2, total=2, timings=timings))
            if isinstance(self.say, Exception):
                raise self.say
            pieces = [self.say[start : start + PIECE] for start in range(0, len(self.say), PIECE)]
            repetition = Repetition()
            while pieces and not (stream.is_cancelled or repetition.found):
                timings = replace(timings, new_tokens=timings.new_tokens + 1, decode=timings.decode + 0.1)
                stream.put(Event("decode", pieces[0], 5, timings=timings))
                if request.sampling.stop_repetition:
                    repetition.push(pieces[0])
                pieces = [*pieces[1:], *(pieces[:1] if self.endless else [])]
                time.sleep(self.pause)
            finish = "cancelled" if stream.is_cancelled else "repetition" if repetition.found else "eos"
            stream.put(Event("done", finish=finish, timings=timings))
            stream.end()
        except Exception as error:
            stream.end(error)
        finally:
            self.closed.set()


def _find_sizes(messages: Sequence[Message]) -> list[tuple[int, int]]:
    """Of ImageRefs and PIL images."""
    contents = [message["content"] for message in messages if not isinstance(message["content"], str)]
    return [part["image"].size for content in contents for part in content if part["type"] == "image"]


def _look_evenly(layouts: Sequence[TileLayout], tokens: int, layers: int = 2) -> Inspection:
    """Of two layers of one head, without experts. Half of each token's attention is for the pictures, half for the
    text: two tokens before the pictures and one behind."""
    starts = [2]
    for layout in layouts:
        starts.append(starts[-1] + layout.num_tokens)
    images = starts.pop() - 2
    attention = np.full((layers, 1, tokens, images + 3), 0.5 / max(1, images), np.float16)
    attention[..., 0], attention[..., 1], attention[..., -1] = 0.1, 0.2, 0.2 if images else 0.7
    return Inspection(
        prompt=("<begin>", "User: ", *[""] * images, "Well?"),
        tokens=("Hello. ",) * tokens,
        answer_ids=(5,) * tokens,
        starts=tuple(starts),
        layouts=tuple(layouts),
        twins=tuple(range(sum(layout.num_tiles for layout in layouts))),
        attention=attention,
        answer_attention=np.zeros((layers, 1, tokens), np.float16),
        expert_layers=(),
        experts=np.zeros((0, images + 2 + tokens, 0), np.uint8),
        expert_weights=np.zeros((0, images + 2 + tokens, 0), np.float16),
        expert_count=0,
        lens_layers=(1,),
        lens=np.full((1, images, NEAREST), 5, np.int32),
        alternatives=np.tile(np.array([5, 5, 6, 7, 8, 9], np.int32), (tokens, 1)),
        logprobs=np.tile(np.log(np.array([0.5, 0.5, 0.2, 0.1, 0.1, 0.1], np.float32)), (tokens, 1)),
        corners=np.zeros((0, PLACES), np.float32),
        corner_tokens=(),
        words={5: "Hello. ", 6: "Hi", 7: "Well", 8: "Yes", 9: "No"},
        seconds=0.0,
        memory=0,
        model=CARD.name,
    )


def load(settings: Settings) -> ScriptedBackend:
    return ScriptedBackend()
