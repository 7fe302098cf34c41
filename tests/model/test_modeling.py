"""The whole model against the official code's numbers, and against itself along its different paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from accelerate.utils import set_seed
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    DynamicCache,
)

from dsvl2_app import DeepseekVL2Config, DeepseekVL2ForConditionalGeneration, DeepseekVL2Processor
from dsvl2_app.errors import PromptError, SettingsError
from dsvl2_app.model.cache import KVCache
from dsvl2_app.model.experts import Router
from dsvl2_app.model.modeling import DeepseekVL2Model
from dsvl2_app.model.presets import PRESETS

if TYPE_CHECKING:
    from tests.conftest import Reference

Model = DeepseekVL2ForConditionalGeneration

# the bounds of reference/README.md
EMBEDS, ROWSUMS, LOGITS = 5e-5, 5e-4, 2e-4
NEW_TOKENS = 24


def furthest(found: Tensor, expected: Tensor, mask: Tensor | None = None) -> float:
    """The largest difference, where `mask` is True."""
    difference = (found - expected).abs()
    return float((difference if mask is None else difference[mask]).max())


def greedy(model: Model, inputs: Any, new_tokens: int = NEW_TOKENS, **options: Any) -> Tensor:
    options = {"do_sample": False, **options}
    ids = model.generate(**inputs, max_new_tokens=new_tokens, **options)
    return ids[:, inputs["input_ids"].shape[1] :]


def load(reference_folder: Path, variant: str, **options: Any) -> Model:
    return Model.from_pretrained(reference_folder / variant / "checkpoint", **options)


# -- parity ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forward(load_model: Callable[[str], Model]) -> Callable[[Reference], tuple[Tensor, Tensor]]:
    """Embeds and last logits that `model(**inputs)` makes of a case, computed once."""
    known: dict[tuple[str, str], tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def run(reference: Reference) -> tuple[Tensor, Tensor]:
        key = reference.variant, reference.case
        if key not in known:
            model = load_model(reference.variant)
            with watch_embeds(model) as embeds:
                logits = model(**reference.inputs).logits
            assert logits.isfinite().all()
            known[key] = embeds[0], logits[:, -NEW_TOKENS:].clone()
        return known[key]

    return run


def test_embeds_and_logits_are_the_official_ones(reference: Reference, forward: Callable[..., Any]) -> None:
    embeds, logits = forward(reference)
    arrays, mask = reference.arrays, reference.arrays["attention_mask"]
    index = arrays["inputs_embeds_index"]
    assert furthest(embeds[:, index], arrays["inputs_embeds"], mask[:, index]) <= EMBEDS
    assert furthest(embeds.double().sum(-1), arrays["inputs_embeds_rowsum"], mask) <= ROWSUMS
    index = arrays["logits_last_index"]
    assert index.tolist() == list(range(mask.shape[1] - NEW_TOKENS, mask.shape[1]))
    assert furthest(logits, arrays["logits_last"], mask[:, index]) <= LOGITS


@contextmanager
def watch_embeds(model: Model) -> Iterator[list[Tensor]]:
    """The embeds that the decoder is given."""
    seen: list[Tensor] = []
    hook = model.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    yield seen
    hook.remove()


def picture_inputs(reference: Reference) -> list[Tensor]:
    """The arguments of `embed`."""
    names = ("input_ids", "pixel_values", "images_seq_mask", "images_spatial_crop")
    return [reference.inputs[name] for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("case", ["c_tall_ref", "e_three_images", "f_multi_turn", "g_batch"])  # whose rows are the rest
def test_generate_continues_as_the_official_code(
    reference: Reference, model: Model, processor: DeepseekVL2Processor
) -> None:
    ids = greedy(model, reference.inputs)
    assert torch.equal(ids, reference.arrays["generated_ids"])
    assert processor.batch_decode(ids, skip_special_tokens=False) == reference.generated_texts


@pytest.mark.slow
@pytest.mark.parametrize("case", ["a_text", "b_wide"])
def test_repetition_penalty_continues_as_the_official_code(reference: Reference, model: Model) -> None:
    ids = greedy(model, reference.inputs, repetition_penalty=1.1)
    assert torch.equal(ids, reference.arrays["generated_ids_rp1.1"])


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("case", ["g_batch"])
def test_chunked_prefill_of_a_padded_batch(reference: Reference, model: Model) -> None:
    """100 tokens at a time, then token by token, with positions that count no padding."""
    inputs, arrays = reference.inputs, reference.arrays
    mask, length = inputs["attention_mask"], inputs["input_ids"].shape[1]
    embeds = model.embed(*picture_inputs(reference))
    cache = KVCache(model.config.language_config, length + NEW_TOKENS)
    for start in range(0, length, 100):
        stop = min(start + 100, length)
        hidden = model.decoder(embeds[:, start:stop], mask[:, :stop], cache=cache)
        assert hidden.isfinite().all()
    logits = model.lm_head(hidden[:, -1])
    assert furthest(logits, arrays["logits_last"][:, -1]) <= LOGITS

    chosen = []
    for _ in range(NEW_TOKENS):
        chosen.append(logits.argmax(-1))
        mask = torch.cat((mask, torch.ones(len(mask), 1, dtype=torch.bool)), dim=1)
        hidden = model.decoder(model.decoder.embed_tokens(chosen[-1][:, None]), mask, cache=cache)
        logits = model.lm_head(hidden[:, -1])
    assert torch.equal(torch.stack(chosen, dim=1), arrays["generated_ids"])


@pytest.mark.slow
def test_saved_model_is_the_same_model(
    variant: str, model: Model, open_reference: Callable[[str, str], Reference], tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    loaded = Model.from_pretrained(tmp_path)
    reference = open_reference(variant, "c_tall_ref")
    assert torch.equal(greedy(loaded, reference.inputs), reference.arrays["generated_ids"])


# -- one answer along different paths ----------------------------------------------------------------------------


@pytest.fixture
def text_ids() -> Tensor:
    return torch.randint(3, 580, (1, 40), generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def test_prefill_and_decode_equal_a_full_forward(model: Model, text_ids: Tensor) -> None:
    full = model(input_ids=text_ids).logits
    cache = KVCache(model.config.language_config, text_ids.shape[1])
    parts = [model(input_ids=text_ids[:, :20], past_key_values=cache).logits]
    parts += [model(input_ids=token, past_key_values=cache).logits for token in text_ids[:, 20:].split(1, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), full, atol=2e-5, rtol=0)


@torch.no_grad()
def test_future_tokens_change_nothing(model: Model, text_ids: Tensor) -> None:
    changed = text_ids.clone()
    changed[:, 25:] += 1
    before, after = model(input_ids=text_ids).logits, model(input_ids=changed).logits
    torch.testing.assert_close(before[:, :25], after[:, :25], atol=2e-5, rtol=0)
    assert furthest(before[:, 25:], after[:, 25:]) > 0.1


@torch.no_grad()
def test_both_kinds_of_cache_agree(model: Model, text_ids: Tensor) -> None:
    ours = KVCache(model.config.language_config, 40)
    theirs = DynamicCache()
    for chunk in text_ids.split([17, 1, 1, 21], dim=1):
        found = model(input_ids=chunk, past_key_values=ours).logits
        torch.testing.assert_close(found, model(input_ids=chunk, past_key_values=theirs).logits)
    assert ours.get_seq_length() == theirs.get_seq_length() == 40


@pytest.mark.slow
@pytest.mark.parametrize("case", ["g_batch"])
def test_left_padding_changes_nothing(
    reference: Reference, forward: Callable[..., Any], open_reference: Callable[[str, str], Reference]
) -> None:
    _, batch = forward(reference)
    for row, member in enumerate(reference.info["members"]):
        _, alone = forward(open_reference(reference.variant, member))
        assert furthest(batch[row], alone[0]) <= 5e-5


@torch.no_grad()
def test_logits_to_keep(model: Model, text_ids: Tensor) -> None:
    full = model(input_ids=text_ids).logits
    torch.testing.assert_close(model(input_ids=text_ids, logits_to_keep=3).logits, full[:, -3:])
    picked = torch.tensor([0, 7])
    torch.testing.assert_close(model(input_ids=text_ids, logits_to_keep=picked).logits, full[:, picked])


@pytest.fixture
def wide(variant: str, open_reference: Callable[[str, str], Reference]) -> Reference:
    """A picture of seven different tiles."""
    return open_reference(variant, "b_wide")


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["small"])
def test_generation_without_a_cache(wide: Reference, model: Model) -> None:
    expected = wide.arrays["generated_ids"][:, :3]
    assert torch.equal(greedy(model, wide.inputs, 3, use_cache=False), expected)


@pytest.mark.parametrize("variant", ["small"])
def test_generation_by_prompt_lookup(wide: Reference, model: Model) -> None:
    expected = wide.arrays["generated_ids"][:, :6]
    assert torch.equal(greedy(model, wide.inputs, 6, prompt_lookup_num_tokens=2), expected)


@pytest.mark.parametrize("variant", ["small"])
def test_several_answers_see_the_same_pictures(wide: Reference, model: Model) -> None:
    """Inputs are repeated for each answer; a picture's tiles must stay in their order."""
    ids = greedy(model, wide.inputs, 4, do_sample=True, top_k=1, num_return_sequences=2)
    assert torch.equal(ids, wide.arrays["generated_ids"][:, :4].expand(2, -1))


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["small"])
def test_beam_search_finds_no_worse_answer(wide: Reference, model: Model) -> None:
    def likelihood(ids: Tensor) -> float:
        row = torch.cat((wide.inputs["input_ids"], ids), dim=1)
        places = torch.nn.functional.pad(wide.inputs["images_seq_mask"], (0, ids.shape[1]))
        inputs = {**wide.inputs, "input_ids": row, "images_seq_mask": places}
        inputs["attention_mask"] = torch.ones_like(row)
        with torch.no_grad():
            logits = model(**inputs, logits_to_keep=ids.shape[1] + 1).logits[:, :-1]
        return float(logits.log_softmax(-1).gather(-1, ids[..., None]).sum())

    beams = greedy(model, wide.inputs, 4, num_beams=4, early_stopping=False, length_penalty=0.0)
    assert likelihood(beams) >= likelihood(wide.arrays["generated_ids"][:, :4]) - 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["small"])
