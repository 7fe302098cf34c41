"""The model `dsvl2` of lmms-eval, which finds it by itself where both are installed (pyproject.toml names MANIFEST):

    lmms-eval --model dsvl2 --model_args model=small,quantize=int8 --tasks mme,mmstar --batch_size 8

`--model_args` takes the flags of `dsvl2 serve --help` by their names, with underscores. Written against release 0.7.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from accelerate import Accelerator
from lmms_eval.api.instance import Instance  # pyright: ignore[reportMissingImports]
from lmms_eval.api.model import lmms  # pyright: ignore[reportMissingImports]
from lmms_eval.models.registry_v2 import ModelManifest  # pyright: ignore[reportMissingImports]
from tqdm import tqdm

from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.integrations.asking import Wish, answer_all, open_backend, write_message
from dsvl2_app.request import Sampling

MANIFEST = ModelManifest(model_id="dsvl2", chat_class_path=f"{__name__}.DSVL2")
MOST_NEW_TOKENS = 512  # where a task says nothing
HONOURED = ("max_new_tokens", "temperature", "top_p", "repetition_penalty", "do_sample", "until")
# What tasks say that holds here in any case: one beam, a cache, pictures as they are.
GIVEN: dict[str, tuple[Any, ...]] = {
    "num_beams": (1,), "use_cache": (True,), "image_aspect_ratio": ("original",), "num_return_sequences": (1,),
}  # fmt: skip


class DSVL2(lmms):
    """Answers conversations of pictures and text; likelihoods, several rounds and videos are refused."""

    is_simple = False  # it is given messages, and no text with placeholders

    def __init__(
        self,
        model: str = "tiny",
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        device: str | None = None,
        **settings: Any,
    ) -> None:
        """`batch_size` is how many questions are in flight at once; `device` is lmms-eval's own flag. Raises
        SettingsError for what no flag is called."""
        super().__init__()
        self.accelerator = Accelerator()
        self._rank, self._world_size = self.accelerator.process_index, self.accelerator.num_processes
        self.batch_size_per_gpu = int(batch_size)
        if max_batch_size is not None:
            raise SettingsError("max_batch_size is not used; --batch_size is how many questions are asked at once.")
        if device == "cuda" and self._world_size > 1:
            device = f"cuda:{self.accelerator.local_process_index}"
        self.backend = open_backend(model, **({"device": device} if device else {}), **settings)

    @property
    def device(self) -> Any:
        """Where lmms-eval puts what its processes tell each other."""
        return self.accelerator.device

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Answers in the order of `requests`. Raises SettingsError for generation arguments that are not honoured."""
        answers: list[str] = []
        found = answer_all(self.backend, self._wish(requests), self.batch_size_per_gpu)
        for request, answer in zip(requests, tqdm(found, total=len(requests), disable=self.rank != 0), strict=True):
            self.cache_hook.add_partial("generate_until", (request.args[0], request.args[2]), answer)
            answers.append(answer)
        return answers

    def _wish(self, requests: list[Instance]) -> Iterator[Wish]:
        for request in requests:
            _, doc_to_messages, arguments, doc_id, task, split = request.args
            messages = [
                write_message(message["role"], _list_parts(message["content"]))
                for message in doc_to_messages(self.task_dict[task][split][doc_id])
            ]
            yield Wish(messages, read_sampling(arguments), _list_stops(arguments.get("until")))

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        raise NotImplementedError("dsvl2 answers; tasks that compare likelihoods are not for it.")

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        raise NotImplementedError("dsvl2 answers one message; tasks of several rounds are not for it.")


def _list_parts(content: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(content, str):
        yield "text", content
        return
    for part in content:
        kind = part["type"]
        yield kind, part["text"] if kind == "text" else part.get("url")


def read_sampling(arguments: Mapping[str, Any]) -> Sampling:
    """Of a task's generation arguments; those that are None count as not given."""
    given = {name: value for name, value in arguments.items() if value is not None}
    for name, value in given.items():
        if name not in HONOURED and value not in GIVEN.get(name, ()):
            raise SettingsError("The generation argument {name} is {value!r}, which dsvl2 does not know.", name=name,
                                value=value)  # fmt: skip
    temperature = float(given.get("temperature", 0.0)) if given.get("do_sample", True) else 0.0
    return Sampling(
        temperature=temperature,
        top_p=float(given.get("top_p", 1.0)) if temperature else 1.0,
        repetition_penalty=float(given.get("repetition_penalty", 1.0)),
        max_new_tokens=int(given.get("max_new_tokens", MOST_NEW_TOKENS)),
    )


def _list_stops(until: Any) -> tuple[str, ...]:
    stops = [until] if isinstance(until, str) else list(until or ())
    if not all(isinstance(stop, str) and stop for stop in stops):
        raise PromptError("until is {until!r}; it must be texts.", until=until)
    return tuple(stops)
