#!/usr/bin/env bash
# imageio says of every WebM, Matroska, transport stream and FLV clip that it has 0 frames, and reads fifty from it.
#
# Expected: `improps(path).n_images` is the number of frames that imiter() and imread() give, as of MP4, MOV, AVI and GIF, or it is unknown: None or
#   infinity, which imageio's older reader of clips says.
# Happens: the plugin for PyAV hands on what the container's header says. These four have no place for a count, for which FFmpeg
#   says 0; so n_images is 0 and the shape is that of an empty array, (0, 64, 64, 3). `immeta` has no duration either for three of them. The same
#   frames in MP4 are counted.
# Shown: fifty frames in eight containers: n_images and shape of improps, how many frames imiter gives, and the shape of imread.
# Matters here: a model is shown some frames of a clip, spread over its count: range(0, n, n // 8) or linspace. What browsers record is WebM, where
#   the count is 0: a step of zero, or eight times frame 0. Count while reading. We do (image/clips_apart.py).
# Source: imageio 2.38.1, plugins/pyav.py (properties); PyAV 18.1.0, Stream.frames.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio==2.38.1 av==18.1.0 numpy
cat > "$folder/show.py" <<'PYTHON'
import os
import sys
from fractions import Fraction
from importlib.metadata import version

import av
import imageio.v3
import numpy as np

os.chdir(sys.argv[1])
CONTAINERS = {
    "mp4": "libx264", "mov": "libx264", "avi": "mpeg4", "gif": "gif",
    "webm": "libvpx-vp9", "mkv": "libx264", "ts": "libx264", "flv": "flv",
}  # fmt: skip
UNCOUNTED = ("webm", "mkv", "ts", "flv")


def write(path, codec):
    with av.open(path, "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 4 * number, np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


print(f"imageio {version('imageio')}, PyAV {version('av')}")
same = True
for container, codec in CONTAINERS.items():
    path = f"clip.{container}"
    write(path, codec)
    told = imageio.v3.improps(path, plugin="pyav")
    given = sum(1 for _ in imageio.v3.imiter(path, plugin="pyav"))
    read = imageio.v3.imread(path, plugin="pyav").shape
    duration = imageio.v3.immeta(path, plugin="pyav").get("duration")
    print(f"    {container}: n_images {told.n_images}, shape {told.shape}; imiter {given} frames, imread {read}; duration {duration}")
    count = 0 if container in UNCOUNTED else 50
    same = same and (told.n_images, told.shape[0]) == (count, count) and given == read[0] == 50
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py" "$folder" 2> "$folder/errors" || { tail -5 "$folder/errors"; exit 1; }