def test_sampling_is_reproducible_by_seed(wide: Reference, model: Model) -> None:
    draws = []
    for seed in (0, 0, 1):
        set_seed(seed)
        draws.append(greedy(model, wide.inputs, 8, do_sample=True, temperature=1.0))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


# -- pictures ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("case", ["e_three_images"])
def test_identical_tiles_are_encoded_once(reference: Reference, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three untiled pictures are three global views and three local tiles of the same pixels."""
    seen = []
    encode = model.encode_tiles
    monkeypatch.setattr(model, "encode_tiles", lambda tiles: seen.append(len(tiles)) or encode(tiles))
    inputs = picture_inputs(reference)
    merged = model.embed(*inputs)
    assert sum(seen) == 3
    with torch.enable_grad():
        every = model.embed(*inputs)
    assert sum(seen) == 3 + 6
    torch.testing.assert_close(merged, every.detach(), atol=2e-6, rtol=0)


@pytest.mark.slow
@torch.no_grad()
def test_tile_batch_changes_nothing(wide: Reference, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = picture_inputs(wide)
    embeds = model.embed(*inputs)
    for size in (1, 3, 100):
        monkeypatch.setattr(model, "tile_batch", size)
        torch.testing.assert_close(model.embed(*inputs), embeds, atol=2e-6, rtol=0)


def test_inputs_that_do_not_fit_together(wide: Reference, model: Model) -> None:
    ids, pixels, places, grids = picture_inputs(wide)
    with pytest.raises(PromptError, match="pass all three"):
        model(input_ids=ids, pixel_values=pixels)
    with pytest.raises(PromptError, match="6 tiles do not fit the grids"):
        model.embed(ids, pixels[:-1], places, grids)
    moved = places.clone()
    moved[:, 0] = True
    with pytest.raises(PromptError, match="marks 1416 tokens, but the pictures make 1415"):
        model.embed(ids, pixels, moved, grids)


# -- number formats ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_dtype_is_the_checkpoints_unless_given(reference_folder: Path, variant: str) -> None:
    assert load(reference_folder, variant).dtype == torch.float32
    for given in ({"dtype": "bfloat16"}, {"dtype": torch.bfloat16}, {"torch_dtype": torch.bfloat16}):
        loaded = load(reference_folder, variant, **given)
        kept = {module.bias for module in loaded.modules() if isinstance(module, Router)} - {None}
        assert {p.dtype for p in loaded.parameters() if not any(p is bias for bias in kept)} == {torch.bfloat16}
        assert all(bias.dtype == torch.float32 for bias in kept)
        assert loaded.config.dtype == torch.bfloat16


@pytest.mark.slow
def test_half_precision_stays_close(reference_folder: Path, variant: str, model: Model, text_ids: Tensor) -> None:
    with torch.no_grad():
        exact = model(input_ids=text_ids).logits
        for dtype in ("bfloat16", "float16"):
            rough = load(reference_folder, variant, dtype=dtype)(input_ids=text_ids).logits
            assert rough.dtype == getattr(torch, dtype)
            assert torch.nn.functional.cosine_similarity(rough.float(), exact, dim=-1).mean() > 0.98


def test_a_dtype_that_the_model_does_not_run_in(reference_folder: Path) -> None:
    for dtype in ("float64", torch.int8, "half-ish"):
        with pytest.raises(SettingsError, match="choose float32, bfloat16 or float16"):
            load(reference_folder, "tiny", dtype=dtype)


@pytest.mark.slow
def test_a_converted_model_is_saved_in_its_own_dtype(reference_folder: Path, variant: str, tmp_path: Path) -> None:
    load(reference_folder, variant).to(torch.bfloat16).save_pretrained(tmp_path)
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {torch.bfloat16}
    assert DeepseekVL2Config.from_pretrained(tmp_path).dtype == torch.bfloat16


# -- places ------------------------------------------------------------------------------------------------------

PARTS = ("vision", "adaptor", "decoder", "lm_head")


@pytest.mark.slow
@pytest.mark.parametrize(
    "device_map", ["auto", "balanced", "sequential", "cpu", {"": "cpu"}, dict.fromkeys(PARTS, "cpu")], ids=str
)
def test_device_maps(device_map: Any, reference_folder: Path, open_reference: Callable[..., Reference]) -> None:
    reference = open_reference("small", "a_text")
    loaded = load(reference_folder, "small", device_map=device_map)
    assert not loaded.training
    assert torch.equal(greedy(loaded, reference.inputs), reference.arrays["generated_ids"])


@pytest.mark.parametrize("room", [1_000, 1_000_000])
def test_a_model_that_does_not_fit_is_refused(room: int, reference_folder: Path) -> None:
    with pytest.raises(SettingsError, match="does not fit into the memory"):
        load(reference_folder, "small", device_map="auto", max_memory={"cpu": room})


def test_a_device_map_that_forgets_a_part(reference_folder: Path) -> None:
    with pytest.raises(SettingsError, match="lm_head"):
        load(reference_folder, "small", device_map={"vision": "cpu", "adaptor": "meta", "decoder": "cpu"})


# -- training ----------------------------------------------------------------------------------------------------


def test_loss_is_the_mean_over_labelled_tokens(model: Model, text_ids: Tensor) -> None:
    labels = text_ids.clone()
    labels[:, :30] = -100
    with torch.no_grad():
        output = model(input_ids=text_ids, labels=labels)
    chances = output.logits.log_softmax(-1)[0, 29:-1].gather(-1, text_ids[0, 30:, None])
    torch.testing.assert_close(output.loss, -chances.mean())


@pytest.mark.slow
def test_gradients_reach_every_part(reference_folder: Path, wide: Reference, variant: str) -> None:
    trained = load(reference_folder, variant).train()
    trained(**wide.inputs, labels=wide.inputs["input_ids"]).loss.backward()
    silent = {name for name, p in trained.named_parameters() if p.grad is None or not p.grad.any()}
    allowed = {name for name in silent if "attn_pool" in name or name.endswith("router.bias")}
    assert silent == allowed


def test_gradient_checkpointing_changes_no_gradient(reference_folder: Path, text_ids: Tensor, variant: str) -> None:
    gradients = []
    for checkpointing in (False, True):
        trained = load(reference_folder, variant).train()
        if checkpointing:
            trained.gradient_checkpointing_enable()
        trained(input_ids=text_ids, labels=text_ids).loss.backward()
        gradients.append(trained.decoder.embed_tokens.weight.grad)
    torch.testing.assert_close(*gradients)


# -- construction ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_auto_classes_find_the_model(checkpoint: Path) -> None:
    assert isinstance(AutoConfig.from_pretrained(checkpoint), DeepseekVL2Config)
    for auto_class in (AutoModelForImageTextToText, AutoModelForCausalLM, AutoModelForMultimodalLM):
        loaded = auto_class.from_pretrained(checkpoint, dtype="bfloat16")
        assert isinstance(loaded, Model)
        assert not loaded.training and loaded.dtype == torch.bfloat16


@torch.no_grad()
def test_auto_model_is_all_but_the_head(checkpoint: Path, model: Model, text_ids: Tensor) -> None:
    body = AutoModel.from_pretrained(checkpoint)
    assert type(body) is DeepseekVL2Model and not body.can_generate()
    assert torch.equal(model.lm_head(body(input_ids=text_ids)[0]), model(input_ids=text_ids).logits)


@pytest.mark.parametrize(("name", "billions"), [("tiny", 3.371), ("small", 16.148), ("base", 27.480)])
def test_released_sizes_have_their_published_parameters(name: str, billions: float) -> None:
    with torch.device("meta"):
        built = Model(DeepseekVL2Config.preset(name))
    assert round(sum(p.numel() for p in built.parameters()) / 1e9, 3) == billions


@pytest.mark.parametrize("name", ["nano"])
def test_random_weights_are_usable_and_reproducible(name: str, text_ids: Tensor) -> None:
    assert name in PRESETS
    first, second, other = (Model.from_random(DeepseekVL2Config.preset(name), seed=seed) for seed in (0, 0, 1))
    assert first.dtype == torch.bfloat16 and not first.training
    with torch.no_grad():
        logits = [each(input_ids=text_ids).logits for each in (first, second, other)]
    assert logits[0].isfinite().all() and logits[0].float().std() > 0
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])
