#!/usr/bin/env bash
# av (PyAV) 18.1.0, with which newer ComfyUI hosts read pictures and videos: a frame of 8 bits a channel that is
# turned into a format of floats or of 16 bits is scaled by 256/65536 and not by 257/65536, so white
# comes out as 0.9961 and every level up to one darker; as "rgb24" (and grey as "gray16le") the same frame is exact.
# No error and no warning: a node that asks PyAV for floats darkens pictures by a little at every load, as Load Image
# of ComfyUI 0.33.0 does with grey ones.
# Consequence for us: without a host, pictures are read by Pillow, and their bytes divided by 255.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet av==18.1.0 numpy pillow
"$work/env/bin/python" - <<'PY'
import io
import sys

import av
import numpy as np
from PIL import Image

levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
largest = {"rgb24": 255, "gray16le": 65535, "rgb48le": 65535, "gbrpf32le": 1}
white = {}
for mode in ("L", "RGB"):
    file = io.BytesIO()
    Image.fromarray(levels).convert(mode).save(file, "PNG")
    file.seek(0)
    with av.open(file) as container:
        frame = next(container.decode(video=0))
    for form in largest if mode == "L" else ("rgb24", "rgb48le", "gbrpf32le"):
        pixels = frame.to_ndarray(format=form).astype(float) / largest[form]
        white[mode, form] = pixels.max()
        darker = (levels / 255 - (pixels if pixels.ndim == 2 else pixels[..., 0])).max() * 255
        print(f"{frame.format.name} as {form}: white {pixels.max():.4f}, up to {darker:.3f} of 255 too dark")
exact = [value == 1 for (_, form), value in white.items() if form in ("rgb24", "gray16le")]
dark = [0.995 < value < 0.997 for (_, form), value in white.items() if form in ("rgb48le", "gbrpf32le")]
sys.exit(not (all(exact) and all(dark)))
PY
echo "as recorded"
