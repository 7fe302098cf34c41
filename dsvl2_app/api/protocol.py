"""The body of a chat completion: what is honoured, and what is refused by its name.

Beyond the protocol it takes what vLLM's servers call `repetition_penalty` and `min_tokens`, and of our own
`stop_repetition`, `grammar`, `tiling`, `max_tiles` and `stream_options.include_progress`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dsvl2_app.api.failures import ProtocolError
from dsvl2_app.request import Sampling

OBJECT = TypeAdapter(dict[str, Any])
MOST_ANSWERS = 4  # to one request: as many of one owner may wait
MOST_STOPS = 4  # strings, as in the protocol
MOST_ALTERNATIVES = 20
# Of parameters that are not honoured, the values that change nothing; any other one is refused. None always is nothing.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none",),
    "functions": ([],),
    "logit_bias": ({},),
    "metadata": ({},),
    "modalities": (["text"],),
    "moderation": (),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "presence_penalty": (0,),
    "prompt_cache_options": ({},),
    "prompt_cache_retention": ("in_memory", "in-memory"),
    "reasoning_effort": ("none",),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "verbosity": ("medium",),
    "web_search_options": (),
}


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class StreamOptions(Strict):
    include_usage: bool = False
    include_obfuscation: Literal[False] = False
    include_progress: bool = False  # chunks say how far an answer is, under "dsvl2"


class ResponseFormat(Strict):
    type: Literal["text"]


class Question(Strict):
    """A request as it came."""

    model: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float = Field(0.2, ge=0, le=2)  # as on the page
    top_p: float = Field(0.9, ge=0, le=1)
    repetition_penalty: float = 1.0
    seed: int | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    min_tokens: int = Field(0, ge=0)
    stop: str | list[str] | None = None
    stop_repetition: bool = False  # "finish_reason" is then "repetition", as vLLM's servers say it
    n: int = Field(1, ge=1, le=MOST_ANSWERS)
    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=MOST_ALTERNATIVES)
    response_format: ResponseFormat | None = None
    grammar: Literal["boxes"] | None = None  # what is inside <|det|> is a well-formed list of boxes
    tiling: bool | None = None
    max_tiles: int | None = Field(None, ge=1)
    user: str = ""  # turns are fair between users; newer clients name one by either of the next two
    safety_identifier: str = ""
    prompt_cache_key: str = ""

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def options(self) -> StreamOptions:
        return self.stream_options or StreamOptions()

    @property
    def owner(self) -> str:
        return " ".join(filter(None, (self.user, self.safety_identifier, self.prompt_cache_key)))

    @property
    def alternatives(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None

    def sample(self, answer: int, context: int) -> Sampling:
        """For answer number `answer` of several, whose seeds follow each other."""
        limit = self.max_completion_tokens or self.max_tokens or context
        return Sampling(
            self.temperature,
            self.top_p,
            self.repetition_penalty,
            max_new_tokens=limit,
            min_new_tokens=self.min_tokens,
            seed=None if self.seed is None else self.seed + answer,
            stop_repetition=self.stop_repetition,
        )


def read_question(body: bytes) -> Question:
    """Raises ProtocolError for what is malformed, unknown or not honoured."""
    try:
        given = OBJECT.validate_json(body)
    except ValidationError:
        raise ProtocolError(400, "The body is no JSON object; send application/json.", "invalid_json") from None
    given = {name: value for name, value in given.items() if value is not None}
    for name, neutral in NEUTRAL.items():
        if (value := given.pop(name, None)) is not None and not any(value == each for each in neutral):
            raise ProtocolError(400, f"{name} is not supported; leave it out.", "unsupported_parameter", name)
    _check_format(given.get("response_format"))
    try:
        question = Question.model_validate(given)
    except ValidationError as error:
        raise _explain(error) from None
    _check(question)
    return question


def _check_format(wanted: Any) -> None:
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind in ("json_object", "json_schema"):
        raise ProtocolError(
            400,
            f"response_format {kind!r} is not supported: answers are text. For well-formed boxes send "
            '"grammar": "boxes" (in extra_body, with the openai package).',
            "unsupported_parameter",
            "response_format",
        )


def _check(question: Question) -> None:
    """What one field says of another."""
    limits = {question.max_tokens, question.max_completion_tokens} - {None}
    wrong = {
        "max_completion_tokens": len(limits) > 1 and "differs from max_tokens; send one of them.",
        "top_logprobs": question.top_logprobs is not None
        and not question.logprobs
        and "needs logprobs to be true; send both.",
        "stream_options": question.stream_options is not None
        and not question.stream
        and "needs stream to be true; send both, or neither.",
        "stop": (len(question.stops) > MOST_STOPS or "" in question.stops)
        and f"holds an empty string, or more than {MOST_STOPS}; send up to {MOST_STOPS} that are not empty.",
    }
    for name, what in wrong.items():
        if what:
            raise ProtocolError(400, f"{name} {what}", "invalid_value", name)


def _explain(error: ValidationError) -> ProtocolError:
    """The first thing that is wrong."""
    first = error.errors(include_url=False)[0]
    # a field of two types names the one that did not fit
    place = ".".join(str(part) for part in first["loc"] if part not in ("str", "list[str]"))
    if first["type"] == "extra_forbidden":
        return ProtocolError(400, f"Unknown parameter: {place!r}; leave it out.", "unknown_parameter", place)
    if first["type"] == "missing":
        return ProtocolError(400, f"{place} is missing; send it.", "missing_required_parameter", place)
    shown = repr(first["input"])[:80]
    return ProtocolError(400, f"{place} is {shown}: {_lower(first['msg'])}.", "invalid_value", place)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
