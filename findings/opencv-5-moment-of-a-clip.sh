#!/usr/bin/env bash
# OpenCV looks for a moment of a clip by its average frame rate: half a second into a phone's clip is another picture.
#
# Expected: CAP_PROP_POS_MSEC moves to the frame that is shown at that time (each frame carries its own), and
#   CAP_PROP_FRAME_COUNT is the number of frames.
# Happens: the time is multiplied by the average rate and taken as a number of frames. Where the rate varies, as phones,
#   screen recorders and browsers write it, that is a frame of another moment, or past the end. WebM and Matroska do not
#   store a count: it is the duration times a rate of 30 that nobody set, eleven times too many here. Read in sequence,
#   every frame comes with its true time.
# Shown: thirty grey frames whose brightness is their number: ten at 10 a second, ten at 1 a second, ten at 25 a second, as
#   MP4 and as WebM; what is reported, and what is found at four moments.
# Matters here: frames of a clip are shown with their times, and "evenly spaced" must mean time. So frames are chosen while
#   reading in sequence, by the time of each.
# Source: opencv-python 5.0.0.93 (FFmpeg backend), PyAV 18.1.0 to write the clips.
set -euo pipefail
OPENCV=5.0.0.93 AV=18.1.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "opencv-python==$OPENCV" "av==$AV" numpy
cat > "$folder/show.py" <<'PYTHON'
import bisect
import sys
from fractions import Fraction

import av
import cv2
import numpy as np

TIMES = [i / 10 for i in range(10)] + [1.0 + i for i in range(10)] + [11 + i / 25 for i in range(10)]
STEP = 8  # brightness from one frame to the next


def write(path: str, codec: str) -> None:
    with av.open(path, "w") as out:
        stream = out.add_stream(codec, rate=30)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        for number, seconds in enumerate(TIMES):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), STEP * number, np.uint8), "rgb24")
            frame.pts, frame.time_base = round(1000 * seconds), Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def number(clip: cv2.VideoCapture) -> int | None:
    found, frame = clip.read()
    return round(float(frame.mean()) / STEP) if found else None


print(f"opencv-python {cv2.__version__}, PyAV {av.__version__}: {len(TIMES)} frames, {TIMES[-1]} s")
wrong, counts, times_held = {}, {}, True
for name, codec in (("clip.mp4", "mpeg4"), ("clip.webm", "libvpx")):
    write(path := f"{sys.argv[1]}/{name}", codec)
    clip, seen = cv2.VideoCapture(path), []
    counts[name] = int(clip.get(cv2.CAP_PROP_FRAME_COUNT))
    while number(clip) is not None:
        seen.append(clip.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    times_held &= len(seen) == len(TIMES) and max(abs(a - b) for a, b in zip(seen, TIMES, strict=True)) < 0.002
    print(f"{name}: says {counts[name]} frames at {clip.get(cv2.CAP_PROP_FPS):.2f} a second; read in sequence {len(seen)}")
    wrong[name] = 0
    for moment in (0.5, 3.0, 7.5, 11.2):
        clip = cv2.VideoCapture(path)
        clip.set(cv2.CAP_PROP_POS_MSEC, 1000 * moment)
        have, want = number(clip), bisect.bisect_right(TIMES, moment) - 1
        wrong[name] += have != want
        print(f"  at {moment} s frame {have}, the one shown then is {want}")
same = times_held and wrong["clip.mp4"] >= 3 and wrong["clip.webm"] >= 3 and counts["clip.webm"] > 5 * len(TIMES)
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 300 "$folder/venv/bin/python" "$folder/show.py" "$folder"
