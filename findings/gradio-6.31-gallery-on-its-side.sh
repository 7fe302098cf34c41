#!/usr/bin/env bash
# The same photo from a phone reaches a handler upright from gr.Image and on its side from gr.Gallery.
#
# Expected: components that take pictures give a handler what the visitor sees: the page shows the photo upright in both. And boxes
#   drawn by gr.AnnotatedImage lie on the picture as it is shown.
# Happens: gr.Image applies the orientation in a photo's EXIF before it hands it over. gr.Gallery does not: as `type="pil"` the picture still
#   has the tag, by which one could know; as `type="numpy"` the pixels lie on their side and nothing tells. gr.AnnotatedImage,
#   given such a photo, lets the browser turn it, and makes its boxes and masks for the picture before it is turned.
# Shown: a JPEG of 100 x 60 pixels to be turned by a quarter, red in its upper half when upright, uploaded to four components: the size
#   and the colour of the upper right corner that each handler sees; then the sizes of picture and mask that gr.AnnotatedImage serves.
# Matters here: a page that goes over from one picture to several changes gr.Image for gr.Gallery, and the model is shown photos on their
#   side: it reads worse, and its boxes are those of another picture. A handler has to turn them itself, from `type="filepath"` or
#   "pil" (ImageOps.exif_transpose), before anything else. Ours take paths alone, and turn each file as it is read (image/load.py).
# Source: gradio 6.31.0, components/image.py, gallery.py and annotated_image.py.
set -euo pipefail
GRADIO=6.31.0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "gradio==$GRADIO"
cat > "$folder/show.py" <<'PYTHON'
import sys

import gradio
import numpy as np
from gradio_client import Client, handle_file
from PIL import Image, ImageOps

path = f"{sys.argv[1]}/photo.jpg"
upright = Image.new("RGB", (60, 100), "blue")
upright.paste("red", (0, 0, 60, 50))
exif = Image.Exif()
exif[0x0112] = 6  # to be turned clockwise by a quarter
upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)
assert ImageOps.exif_transpose(Image.open(path)).size == upright.size


def seen(picture):
    pixels = np.asarray(picture)
    corner = "red" if pixels[0, -1, 0] > 128 else "blue"  # the upper right one
    return f"{pixels.shape[1]} x {pixels.shape[0]}, {corner} at the upper right"


with gradio.Blocks() as demo:
    for kind in ("pil", "numpy"):
        gradio.Interface(seen, gradio.Image(type=kind), "text", api_name=f"image_{kind}")
        gradio.Interface(lambda found: seen(found[0][0]), gradio.Gallery(type=kind), "text", api_name=f"gallery_{kind}")
    gradio.Interface(lambda path: (path, [((0, 0, 60, 50), "red part")]), gradio.Image(type="filepath"),
                     gradio.AnnotatedImage(), api_name="annotated")  # fmt: skip
demo.launch(prevent_thread_lock=True, quiet=True, allowed_paths=[sys.argv[1]])
client = Client(demo.local_url, verbose=False)
photo, found = handle_file(path), {}
for kind in ("pil", "numpy"):
    found["Image", kind] = client.predict(photo, api_name=f"/image_{kind}")
    found["Gallery", kind] = client.predict([{"image": photo, "caption": None}], api_name=f"/gallery_{kind}")
for (name, kind), text in found.items():
    print(f"gradio {gradio.__version__}, gr.{name}(type={kind!r}): {text}")
answer = client.predict(photo, api_name="/annotated")
picture, mask = (Image.open(part) for part in (answer["image"], answer["annotations"][0]["image"]))
shown = ImageOps.exif_transpose(picture).size
print(f"gr.AnnotatedImage: the picture is shown as {shown}, its mask is {mask.size}")
demo.close(verbose=False)
expected = {"Image": "60 x 100, red at the upper right", "Gallery": "100 x 60, blue at the upper right"}
same = all(text == expected[name] for (name, _), text in found.items()) and (shown, mask.size) == ((60, 100), (100, 60))
print("as described" if same else "NOT as described any more")
sys.exit(not same)
PYTHON
export GRADIO_ANALYTICS_ENABLED=False
GRADIO_TEMP_DIR="$folder/files" timeout 300 "$folder/venv/bin/python" "$folder/show.py" "$folder"
