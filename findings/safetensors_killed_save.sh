#!/usr/bin/env bash
# safetensors 0.8.0: save_file writes into a hidden file of a random name beside the target and renames
# it. A process that is killed in between leaves that file for good: nobody knows its name, and each
# killed save of a model or a context takes the disk space of a whole one.
# Consequence for us: contexts are written through NAME.part, which the next save of the name reuses.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet safetensors==0.8.0 numpy
mkdir "$work/saved"
"$work/env/bin/python" - "$work/saved" <<'PY'
import subprocess
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])
code = (
    "import sys, numpy as np\n"
    "from safetensors.numpy import save_file\n"
    "save_file({'x': np.zeros(200_000_000, np.float32)}, sys.argv[1])"
)
writer = subprocess.Popen([sys.executable, "-c", code, str(folder / "model.safetensors")])
while not any(folder.iterdir()):
    time.sleep(0.001)
writer.kill()
writer.wait()
left = sorted(file.name for file in folder.iterdir())
print("left behind:", left)
sys.exit(not (len(left) == 1 and left[0].startswith(".tmp")))
PY
echo "as recorded"
