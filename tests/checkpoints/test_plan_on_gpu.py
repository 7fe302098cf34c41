"""`dsvl2 plan` against what PyTorch's allocator has given out on a GPU, with graphs and with weights in RAM."""

from __future__ import annotations

import gc

import pytest
import torch

from dsvl2_app.checkpoints.machine import Place, find_places
from dsvl2_app.checkpoints.plan import plan
from dsvl2_app.engine.loading import load_engine
from dsvl2_app.model.configuration import DeepseekVL2Config
from dsvl2_app.model.modeling import DeepseekVL2ForConditionalGeneration
from dsvl2_app.settings import Settings
from tests.checkpoints.test_plan import NEW, ask

pytestmark = [pytest.mark.gpu, pytest.mark.slow]


@pytest.mark.parametrize("quantize", ["none", "int8"])
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_a_gpu_takes_what_is_planned(name: str, quantize: str) -> None:
    gc.collect()  # models of tests before
    torch.cuda.empty_cache()
    places = find_places(torch.device("cuda"), all_gpus=False)
    meta = DeepseekVL2ForConditionalGeneration.on_meta(DeepseekVL2Config.preset(name), None, quantize)
    before = torch.cuda.memory_allocated()
    engine = load_engine(Settings(model=name, load_format="dummy", quantize=quantize, device="cuda:0"))
    torch.cuda.reset_peak_memory_stats()
    for _ in range(3):  # graphs are recorded when a size comes up again
        engine.forget()
        events = ask(engine, 150)
    (load, *_) = plan(meta, places, context=events[-1].timings.prompt_tokens + NEW).loads
    assert load.weights == sum(parameter.nbytes for parameter in engine.model.parameters())
    taken = torch.cuda.max_memory_allocated() - before
    print(name, quantize, f"planned {load}, taken {taken / 1e9:.3f} GB, ratio {load.total / taken:.4f}")
    assert load.total == pytest.approx(taken, rel=0.05)


def test_weights_that_are_brought_from_ram_leave_the_gpu_below_its_cap() -> None:
    """Base on a card of 24 GB."""
    cap = 24 * 10**9
    gc.collect()  # models of tests before
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    meta = DeepseekVL2ForConditionalGeneration.on_meta(DeepseekVL2Config.preset("base"), None)
    gpu, ram = plan(meta, [Place(0, cap), Place("cpu", 10**11)], context=1024).loads
    torch.cuda.set_per_process_memory_fraction((cap + before) / torch.cuda.get_device_properties(0).total_memory)
    try:
        room = {0: int(0.9 * cap), "cpu": 10**11}
        model = DeepseekVL2ForConditionalGeneration.from_random(
            DeepseekVL2Config.preset("base"), None, "auto", max_memory=room
        )
        assert torch.cuda.memory_allocated() - before == pytest.approx(gpu.weights, rel=0.05)
        ids = torch.randint(3, 1000, (1, 1000), device="cuda")
        torch.cuda.reset_peak_memory_stats()
        model.generate(input_ids=ids, max_new_tokens=4, do_sample=False)
        taken = torch.cuda.max_memory_allocated() - before
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    print(f"planned {gpu} and {ram}, taken {taken / 1e9:.2f} GB")
    assert taken < cap and gpu.total == pytest.approx(taken, rel=0.1)
