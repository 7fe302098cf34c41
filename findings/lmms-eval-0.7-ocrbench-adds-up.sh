#!/usr/bin/env bash
# In lmms-eval the second model that a process evaluates on OCRBench gets the first one's points as well.
#
# Expected: an aggregation is a function of the results that it is given.
# Happens: points are added to a dictionary of the module, which nothing resets. Evaluating twice in one process, as a
#   notebook or a sweep over checkpoints does, adds the runs up: past the benchmark's whole 1,000 points without a word.
# Shown: the task's own functions, fed twenty right answers, then twenty wrong ones.
# Matters here: OCRBench is the benchmark by which people tell whether they run DeepSeek-VL2 right (tiny 804 to 811 of
#   1,000). Our own counting starts from nothing in each run; adapters must be given a process for each run.
# Source: lmms-eval 0.7.3, lmms_eval/tasks/ocrbench/utils.py (OCRBench_score, ocrbench_aggregate_accuracy).
set -euo pipefail
LMMS=0.7.3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "lmms-eval==$LMMS"
"$folder/venv/bin/pip" uninstall --quiet --yes torchvision # no metric needs it, and its build need not fit PyTorch's
cat > "$folder/show.py" <<'PYTHON'
import argparse
import contextlib
import importlib.metadata
import io
import sys
import tempfile

from lmms_eval.tasks.ocrbench.utils import ocrbench_aggregate_accuracy, ocrbench_process_results

KIND = {"dataset": "IIIT5K", "question_type": "Regular Text Recognition", "answer": ["CENTRE"]}


def score(answer: str) -> float:
    results = [ocrbench_process_results(KIND, [answer])["ocrbench_accuracy"] for _ in range(20)]
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
        return ocrbench_aggregate_accuracy(results, argparse.Namespace(output_path=out))


right, wrong = score("centre"), score("theatre")
print(f"lmms-eval {importlib.metadata.version('lmms-eval')}, one process")
print(f"a run of twenty right answers: {1000 * right:.0f} points; then a run of twenty wrong ones: {1000 * wrong:.0f}")
same = right > 0 and wrong == right
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
