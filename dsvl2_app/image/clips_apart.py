"""The process that decodes a clip: the file comes on its standard input, what is wanted as JSON in its argument.

{"most": N, "pixels": P} asks for at most N moments, evenly spaced in time, of a clip of at most P pixels a frame:
{"size", "frames", "seconds", "length"}. {"frames": [N, ...]} asks for these frames, RGB, one after the other. What is
wrong goes to standard error as one word, with exit status 3.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from tempfile import NamedTemporaryFile
from typing import Any, NoReturn

MOST_SECONDS = 30  # of a processor
MOST_BYTES = 4 * 2**30  # of address space
MOST_FRAMES = 100_000
WIDEST = 4.0  # pixels of a film are at most so many times as wide as high, or as high as wide; others count as square


def main() -> None:
    with suppress(ImportError, ValueError, OSError):  # Windows, or less is allowed already
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "protocol_whitelist;file|threads;1"
    os.environ["OPENCV_LOG_LEVEL"] = "OFF"
    import cv2

    wanted = json.loads(sys.argv[1])
    with NamedTemporaryFile(suffix=".clip", delete=False) as file:
        file.write(sys.stdin.buffer.read())
    try:
        capture = cv2.VideoCapture(file.name, cv2.CAP_FFMPEG)
        if not capture.isOpened():
            fail("damaged")
        answer(cv2, capture, wanted)
    finally:
        os.unlink(file.name)


def answer(cv2: Any, capture: Any, wanted: dict[str, Any]) -> None:
    out = sys.stdout.buffer
    if "most" in wanted:
        if capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT) > wanted["pixels"]:
            fail("large")
        ok, first = capture.read()
        if not ok:
            fail("damaged")
        size = shown_size(cv2, capture, first)
        if size[0] * size[1] > wanted["pixels"]:
            fail("large")
        times = [capture.get(cv2.CAP_PROP_POS_MSEC) / 1000]
        while len(times) < MOST_FRAMES and capture.grab():
            times.append(max(times[-1], capture.get(cv2.CAP_PROP_POS_MSEC) / 1000))
        frames = choose(times, wanted["most"])
        found = {"size": size, "frames": frames}
        found |= {"seconds": [times[frame] - times[0] for frame in frames], "length": times[-1] - times[0]}
        out.write(json.dumps(found).encode())
        return
    for number in range(max(wanted["frames"]) + 1):
        if not capture.grab():
            fail("damaged")
        for _ in range(wanted["frames"].count(number)):
            ok, image = capture.retrieve()
            if not ok:
                fail("damaged")
            size, shown = shown_size(cv2, capture, image), cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            if size != image.shape[1::-1]:
                shown = cv2.resize(shown, size, interpolation=cv2.INTER_CUBIC)
            out.write(shown.tobytes())
    out.flush()


def shown_size(cv2: Any, capture: Any, image: Any) -> tuple[int, int]:
    """Width and height in px of a frame, [height, width, 3], once its pixels are square; neither side shrinks."""
    height, width = image.shape[:2]
    across, down = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    ratio = across / down if across > 0 and down > 0 else 1.0
    if not 1 / WIDEST <= ratio <= WIDEST:
        ratio = 1.0
    if capture.get(cv2.CAP_PROP_ORIENTATION_AUTO) and capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90:
        ratio = 1 / ratio  # it has been turned already, and the ratio is that of the file
    return (round(width * ratio), height) if ratio >= 1 else (width, round(height / ratio))


def choose(times: list[float], most: int) -> list[int]:
    """Numbers of the frames that are shown at evenly spaced moments, in the middle of so many parts of the clip."""
    if len(times) <= most:
        return list(range(len(times)))
    start, length = times[0], times[-1] - times[0]
    chosen: list[int] = []
    frame = 0
    for part in range(most):
        moment = start + length * (part + 0.5) / most
        while frame + 1 < len(times) and times[frame + 1] <= moment:
            frame += 1
        chosen.append(frame)
    return sorted(set(chosen))


def fail(problem: str) -> NoReturn:
    print(problem, file=sys.stderr)
    raise SystemExit(3)
