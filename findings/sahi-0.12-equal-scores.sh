#!/usr/bin/env bash
# SAHI's merging of boxes, NMM, leaves boxes of equal scores as they are: a thing that several tiles have found stays there several times.
#
# Expected: boxes of one class that overlap by more than the threshold become one, whatever their scores; a tie is broken somehow, as NMS and greedy NMM
#   of the same module break it.
# Happens: boxes are taken in order of score, ties by coordinates from small to large; but one may take in an equal one only if that comes no later in
#   the order of coordinates. The first never may, and by the time of the last all are keepers, which nothing takes in. Of six boxes of
#   one thing six are left; only a copy to the last digit goes. With scores that differ by a millionth one is left.
# Shown: how many boxes are left of one thing, found two, three and six times, by NMS, NMM and greedy NMM: with a score of 1.0 each, and
#   with scores that fall by a hundredth. NMM is run with "IOS" and "IOU".
# Matters here: vision-language models give boxes without scores, which are read as 1.0, and SAHI is the usual way to search a large
#   picture in tiles. Counted, one cup at a seam is two. Use greedy NMM or NMS, or scores that fall by a little.
# Source: sahi 0.12.8, postprocess/_numpy_backend.py (nmm_from_matrix, nmm_match_all); https://github.com/obss/sahi/pull/1416 changed these lines.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sahi==0.12.8
cat > "$folder/show.py" <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

warnings.filterwarnings("ignore")
from sahi.postprocess.backends import set_postprocess_backend
from sahi.postprocess.combine import GreedyNMMPostprocess, NMMPostprocess, NMSPostprocess
from sahi.prediction import ObjectPrediction

set_postprocess_backend("numpy")
WAYS = {"NMS": NMSPostprocess, "NMM": NMMPostprocess, "greedy NMM": GreedyNMMPostprocess}


def left(way, boxes, scores, metric):
    found = [
        ObjectPrediction(bbox=list(box), category_id=0, category_name="cup", score=score, full_shape=[200, 200])
        for box, score in zip(boxes, scores, strict=True)
    ]
    return len(WAYS[way](match_threshold=0.5, match_metric=metric, class_agnostic=False)(found))


cases = {
    "found twice, a little shifted": [(10, 10, 60, 40), (11, 11, 61, 41)],
    "found whole and cut by a tile": [(10, 10, 100, 60), (10, 10, 45, 60)],
    "found three times": [(10, 10, 60, 40), (12, 10, 62, 40), (14, 10, 64, 40)],
    "found six times": [(10, 10, 60 + n, 40) for n in range(6)],
    "three exact copies": 3 * [(10, 10, 60, 40)],
}
print(f"sahi {version('sahi')}: boxes that are left with equal scores, with falling scores")
same = True
for name, boxes in cases.items():
    equal, falling = [1.0] * len(boxes), [1 - n / 100 for n in range(len(boxes))]
    found = {way: (left(way, boxes, equal, "IOS"), left(way, boxes, falling, "IOS")) for way in WAYS}
    print(f"{name}: {found}")
    kept = 1 if name == "three exact copies" else len(boxes)
    same = same and found == {"NMS": (1, 1), "NMM": (kept, 1), "greedy NMM": (1, 1)}
    if name.startswith("found six"):
        same = same and left("NMM", boxes, equal, "IOU") == 6 and left("NMM", boxes, falling, "IOU") == 1
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py"
