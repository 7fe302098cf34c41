#!/usr/bin/env bash
# lmms-eval's ANLS gives marks for white space: the wrong answer "no" with eight blanks after it scores 0.7 against "yes".
#
# Expected: ANLS is one minus the edit distance over the length of the longer string, both as they are compared.
# Happens: the distance is taken between texts whose white space is collapsed, the length from the texts as they came. Each
#   blank or line end that a model writes around its answer makes the same distance count less; below the threshold of a
#   half it would have been zero.
# Shown: lmms-eval's own function for DocVQA and InfoVQA with wrong answers, padded and stripped.
# Matters here: a model is scored through this harness by adapters like ours; a score depends on whether the adapter strips
#   what it hands over. Ours strips, and our own metric normalises before it measures either.
# Source: lmms-eval 0.7.3, lmms_eval/api/metrics.py (anls); Biten et al. 2019 (1907.00490), section 3.
set -euo pipefail
LMMS=0.7.3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "lmms-eval==$LMMS"
"$folder/venv/bin/pip" uninstall --quiet --yes torchvision # no metric needs it, and its build need not fit PyTorch's
cat > "$folder/show.py" <<'PYTHON'
import importlib.metadata
import sys

from lmms_eval.api.metrics import anls

print(f"lmms-eval {importlib.metadata.version('lmms-eval')}, ANLS against the truth 'yes'")
scores = {}
for answer in ("no", "no" + " " * 8, "\n\nno\n\n", "yes", "yes  "):
    scores[answer] = anls(["yes"], [answer])["anls"]
    print(f"{answer!r:16} {scores[answer]:.2f}, stripped {anls(['yes'], [answer.strip()])['anls']:.2f}")
same = scores["no"] == 0 and abs(scores["no" + " " * 8] - 0.7) < 1e-9 and scores["\n\nno\n\n"] >= 0.5 and scores["yes"] == 1
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py"
