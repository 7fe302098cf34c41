#!/usr/bin/env bash
# Pillow holds Python's global lock for the whole time that it decodes a JPEG 2000 file, and for most of that of an AVIF.
#
# Expected: Image.load() lets go of the lock around its decoder, as it does for JPEG, PNG and WebP.
# Happens: no other thread runs until the picture is decoded: seconds, 10 to 40 for 40 megapixels on a busy machine.
#   The decoder reads its file by itself (`pulls_fd`), and for such decoders decode.c keeps the lock.
# Shown: the longest gap between the ticks of another thread, as a share of the time that the same picture takes to load.
# Matters here: one upload stopped every stream, heartbeat and health check of a server, and connections were lost. Such
#   files are decoded in a process of their own.
# Source: Pillow 12.3.0; found by sending odd files to a server while another client asked whether it was alive.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pillow==12.3.0"
cat > "$folder/show.py" <<'PYTHON'
import io
import threading
import time

from PIL import Image

picture = Image.effect_noise((3000, 2000), 60).convert("RGB")
gap = 0.0


def tick():
    global gap
    last = time.perf_counter()
    while True:
        time.sleep(0.002)
        now = time.perf_counter()
        gap, last = max(gap, now - last), now


threading.Thread(target=tick, daemon=True).start()
shares = {}
options = {"JPEG2000": {"quality_mode": "rates", "quality_layers": [10]}, "AVIF": {"speed": 10}, "PNG": {}}
for kind in options:
    file = io.BytesIO()
    picture.save(file, kind, **options[kind])
    image = Image.open(io.BytesIO(file.getvalue()))
    time.sleep(0.1)
    gap, started = 0.0, time.perf_counter()
    image.load()
    time.sleep(0.01)
    seconds = time.perf_counter() - started
    shares[kind] = gap / seconds
    print(f"{kind}: loaded in {seconds:.2f} s, of which another thread waited {gap:.2f} s at a stretch")
assert shares["JPEG2000"] > 0.8 and shares["AVIF"] > 0.6 > 0.5 > shares["PNG"], shares
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
