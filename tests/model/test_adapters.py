"""What is put into the layers, adapters, quantisers and hooks, has its effect in every path and learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate import cpu_offload
from peft import LoraConfig, PeftModel, get_peft_model
from PIL import Image
from torch import Tensor, nn
from torch.ao.quantization import quantize_dynamic
from transformers import BatchFeature

from dsvl2_app import DeepseekVL2ForConditionalGeneration as Model
from dsvl2_app import DeepseekVL2Processor
from dsvl2_app.model.cache import KVCache
from dsvl2_app.runtime.cpu.decode import CompiledStep
from dsvl2_app.runtime.cpu.library import Library
from dsvl2_app.runtime.cpu.runner import CpuRunner
from dsvl2_app.runtime.cuda.decode import GraphDecoder

NANO = Path(__file__).parents[2] / "assets" / "nano"
WHOLE = ("Adaptor", "VisionMLP", "MultiHeadLatentAttention")
IDS = torch.arange(100, 124)[None]
ATOL = 2e-3  # of logits up to some tens, float32; an adapter here moves them by more than 1


@pytest.fixture(scope="module", params=["nano", "tiny", "small"])
def folder(request: pytest.FixtureRequest, reference_folder: Path) -> Path:
    """nano and small have latent attention, tiny and small the unused pooling head of the released checkpoints."""
    return NANO if request.param == "nano" else reference_folder / request.param / "checkpoint"


def load(folder: Path) -> Model:
    return Model.from_pretrained(folder, dtype="float32")


def read_picture(folder: Path) -> BatchFeature:
    return DeepseekVL2Processor.from_pretrained(folder)(text="<image>Hi", images=Image.new("RGB", (90, 60), "teal"))


def adapt(model: nn.Module, **options: object) -> PeftModel:
    """With an adapter that has learnt something: B of a fresh one is 0."""
    torch.manual_seed(1)
    adapted = get_peft_model(model, LoraConfig(**{"target_modules": "all-linear", **options}))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    return adapted.eval()


def whole(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits[0, -1]


def cached(model: nn.Module) -> Tensor:
    """The same logits, the last token fed by itself."""
    with torch.no_grad():
        start = model(input_ids=IDS[:, :-1], use_cache=True)
        known = start["cache"] if "cache" in start else start["past_key_values"]
        return model(input_ids=IDS[:, -1:], cache=known, use_cache=True).logits[0, -1]


class Served:
    """The same logits as the engine gets them: the compiled runner of a model, which is made once."""

    def __init__(self, library: Library) -> None:
        self.library, self.runners = library, dict[int, CpuRunner]()

    def __call__(self, model: Model) -> Tensor:
        if id(model) not in self.runners:
            self.runners[id(model)] = CpuRunner(model, self.library)
        caches = [KVCache(model.config.language_config, 64) for _ in range(2)]
        with torch.inference_mode():
            for cache in caches:
                model.decoder(model.decoder.embed_tokens(IDS[:, :-1]), cache=cache)
        rows = self.runners[id(model)].decode([int(IDS[0, -1])] * 2, caches)
        torch.testing.assert_close(rows[0], rows[1])
        return rows[0]


@pytest.fixture
def served(library: Library) -> Served:
    return Served(library)


def recorded(model: Model) -> Tensor:
    """The same logits as the graphs of a GPU have them, here run without a GPU."""
    config = model.config.language_config
    graphs, cache = GraphDecoder(model.decoder, model.lm_head, 1, 256), KVCache(config, 64)
    with torch.inference_mode():
        model.decoder(model.decoder.embed_tokens(IDS[:, :-1]), cache=cache)
        return graphs.forward([int(IDS[0, -1])], [cache])[0]


@pytest.fixture
def paths(served: Served) -> list[Callable[[Model], Tensor]]:
    return [whole, cached, served, recorded]


@pytest.mark.slow
def test_an_adapter_has_the_same_effect_in_every_path_and_merged(
    folder: Path, served: Served, paths: list[Callable[[Model], Tensor]]
) -> None:
    model = load(folder)
    plain = whole(model)
    assert torch.allclose(served(model), plain, atol=ATOL)
    adapted = adapt(model)  # in place, after the compiled step has seen the layers as they were
    expected = whole(adapted)
    assert (expected - plain).abs().max() > 1e-2
    for path in paths:
        torch.testing.assert_close(path(model), expected, atol=ATOL, rtol=1e-3)
    adapted.merge_adapter()
    for path in paths:
        torch.testing.assert_close(path(model), expected, atol=ATOL, rtol=1e-3)
    adapted.unmerge_adapter()
    merged = adapted.merge_and_unload()
    with torch.no_grad():  # nothing is left that the compiled step would not know
        step = CompiledStep(merged.decoder, served.library)
        assert step.supports(merged.decoder.embed_tokens(IDS[:, :1]), [])
    for path in paths:
        torch.testing.assert_close(path(merged), expected, atol=ATOL, rtol=1e-3)


@pytest.mark.slow
def test_every_adapter_of_all_linear_learns_from_a_picture(folder: Path) -> None:
    model, inputs = adapt(load(folder)), read_picture(folder)
    model.train()(**inputs, labels=inputs["input_ids"]).loss.backward()
    learning = {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}
    assert any("fc1" in name for name in learning) and any("o_proj" in name for name in learning)
    assert not [name for name, grad in learning.items() if grad is None or not grad.any()]
    assert not [name for name in learning if "attn_pool" in name]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["fc1", "proj", "qkv", "kv_b_proj", ["gate_up", "down"]])
@pytest.mark.parametrize("dora", [False, True])
def test_an_adapter_of_some_layers_is_what_it_is_merged(target: str | list[str], dora: bool) -> None:
    inputs, model = read_picture(NANO), load(NANO)
    with torch.no_grad():
        plain = model(**inputs).logits
        adapted = adapt(model, target_modules=[target] if isinstance(target, str) else target, use_dora=dora)
        expected = adapted(**inputs).logits
        assert (expected - plain).abs().max() > 1e-2
        torch.testing.assert_close(adapted.merge_and_unload()(**inputs).logits, expected, atol=ATOL, rtol=1e-3)


@pytest.mark.slow
def test_an_adapter_of_the_experts_is_what_it_is_merged(paths: list[Callable[[Model], Tensor]]) -> None:
    model = load(NANO)
    plain = whole(model)
    adapted = adapt(model, target_modules=[], target_parameters=["experts.gate_up", "experts.down"])
    expected = whole(adapted)
    assert (expected - plain).abs().max() > 1e-2
    for path in paths:
        torch.testing.assert_close(path(model), expected, atol=ATOL, rtol=1e-3)
    merged = adapted.merge_and_unload()
    for path in paths:
        torch.testing.assert_close(path(merged), expected, atol=ATOL, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_quantised_layers_of_torch_run_in_every_path(served: Served) -> None:
    model, inputs = load(NANO), read_picture(NANO)
    with torch.no_grad():
        plain = model(**inputs).logits
        quantised = quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
        assert type(quantised.vision.blocks[0].mlp.fc1) is not nn.Linear
        found = quantised(**inputs).logits
    assert 0 < (found - plain).norm() / plain.norm() < 0.1
    expected = whole(quantised)
    for path in (cached, served):
        assert (path(quantised) - expected).norm() / expected.norm() < 0.05


def test_a_hook_that_comes_late_is_heard(served: Served) -> None:
    model = load(NANO)
    served(model)
    seen: list[Tensor] = []
    model.decoder.layers[0].self_attn.o_proj.register_forward_hook(lambda *call: seen.append(call[2]))
    served(model)
    assert len(seen) == 3  # two prompts and a step


def test_weights_that_were_replaced_are_used(served: Served) -> None:
    model = load(NANO)
    before = served(model)
    layer = model.decoder.layers[0].self_attn.o_proj
    layer.weight = nn.Parameter(layer.weight * 2)
    assert not torch.allclose(served(model), before, atol=ATOL)
    torch.testing.assert_close(served(model), whole(model), atol=ATOL, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "preloaded"), [("vision", ()), ("adaptor", ()), ("adaptor", WHOLE), ("", ()), ("", WHOLE)]
)
def test_offloaded_weights_are_brought_for_each_use(part: str, preloaded: tuple[str, ...]) -> None:
    """As a device map with "cpu" beside a GPU leaves them; the CPU plays the GPU."""
    model, inputs = load(NANO), read_picture(NANO)
    with torch.no_grad():
        expected = model(**inputs).logits
    words = model.generate(**inputs, max_new_tokens=2, do_sample=False)
    cpu_offload(model.get_submodule(part), torch.device("cpu"), preload_module_classes=list(preloaded))
    assert model.device.type == "cpu"
    with torch.no_grad():
        torch.testing.assert_close(model(**inputs.to(model.device)).logits, expected)
    assert torch.equal(model.generate(**inputs, max_new_tokens=2, do_sample=False), words)
