#!/usr/bin/env bash
# imageio reads a scan of five pages as three pictures, pages 1 and 3 in one; tifffile.imread gives those two alone.
#
# Expected: a page of a TIFF file is a picture: imiter() gives five one after the other, imread(index=1) the second, as Pillow and OpenCV do, and
#   as imageio itself does of a GIF.
# Happens: tifffile, of which imageio brings a copy for the case that it is not installed, puts pages of one size and one kind together as a
#   "series", wherever in the file they stand, and imageio's pictures are these. imiter() gives pages 1 and 3 as one array of four dimensions,
#   then 2 and 4, then 5; imread(index=1) gives pages 2 and 4. tifffile.imread gives the first series and says nothing of the rest. With
#   pages all alike it is one array of all of them, which works until a page in colour comes in between.
# Shown: a file that Pillow writes, in colour and grey by turns and a last page turned: the shapes and values from imageio with its
#   own copy and with tifffile, from tifffile.imread, and from imageio with plugin="pillow".
# Matters here: scanners write such files, covers in colour and the rest in grey, and each page is a picture for a model. Pages are missed or
#   shuffled, or a processor is handed two as one. Name the plugin. We read pages with Pillow.
# Source: tifffile 2026.3.3 (TiffFile.series, imread), imageio 2.38.1 (config/extensions.py, plugins/tifffile_v3.py, plugins/tifffile.py),
#   Pillow 13.0.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imageio==2.38.1 pillow==13.0.0 numpy
cat > "$folder/show.py" <<'PYTHON'
import importlib.util
import os
import sys
from importlib.metadata import version

import imageio.v3
from PIL import Image

os.chdir(sys.argv[1])
PAGES = [("RGB", (100, 60)), ("L", (100, 60)), ("RGB", (100, 60)), ("L", (100, 60)), ("RGB", (60, 100))]  # page n has the value 10 n
SERIES = [((2, 60, 100, 3), [10, 30]), ((2, 60, 100), [20, 40]), ((100, 60, 3), [50])]
first, *others = [
    Image.new(mode, size, 10 * number if mode == "L" else 3 * (10 * number,)) for number, (mode, size) in enumerate(PAGES, 1)
]
first.save("scan.tif", save_all=True, append_images=others)
single = [((size[1], size[0], *((3,) if mode == "RGB" else ())), [10 * number]) for number, (mode, size) in enumerate(PAGES, 1)]


def about(array):
    values = sorted({int(value) for value in array.ravel()})
    return array.shape, values


def by_imageio(**options):
    with_number = about(imageio.v3.imread("scan.tif", index=1, **options))
    return [about(array) for array in imageio.v3.imiter("scan.tif", **options)], with_number


there = importlib.util.find_spec("tifffile") is not None
pages, second = by_imageio()
print(f"imageio {version('imageio')}, {'tifffile ' + version('tifffile') if there else 'its own copy of tifffile'}: shapes and values of imiter()")
print(f"    {pages}\n    imread(index=1) {second}")
named = by_imageio(plugin="pillow")
print(f"    with plugin='pillow' {len(named[0])} pages")
same = (pages, second) == (SERIES, SERIES[1]) and named == (single, single[1])
if there:
    import tifffile

    alone = about(tifffile.imread("scan.tif"))
    print(f"    tifffile.imread {alone}")
    same = same and alone == SERIES[0]
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/show.py" "$folder"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tifffile==2026.3.3
timeout 60 "$folder/venv/bin/python" "$folder/show.py" "$folder"
