#!/usr/bin/env bash
# comfyui-frontend-package: an extension that listens to the page's event "b_preview_with_metadata" to
# show pictures in the making finds the prompt's id as `promptId` in 1.35.9 (ComfyUI 0.8.0) and as
# `jobId` in 1.49.6 (0.33.0); neither version carries both. The server's message is the same in both.
# Consequence for us: the sidebar asks for either.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
for version in 1.35.9 1.49.6; do
  "$work/env/bin/pip" install --quiet --no-deps --target "$work/$version" \
    "comfyui-frontend-package==$version"
done
python3 - "$work" <<'PY'
import re
import sys
from pathlib import Path

seen = {}
for version in ("1.35.9", "1.49.6"):
    names = set()
    for file in Path(sys.argv[1], version).rglob("*.js"):
        text = file.read_text(encoding="utf-8", errors="replace")
        for match in re.finditer(r"dispatchCustomEvent\([\"'`]b_preview_with_metadata[\"'`],\{([^}]*)\}", text):
            names |= set(re.findall(r"(\w+):", match[1]))
    seen[version] = sorted(names & {"promptId", "jobId"})
    print(version, sorted(names))
sys.exit(seen != {"1.35.9": ["promptId"], "1.49.6": ["jobId"]})
PY
echo "as recorded"
