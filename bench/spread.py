"""One model over two devices: the same words as on one, tokens/s, and the bytes that its plan foretold."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import torch

from bench import parity, table
from bench.answer import QUESTION, draw_noise
from bench.record import write
from dsvl2_app import runtime
from dsvl2_app.backend import Backend, Stream
from dsvl2_app.backend.local import LocalBackend
from dsvl2_app.checkpoints.machine import Place
from dsvl2_app.checkpoints.plan import plan
from dsvl2_app.engine.engine import Engine
from dsvl2_app.engine.loading import Prospect, load_model, look_ahead
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration as Model
from dsvl2_app.model.placing import choose_places
from dsvl2_app.request import Request, Sampling
from dsvl2_app.runtime.cuda.runner import CudaRunner
from dsvl2_app.runtime.devices import choose_dtype
from dsvl2_app.settings import Settings
from dsvl2_app.text.planner import Planner
from dsvl2_app.text.prompt import place_images

# On the first device as it runs there, on it layer by layer, over both by accelerate, over both by a map.
PLACEMENTS = ("one", "one_by_layers", "auto", "by_hand")
ALIKE = (("auto", "one_by_layers"), ("by_hand", "one_by_layers"), ("auto", "one"))
CHATS = (1, 8)
COMPARED = 4  # answers
WORDS = "one two three four " * 100  # beside the picture of each question


class Spread:
    """Words, tokens/s and bytes of one model in each of the placements."""

    def __init__(self, name: str, devices: Sequence[str], tokens: int, dtype: str = "auto") -> None:
        """`tokens` of each answer."""
        self.devices = devices
        weights = "auto" if name == "nano" else "dummy"
        self.settings = Settings(model=name, load_format=weights, device=devices[0], dtype=dtype, compile="on")
        self.prospect = look_ahead(self.settings)
        config = self.prospect.config
        self.meta = Model.on_meta(config, choose_dtype(dtype, config, self.prospect.device))
        self.requests = [ask_about_noise(number, tokens) for number in range(max(CHATS))]
        planner = Planner(self.prospect.processor)
        prompt = planner.plan(self.requests[0].messages, None, None, self.prospect.card.context)
        self.context = prompt.tokens + tokens
        self.words: dict[str, list[list[int]]] = {}

    def measure(self, placement: str) -> dict[str, Any]:
        try:
            return self._measure(placement)
        finally:  # nothing of the last one is held any more
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _measure(self, placement: str) -> dict[str, Any]:
        where = self.choose(placement)
        planned = {chats: self.plan(where, chats) for chats in CHATS}
        table.show(f"{placement}: planned", None, write(planned))
        started = time.perf_counter()
        engine = place_engine(self.settings, self.prospect, where, graphs=placement != "one_by_layers")
        found: dict[str, Any] = {"seconds_to_load": time.perf_counter() - started, "runner": engine.runner.describe()}
        with closing(LocalBackend(engine)) as backend:
            for request in self.requests[:1] * 2:  # graphs are recorded the second time
                backend.call(lambda engine: engine.forget())
                parity.read_tokens(backend.submit(request))
            self.words[placement] = [
                parity.read_tokens(backend.submit(request)) for request in self.requests[:COMPARED]
            ]
            for chats in CHATS:
                found[str(chats)] = self.pace(backend, chats, planned[chats])
        return found

    def choose(self, placement: str) -> dict[str, Any]:
        if placement == "auto":
            return choose_places(self.meta, "auto" if self.prospect.device.type == "cuda" else "cpu")
        if placement == "by_hand":
            return cut_in_half(self.prospect.config, self.devices)
        return {"": name_place(self.devices[0])}

    def plan(self, where: Mapping[str, Any], chats: int) -> list[int]:
        """Bytes of each device."""
        keys = dict.fromkeys(map(name_place, self.devices))
        places = [Place(key, torch.cuda.mem_get_info(key)[0] if isinstance(key, int) else 10**12) for key in keys]
        loads = plan(self.meta, places, context=self.context, chats=chats, where=where).loads
        return [load.total if load.weights else 0 for load in loads]

    def pace(self, backend: LocalBackend, chats: int, planned: Sequence[int]) -> dict[str, Any]:
        backend.call(lambda engine: engine.forget())
        gpus = [device for device in self.devices if device.startswith("cuda")]
        for device in gpus:
            torch.cuda.reset_peak_memory_stats(device)
        rate = write_together(backend, self.requests[:chats])
        taken = [torch.cuda.max_memory_allocated(device) for device in gpus]
        shares = [expected / peak for expected, peak in zip(planned, taken, strict=False) if expected]
        return {"tokens_per_second": rate, "planned": planned, "taken": taken, "planned_over_taken": shares}

    def compare(self) -> dict[str, str]:
        """How many answers have the same tokens."""
        found: dict[str, str] = {}
        for name, other in ALIKE:
            pairs = [*zip(self.words.get(name, ()), self.words.get(other, ()), strict=False)]
            found[f"{name} as {other}"] = f"{sum(one == another for one, another in pairs)} of {len(pairs)}"
        return found


def place_engine(settings: Settings, prospect: Prospect, where: dict[str, Any], *, graphs: bool) -> Engine:
    model = load_model(settings, prospect, where)
    runner = runtime.choose(model, "on" if graphs else "off", prospect.card.context)
    if not graphs and isinstance(runner, CudaRunner):
        runner.graphs = None
    return Engine(runner, prospect.processor, prospect.card, vocabulary=prospect.vocabulary)


def name_place(device: str) -> int | str:
    """As accelerate names it."""
    return int(device.partition(":")[2] or 0) if device.startswith("cuda") else device


def cut_in_half(config: DeepseekVL2Config, devices: Sequence[str]) -> dict[str, int | str]:
    """A map by hand: vision and the first half of the layers on the first, the rest and the head on the other."""
    first, second = map(name_place, devices)
    layers = config.language_config.num_hidden_layers
    places = {"vision": first, "adaptor": first, "decoder.embed_tokens": first}
    places |= {f"decoder.layers.{layer}": first if layer < layers // 2 else second for layer in range(layers)}
    return places | {"decoder.norm": second, "lm_head": second}


def measure_parity(variant: str, devices: Sequence[str]) -> dict[str, int]:
    """How many answers of a reference checkpoint, cut by hand, are the official ones, alone and together."""
    checkpoint = str(parity.FOLDER / variant / "checkpoint")
    settings = Settings(model=checkpoint, device=devices[0], dtype="float32", compile="on")
    prospect = look_ahead(settings)
    engine = place_engine(settings, prospect, cut_in_half(prospect.config, devices), graphs=True)
    official = [parity.read_answer(variant, case) for case in parity.CASES]
    requests = parity.write_requests(variant, len(official[0]))
    alone = parity.write_answers(engine, requests)
    engine.forget()
    together = parity.write_together(engine, requests)
    return {
        "answers": len(official),
        "as_official": sum(map(list.__eq__, alone, official)),
        "together": sum(map(list.__eq__, together, official)),
    }


def ask_about_noise(number: int, tokens: int) -> Request:
    """Of so many tokens, about a picture that no other request has."""
    sampling = Sampling(max_new_tokens=tokens, min_new_tokens=tokens)
    content = place_images(f"{QUESTION} {WORDS}", [draw_noise(number)])
    return Request([{"role": "user", "content": content}], sampling, owner=str(number))


def write_together(backend: Backend, requests: Sequence[Request]) -> float:
    """Tokens/s of all, each from its own first token to its last."""
    rates: list[float] = []

    def read(stream: Stream) -> None:
        moments = [time.perf_counter() for event in stream if event.stage == "decode"]
        rates.append((len(moments) - 1) / (moments[-1] - moments[0]))

    readers = [threading.Thread(target=read, args=(stream,)) for stream in map(backend.submit, requests)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return sum(rates)
