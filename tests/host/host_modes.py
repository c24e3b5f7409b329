"""The host's modes beside each other: memory, time, and whether the pictures are the same.

usage: python tests/host/host_modes.py [--comfyui FOLDER] [--mode=NAME ...]

Starts a real ComfyUI per mode on the CPU, with the tiny checkpoint, and prints a table; time is
processor time, which other work on the machine disturbs less than the clock. Where a
share of the device is named, the host's patchers bring that much of each model to a device that
is simulated in main memory, and stream the rest by the host's own code (small_device.py): the
host refuses --lowvram and --novram together with --cpu.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bases import PACK, make_base
from comfy_server import ComfyServer, Prompt
from graphs import edit_chain
from runs import MIB, digest_of, peak_bytes, processor_seconds

from ming_run.comfyui_process import find_comfyui

REPEATS = 3
STEPS = 16


@dataclass(frozen=True)
class Mode:
    """A way to start the host."""

    name: str
    options: tuple[str, ...] = ()
    share: float | None = None
    lets_go: bool = False


MODES = (
    Mode("--cpu"),
    Mode("--cpu, previews", ("--preview-method", "auto")),
    Mode("--disable-smart-memory", ("--disable-smart-memory",)),
    Mode("--cache-none", ("--cache-none",)),
    Mode("--cache-lru 4", ("--cache-lru", "4")),
    Mode("--cache-ram, always too little", ("--cache-ram", "9999")),
    Mode("60 % on the device (as --lowvram)", share=0.6),
    Mode("nothing on the device (as --novram)", share=0.0),
    Mode("30 % on the device, another model in between", share=0.3, lets_go=True),
)


def prompt_of(mode: Mode, repeat: int) -> Prompt:
    """Return a picture and three edits; other words every time, as caches would answer."""
    graph = edit_chain(instruction=f"at noon, number {repeat}", steps=STEPS)
    for name in ("first", "step1", "step2"):
        graph.prompt[name]["inputs"] |= {"steps": STEPS, "seed": repeat}
    if mode.lets_go:
        graph.add("TestLetGo", "gone", context=["step1", 0])
        graph.prompt["step2"]["inputs"]["context"] = ["gone", 0]
    return graph.prompt


def measure(mode: Mode, comfyui: Path) -> tuple[float, int, list[str]]:
    """Return the processor seconds of the cheapest run, the peak memory, and all results."""
    with tempfile.TemporaryDirectory() as folder:
        base = make_base(Path(folder) / "base", mode.share)
        server = ComfyServer(comfyui, base, *mode.options)
        seconds, digests = [], []
        try:
            for repeat in range(REPEATS):
                start = processor_seconds(server)
                run = server.run(prompt_of(mode, repeat))
                seconds.append(processor_seconds(server) - start)
                if run.ending != "execution_success":
                    raise SystemExit(f"{mode.name}: {run.ending}\n{server.log[-4000:]}")
                digests.append(digest_of(server, run))
            return min(seconds), peak_bytes(server), digests
        finally:
            server.stop()


def table(modes: list[Mode], comfyui: Path) -> Iterator[str]:
    """Yield the lines of the table; the first mode is what the others are compared with."""
    yield "| mode | peak memory | processor time | same pictures and contexts |"
    yield "|---|---|---|---|"
    first = None
    for mode in modes:
        seconds, peak, digests = measure(mode, comfyui)
        first = first or (seconds, digests)
        same = "yes" if digests == first[1] else "NO"
        yield f"| {mode.name} | {peak / MIB:.0f} MiB | {seconds / first[0]:.2f} | {same} |"


def main() -> int:
    """Print the table line by line; 1 if any result differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--comfyui", type=Path, default=find_comfyui(PACK))
    parser.add_argument("--mode", action="append", choices=[mode.name for mode in MODES])
    args = parser.parse_args()
    if args.comfyui is None:
        parser.error("no ComfyUI was found: name its folder")
    chosen = [mode for mode in MODES if args.mode is None or mode.name in args.mode]
    is_same = True
    for line in table(chosen, args.comfyui):
        print(line, flush=True)
        is_same = is_same and not line.endswith("NO |")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
