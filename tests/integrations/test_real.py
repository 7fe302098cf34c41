"""The adapters in the real harnesses, with nano, on scenes of ours.

DSVL2_LMMS_EVAL names the Python of an environment that has lmms-eval 0.7.3; DSVL2_VLMEVALKIT one that has pandas,
validators and sty, and DSVL2_VLMEVALKIT_SOURCE the folder of its clone. Both need what requirements.txt lists, too.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.evaluation.datasets import draw, write_refcoco_parquet

ROOT = Path(__file__).parents[2]
LMMS_EVAL, VLMEVALKIT, SOURCE = (
    os.environ.get(f"DSVL2_{name}", "") for name in ("LMMS_EVAL", "VLMEVALKIT", "VLMEVALKIT_SOURCE")
)

TASK = """
dataset_path: parquet
dataset_kwargs:
  data_files:
    test: {data}
task: dsvl2_found
test_split: test
output_type: generate_until
doc_to_visual: !function utils.doc_to_visual
doc_to_text: !function utils.doc_to_text
doc_to_target: question_id
process_results: !function utils.process_results
generation_kwargs:
  max_new_tokens: 64
  temperature: 0
  do_sample: false
metric_list:
  - metric: found
    aggregation: mean
    higher_is_better: true
"""
UTILS = """
import io
from PIL import Image
from dsvl2_app.evaluation.metrics import found_at_half

def doc_to_visual(doc):
    return [Image.open(io.BytesIO(doc["image"]["bytes"])).convert("RGB")]

def doc_to_text(doc, lmms_eval_specific_kwargs=None):
    return "<|ref|>" + doc["answer"][0] + "<|/ref|>."

def process_results(doc, results):
    left, top, width, height = doc["bbox"]
    size = doc_to_visual(doc)[0].size
    return {"found": found_at_half(results[0], (left, top, left + width, top + height), size)}
"""
ASKING = """
import json, sys
from types import ModuleType
# The package itself imports every data set, and with them torchvision and much else; the class needs its base alone.
for name, folder in (("vlmeval", "vlmeval"), ("vlmeval.vlm", "vlmeval/vlm")):
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__path__ = [f"{sys.argv[1]}/{folder}"]
sys.modules["vlmeval.dataset"] = ModuleType("vlmeval.dataset")
sys.modules["vlmeval.dataset"].DATASET_TYPE = lambda name: "MCQ"

from vlmeval.vlm.base import BaseModel
from dsvl2_app.integrations.vlmevalkit_model import DSVL2

model = DSVL2(model="nano", dtype="float32", device="cpu", max_new_tokens=64)
assert isinstance(model, BaseModel) and BaseModel.__module__ == "vlmeval.vlm.base"
question = "How many objects are there?"
turns = [("user", [sys.argv[2], question]), ("assistant", ["There are 3 objects."]), ("user", ["What do you see?"])]
print(json.dumps([
    model.generate([sys.argv[2], question], dataset="OCRBench"),
    model.generate([dict(type="image", value=sys.argv[2]), dict(type="text", value=question)], dataset="MMMU_DEV_VAL"),
    model.chat([dict(role=role, content=content) for role, content in turns]),
]))
"""


def run(python: str, *command: str, path: tuple[Path, ...] = (), folder: Path) -> str:
    joined = os.pathsep.join([*map(str, path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        "PYTHONPATH": joined,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder),
        "LMUData": str(folder),
    }
    done = subprocess.run(
        [python, *command], env=environment, cwd=folder, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stderr + done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not LMMS_EVAL, reason="no lmms-eval; see tests/integrations/test_real.py")
@pytest.mark.parametrize("batch", ["1", "4"])
def test_lmms_eval_finds_the_model_and_scores_it(tmp_path: Path, batch: str) -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = project["entry-points"]["lmms_eval.models"]
    installed = tmp_path / "installed" / "dsvl2-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: dsvl2\nVersion: 0\n")
    (installed / "entry_points.txt").write_text(
        "[lmms_eval.models]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
    )
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    data = write_refcoco_parquet(tasks / "found.parquet", 8)
    (tasks / "dsvl2_found.yaml").write_text(TASK.format(data=data))
    (tasks / "utils.py").write_text(UTILS)
    said = run(
        LMMS_EVAL, "-m", "lmms_eval", "--model", "dsvl2", "--model_args", "model=nano,dtype=float32",
        "--tasks", "dsvl2_found", "--include_path", str(tasks), "--batch_size", batch, "--device", "cpu",
        "--output_path", str(tmp_path / "out"), path=(installed.parent,), folder=tmp_path,
    )  # fmt: skip
    found = list((tmp_path / "out").rglob("*results.json"))
    assert len(found) == 1, said[-3000:]  # it ends with status 0 whatever goes wrong
    (results,) = found
    # Of several like things nano boxes one; our own eval says 58 to 66 % of such phrases.
    assert json.loads(results.read_text())["results"]["dsvl2_found"]["found,none"] >= 0.5


@pytest.mark.slow
@pytest.mark.skipif(not (VLMEVALKIT and SOURCE), reason="no VLMEvalKit; see tests/integrations/test_real.py")
def test_vlmevalkits_own_base_class_asks_ours(tmp_path: Path) -> None:
    (scene,) = draw(1)
    scene.picture.save(tmp_path / "a.png")
    (tmp_path / "ask.py").write_text(ASKING)
    said = run(VLMEVALKIT, "ask.py", SOURCE, str(tmp_path / "a.png"), folder=tmp_path)
    counted, doubled, seen = json.loads(said.splitlines()[-1])
    assert counted == f"There are {len(scene.objects)} objects" and doubled and seen
