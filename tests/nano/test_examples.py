from __future__ import annotations

import json

from PIL import Image

from dsvl2_app.bundled import EXAMPLES
from nano import examples
from nano.samples import EVALUATION_SEEDS
from nano.scenes import Scene


def test_the_folder_holds_what_the_page_offers():
    listed = json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8"))
    assert {example["tab"] for example in listed} == {"chat", "grounding", "tiles"}
    assert {len(example["pictures"]) for example in listed} == {1, 2, 3}
    named = [name for example in listed for name in example["pictures"]]
    assert sorted([*named, examples.PAPERS]) == sorted(
        path.name for path in EXAMPLES.iterdir() if path.suffix != ".json"
    )
    assert len(listed) == len(examples.WANTED) >= 12
    for name in named:
        assert (EXAMPLES / name).stat().st_size < examples.LARGEST_FILE
        with Image.open(EXAMPLES / name) as image:
            assert image.mode == "RGB" and max(image.size) < 1000
    for example in listed:
        assert example["text"] and example["truth"] and "<|" not in example["text"]


def test_a_document_of_some_of_the_pictures_can_be_made_again(tmp_path):
    for name in examples.PAGES:
        (tmp_path / name).write_bytes((EXAMPLES / name).read_bytes())
    examples.write_papers(tmp_path)
    for folder in (tmp_path, EXAMPLES):
        with Image.open(folder / examples.PAPERS) as papers:
            assert getattr(papers, "n_frames") == len(examples.PAGES)  # noqa: B009
            for number, name in enumerate(examples.PAGES):
                papers.seek(number)
                assert papers.convert("RGB").tobytes() == Image.open(EXAMPLES / name).convert("RGB").tobytes()


def test_an_example_can_be_made_again():
    wanted = next(wanted for wanted in examples.WANTED if wanted.name == "one")
    scenes_found, turn = examples.find(wanted, examples.FIRST_SEED)
    assert isinstance(scenes_found[0], Scene) and turn.kind == wanted.kind
    assert examples.FIRST_SEED >= EVALUATION_SEEDS
    assert examples.encode(scenes_found[0].image)[0] in (".png", ".jpg")
