#!/usr/bin/env bash
# An animated WebP of an opaque thing on a transparent ground is written as a file without transparency: its ground comes back black.
#
# Expected: frames of RGBA that are saved as lossless WebP come back as they were, as one such frame does, and as APNG gives them.
# Happens: the encoder cuts each frame down to what is not transparent. Where that is an opaque rectangle (a photo, a window, a card, a
#   bar of a plot), no piece that is stored has transparency itself, and the file's header says that the file has none, though most of its
#   canvas is covered by nothing. Pillow and OpenCV go by the header and make the rest opaque black, libvips leaves it transparent. One
#   frame in which the thing overlaps its earlier place, or is round, sets the mark, and the same ground is transparent to all. Pillow and
#   OpenCV write such files alike.
# Shown: two frames with a square that changes colour, moves far, or moves a little, and a disc, saved by Pillow as lossless WebP and as
#   APNG: the header's mark, and a corner as Pillow, OpenCV and libvips read it; then the WebP that OpenCV writes.
# Matters here: pictures with a transparent ground are laid on white before the model sees them. Of such a file the model sees
#   black: dark drawings vanish in it. `kmax=1` in Pillow (every frame whole) keeps the mark; APNG and AVIF have no such case.
# Source: Pillow 13.0.0 and 12.3.0, OpenCV 5.0.0, pyvips-binary 8.18.7 (libwebp 1.6.0); the chunks of the files (VP8X, ANMF, VP8L).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 opencv-python-headless==5.0.0.93 numpy \
    pyvips==3.2.0 pyvips-binary==8.18.7
cat > "$folder/show.py" <<'PYTHON'
import os
import sys
from importlib.metadata import version

import cv2
import numpy as np
import pyvips
from PIL import Image, ImageDraw, features

os.chdir(sys.argv[1])


def frame(left, colour="red", draw=ImageDraw.ImageDraw.rectangle):
    picture = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    draw(ImageDraw.Draw(picture), (left, 10, left + 9, 29), fill=colour)
    return picture


def marked(path):
    with open(path, "rb") as file:
        header = file.read(21)
    assert header[12:16] == b"VP8X"
    return bool(header[20] & 16)


def corners(path):
    """How opaque the corner of the first frame is, 0 to 255, to three readers."""
    yield Image.open(path).convert("RGBA").getpixel((0, 0))[3]
    read = cv2.imreadanimation(path)[1].frames[0]
    yield 255 if read.shape[2] == 3 else int(read[0, 0, 3])
    pages = pyvips.Image.new_from_file(path)
    yield 255 if pages.bands == 3 else int(pages(0, 0)[3])


disc = ImageDraw.ImageDraw.ellipse
cases = {
    "another colour": ([frame(10), frame(10, "blue")], False),
    "moved far": ([frame(10), frame(40)], False),
    "moved a little": ([frame(10), frame(15)], True),
    "a disc": ([frame(10, draw=disc), frame(40, draw=disc)], True),
}
print(f"Pillow {version('pillow')} with libwebp {features.version('webp')}, OpenCV {cv2.__version__}, pyvips {version('pyvips')}")
same = True
for name, (frames, kept) in cases.items():
    more = {"save_all": True, "append_images": frames[1:], "duration": 100}
    frames[0].save("a.webp", lossless=True, **more)
    frames[0].save("whole.webp", lossless=True, kmax=1, **more)
    frames[0].save("still.webp", lossless=True)
    frames[0].save("a.png", **more)
    animation = cv2.Animation()
    animation.frames = [cv2.cvtColor(np.asarray(each), cv2.COLOR_RGBA2BGRA) for each in frames]
    animation.durations = np.array([100, 100])
    cv2.imwriteanimation("cv.webp", animation, [cv2.IMWRITE_WEBP_QUALITY, 101])
    opacity = list(corners("a.webp"))
    others = [Image.open(path).convert("RGBA").getpixel((0, 0))[3] for path in ("still.webp", "whole.webp", "a.png")]
    marks = [marked(path) for path in ("a.webp", "whole.webp", "cv.webp")]
    print(f"{name}: header has transparency {marks[0]}, corner's opacity to Pillow, OpenCV, libvips {opacity}")
    print(f"    still, whole frames, APNG {others}; header with whole frames {marks[1]}, written by OpenCV {marks[2]}")
    same = same and opacity == [0 if kept else 255, 0 if kept else 255, 0] and others == [0, 0, 0] and marks == [kept, True, kept]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 120 "$folder/venv/bin/python" "$folder/show.py" "$folder"
