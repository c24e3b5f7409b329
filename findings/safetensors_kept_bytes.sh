#!/usr/bin/env bash
# safetensors 0.8.0 with torch 2.13.0: a process keeps some 60 bytes of every tensor that it reads by
# `safe_open(...).get_tensor(name)`, after the file is closed and the tensors are gone; opening the file,
# listing it and reading by numpy keep none. A long-lived server that changes its models often grows by that.
# Consequence for us: none to speak of (tens of thousands of tensors a model are a few MB a change); what
# memory the soak shows growing is this (docs/host_modes.md).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet torch==2.13.0 numpy safetensors==0.8.0
"$work/env/bin/python" - "$work/a.safetensors" <<'PY'
import ctypes
import gc
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file

NAMES, PASSES = 200, 200
save_file({f"t{i}": torch.zeros(8, 8) for i in range(NAMES)}, sys.argv[1])


def own():
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def kept(framework, read):
    def once():
        with safe_open(sys.argv[1], framework=framework) as file:
            for name in file.keys():
                if read:
                    file.get_tensor(name)

    for _ in range(10):
        once()
    before = own()
    for _ in range(PASSES):
        once()
    return (own() - before) / NAMES / PASSES


found = {"opened": kept("pt", False), "numpy": kept("np", True), "torch": kept("pt", True)}
print({kind: f"{count:.1f} bytes a tensor" for kind, count in found.items()})
sys.exit(not (found["torch"] > 40 and found["opened"] < 5 and found["numpy"] < 5))
PY
echo "as recorded"
