#!/usr/bin/env bash
# In a clip that begins at two seconds, imageio's frame 0, 10 and 49 are the same picture: the first.
#
# Expected: `imread(path, index=10)` of imageio gives the eleventh frame, which `imiter` gives as its eleventh, whatever times frames carry; a
#   number past the end is refused, as it is in a clip that begins at zero.
# Happens: with the plugin for PyAV a number is turned into a time by the frame rate and counted from zero of the clip's clock. The file may begin
#   later: pieces of a recording, a stream's segments and cuts that keep their time do. Every number before the clip's beginning
#   gives the first frame, later ones a frame as much too early, and numbers past the end are answered. Read in sequence, or with
#   `constant_framerate=False`, which decodes from the start, the same file gives the right frames; so does a clip that begins at zero.
# Shown: fifty grey frames whose brightness is their number, beginning at 0 and at 2 seconds, as MP4 and Matroska: the frames of five
#   numbers, and of every tenth frame in sequence.
# Matters here: a model is shown some frames of a clip, chosen by number. Of such a clip it sees one picture, eight times, and
#   answers that nothing happens. Our clips are read in sequence, and each frame has its own time (image/clips_apart.py).
# Source: imageio 2.38.0 (plugins/pyav.py), PyAV 18.1.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio==2.38.0 av==18.1.0 numpy
cat > "$folder/show.py" <<'PYTHON'
import itertools
import os
import sys
from fractions import Fraction
from importlib.metadata import version

import av
import imageio.v3
import numpy as np

NUMBERS = (0, 10, 25, 49, 60)
os.chdir(sys.argv[1])


def write(path, begin):
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 25)
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 4 * number, np.uint8), "rgb24")
            frame.pts, frame.time_base = 25 * begin + number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def number(picture):
    return round(float(np.mean(picture)) / 4)


def by_number(path, **options):
    found = []
    for wanted in NUMBERS:
        try:
            found.append(number(imageio.v3.imread(path, plugin="pyav", index=wanted, **options)))
        except (StopIteration, IndexError):
            found.append(None)
    return found


same = True
right = [0, 10, 25, 49, None]
for path, begin in (("zero.mp4", 0), ("late.mp4", 2), ("zero.mkv", 0), ("late.mkv", 2)):
    write(path, begin)
    found, decoded = by_number(path), by_number(path, constant_framerate=False)
    sequence = [number(frame) for frame in itertools.islice(imageio.v3.imiter(path, plugin="pyav"), 0, 50, 10)]
    print(f"imageio {version('imageio')}, {path} from {begin} s: frames {NUMBERS} are {found}; decoded from the start {decoded}")
    same = same and found == ([0, 0, 0, 0, 10] if begin else right)
    same = same and decoded == right and sequence == [0, 10, 20, 30, 40]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py" "$folder" 2> "$folder/errors" || { tail -5 "$folder/errors"; exit 1; }
