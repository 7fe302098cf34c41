"""The contract between who asks and who answers: a request, the events of its answer, and what a model is.

Every package may import this one; it imports nothing of ours but errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dsvl2_app.errors import SettingsError

if TYPE_CHECKING:
    from dsvl2_app.image.geometry import TileGeometry
    from dsvl2_app.image.tiles import TileLayout
    from dsvl2_app.inspection import Inspection

Stage = Literal["queued", "vision", "prefill", "decode", "done"]
Finish = Literal["eos", "length", "time", "repetition", "cancelled"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Temperature 0 is greedy: nothing random, `seed` and `top_p` unused."""

    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    max_new_tokens: int = 512
    min_new_tokens: int = 0  # the answer does not end before, as benchmarks want it
    stop_repetition: bool = False  # the answer ends once it says the same over and over (`text.repetition`)
    seed: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.stop_repetition, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SettingsError(
                "The {name} is {value!r}; choose true or false.", name="stop_repetition", value=self.stop_repetition
            )
        for name, low, high in (
            ("temperature", 0.0, 5.0),
            ("top_p", 0.0, 1.0),
            ("repetition_penalty", 0.1, 10.0),
        ):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not low <= value <= high:
                raise SettingsError(
                    "The {name} is {value!r}; choose a number between {low} and {high}.",
                    name=name,
                    value=value,
                    low=low,
                    high=high,
                )
        for name, value, low, high in (
            ("max_new_tokens", self.max_new_tokens, 1, 1_000_000),
            ("min_new_tokens", self.min_new_tokens, 0, 1_000_000),
            ("seed", self.seed or 0, 0, 2**63 - 1),
        ):
            if not isinstance(value, int) or not low <= value <= high:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise SettingsError(
                    "The {name} is {value!r}; choose a whole number between {low} and {high}.",
                    name=name,
                    value=value,
                    low=low,
                    high=high,
                )


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a name for whose a request is (`Request.owner`), and the network address that it came from."""

    owner: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One answer wanted.

    `messages` are transformers chat messages (`{"role": ..., "content": str | [parts]}`) whose images are `ImageRef`s,
    or what `image.source.refer_to` makes one of, but no file's name. `allow` names the special tokens that user text
    may carry into the prompt as such; every other one is neutralised (see `text.prompt`).
    """

    messages: list[dict[str, Any]]
    sampling: Sampling = field(default_factory=Sampling)
    allow: frozenset[str] = frozenset()
    tiling: bool | None = None  # None: the official rule, on for at most two images in the conversation
    max_tiles: int | None = None  # local tiles per image at most; None: as many as the checkpoint's grids have
    grammar: bool = False  # inside <|det|> only well-formed boxes can be written
    owner: str = ""  # whose it is: turns are fair between owners, and only an owner's earlier words are built upon
    keep: bool = True  # whether a question may follow, for which what the model has computed is kept
    address: str = ""  # of the network that it came from, for limits; never told to anybody
    alternatives: int | None = None  # tell each token's probability, and so many likely ones beside it; None: neither
    answer_prefix: tuple[int, ...] = ()  # token ids with which the answer begins; only what comes after them is told


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds and counts so far."""

    queued: float = 0.0
    vision: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0
    tiles: int = 0
    encoded_tiles: int = 0  # after identical tiles are merged
    prompt_tokens: int = 0
    new_tokens: int = 0
    reused_tokens: int = 0  # of the prompt, found in the cache of an earlier request
    reused_tiles: int = 0  # of the tiles, encoded for an earlier request
    waited: float = 0.0  # until the first token, where a server elsewhere does not say what it did meanwhile
    cache_bytes: int = 0  # of keys and values that this conversation occupies
    prompt_pace: float = 0.0  # seconds a token of a prompt takes here, when last enough were read to tell; 0: never yet


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a token was, as the model computed it: before temperature, penalty, top-p and grammar."""

    token: int
    spelling: bytes  # UTF-8; a character can be spread over several tokens
    logprob: float  # natural logarithm of the probability


@dataclass(frozen=True, slots=True)
class Event:
    """One event of an answer's stream; the concatenated `text` of all events is the answer.

    `stage` "queued", "vision" and "prefill" report progress (`done` of `total` tiles or tokens, no text),
    "decode" carries a token, "done" is the last event and carries `finish` and whatever text was held back.
    """

    stage: Stage
    text: str = ""
    token: int | None = None
    done: int = 0
    total: int = 0
    finish: Finish | None = None
    timings: Timings = field(default_factory=Timings)
    inspection: Inspection | None = None  # of the last event, where the stream is one of `Backend.inspect`
    likelihoods: tuple[Likelihood, ...] = ()  # its token's, then the likeliest ones', where `Request.alternatives` asks


@dataclass(frozen=True, slots=True)
class InspectionCost:
    """Bytes that looking into an answer takes, by what there is more of."""

    token: int = 0  # of prompt or answer: keys, values and experts
    pair: int = 0  # of the answer and the prompt: attention of all heads
    place: int = 0  # token of an image: words nearest to it after each layer

    def count(self, prompt: int, answer: int, places: int) -> int:
        """Of so many tokens of a prompt, of its answer, and of the prompt's pictures."""
        return self.token * (prompt + answer - 1) + self.pair * prompt * answer + self.place * places


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is loaded, for people: shown in the page and printed at start."""

    name: str
    source: str  # folder, repository id, or "random weights"
    notice: str  # "" or what a user must know, such as that the weights are random
    parameters: int
    active_parameters: int
    dtype: str
    device: str
    context: int  # tokens
    geometry: TileGeometry
    bundled: bool = False  # the small model that comes with the demo, which knows no photographs
    inspection: InspectionCost = InspectionCost()


@dataclass(frozen=True, slots=True)
class PromptPlan:
    """What a request would cost, known without running the model."""

    tokens: int
    layouts: tuple[TileLayout, ...]
    context: int
    decoded: int = 0  # px that are decoded for the pictures, see `ImageRef.decoded`

    @property
    def text_tokens(self) -> int:
        """Those that are no picture's."""
        return self.tokens - sum(layout.num_tokens for layout in self.layouts)

    @property
    def tokens_left(self) -> int:
        """For the answer; none or fewer where the conversation is too long."""
        return self.context - self.tokens


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do besides answering. What it cannot, it refuses by name and the page does not offer."""

    grammar: bool = False  # keeps what is inside <|det|> well-formed (Request.grammar)
    inspection: bool = False  # looks into an answer (Backend.inspect)


@dataclass(frozen=True, slots=True)
class Loading:
    """How far a model is that is not there yet, in bytes of one stage; 0 of 0 where that is not known."""

    stage: Literal["download", "check", "read"]
    done: int = 0
    total: int = 0
    seconds: float = 0.0  # since the stage began

    @property
    def seconds_left(self) -> float | None:
        """Of the stage, at the pace so far; None while there is none."""
        return self.seconds * (self.total - self.done) / self.done if self.done and self.seconds else None


@dataclass(frozen=True, slots=True)
class Health:
    """How a backend is, for whoever watches over the app."""

    alive: bool  # False: nothing will be answered until the app is started again
    running: int = 0  # answers that are being written
    waiting: int = 0
    seconds: float = 0.0  # since the model last finished a piece of work, while there is some; else 0
    accepting: bool = True  # another request would not be turned away because too many wait
    loading: Loading | None = None  # the weights are not there yet; requests wait for them
    memory: Mapping[str, int] = field(default_factory=dict[str, int])  # bytes that are held, by what for
    answered: int | None = None  # questions since the start, where they are counted for the page
