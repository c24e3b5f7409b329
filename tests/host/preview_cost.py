"""What live previews cost: pictures drawn with and without them, in turn, on one server.

usage: python tests/host/preview_cost.py [--pairs 20] [--steps 16 100] [--keep FOLDER]

Counts processor time of the whole server, which other work on the machine disturbs less than the
clock; that includes turning the previews into JPEG for the page. Linux only.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from bases import PACK, make_base
from comfy_server import ComfyServer
from graphs import Graph
from runs import processor_seconds

from ming_run.comfyui_process import find_comfyui

METHODS = ("none", "auto")


def draw(server: ComfyServer, seed: int, steps: int, method: str) -> tuple[float, list[bytes]]:
    """Draw a picture; return what it took and the previews that came."""
    graph = Graph()
    graph.ming("LoadModel", "model")
    graph.ming("Generate", "draw", model=["model", 0], seed=seed, steps=steps)
    graph.preview("model", ["draw", 1], "shown")
    start = processor_seconds(server)
    run = server.run(graph.prompt, preview_method=method)
    return processor_seconds(server) - start, [picture for _, picture in run.previews]


def measure(server: ComfyServer, steps: int, pairs: int, keep: Path | None) -> str:
    """Draw pairs of pictures, one with previews; return a line of the table."""
    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    counts = []
    for seed in range(pairs + 1):
        for method in METHODS[:: (-1) ** seed]:
            took, previews = draw(server, seed * 2 + METHODS.index(method), steps, method)
            if seed:  # the first pair warms up
                seconds[method].append(took)
            counts += [len(previews)] if seed and method == "auto" else []
            for number, picture in enumerate(previews if keep and seed == pairs else []):
                (keep / f"steps{steps}-{number}.jpg").write_bytes(picture)
    without, with_ = (statistics.mean(seconds[method]) for method in METHODS)
    shown = statistics.mean(counts)
    return f"| {steps} | {without:.2f} s | {shown:.1f} | {100 * (with_ / without - 1):+.1f} % |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--steps", type=int, nargs="+", default=[16, 100])
    parser.add_argument("--keep", type=Path, help="folder for the previews of the last picture")
    parser.add_argument("--comfyui", type=Path, default=find_comfyui(PACK))
    args = parser.parse_args()
    if args.comfyui is None:
        parser.error("no ComfyUI was found: name its folder")
    with tempfile.TemporaryDirectory() as folder:
        server = ComfyServer(args.comfyui, make_base(Path(folder) / "base"))
        try:
            print("| flow steps | processor time without | previews shown | more with them |")
            print("|---|---|---|---|")
            for steps in args.steps:
                print(measure(server, steps, args.pairs, args.keep), flush=True)
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
