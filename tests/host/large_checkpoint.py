"""One picture of a large checkpoint through the nodes of a real ComfyUI on a processor.

usage: python tests/host/large_checkpoint.py CHECKPOINT [--steps 6] [--comfyui FOLDER]

Says how long it took and how much main memory the server took at most (Linux). Random weights of
the published size will do: `tools/random_checkpoint.py`, then `ming convert --precision int4`.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bases import link_folder, make_base
from comfy_server import ComfyServer
from graphs import one_picture

from ming_run.comfyui_process import find_comfyui


def main() -> int:
    """Draw, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--comfyui", type=Path)
    args = parser.parse_args()
    comfyui = args.comfyui or find_comfyui()
    with tempfile.TemporaryDirectory() as folder:
        base = make_base(Path(folder) / "base")
        link_folder(args.checkpoint.resolve(), base / "models" / "ming_univision" / "large")
        graph = one_picture(seed=1, steps=args.steps)
        inner = "/Ming-UniVision" if (args.checkpoint / "Ming-UniVision").is_dir() else ""
        graph.prompt["model"]["inputs"]["checkpoint"] = f"large{inner}"
        server = ComfyServer(comfyui, base)
        try:
            start = time.monotonic()
            run = server.run(graph.prompt)
            seconds = time.monotonic() - start
            most = peak_bytes(server.process.pid)
        finally:
            server.stop()
        size = sum(file.stat().st_size for file in args.checkpoint.glob("*.safetensors"))
    is_drawn = run.ending == "execution_success"
    sys.stdout.write(
        f"{'drawn' if is_drawn else run.error}: {args.checkpoint}, {size / 1e9:.1f} GB, "
        f"{args.steps} steps, {seconds:.0f} s with loading, at most {most / 1e9:.1f} GB of memory\n"
    )
    return int(not is_drawn)


def peak_bytes(pid: int) -> int:
    """Return the most resident memory a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) << 10


if __name__ == "__main__":
    sys.exit(main())
