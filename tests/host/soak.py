"""Many prompts in a row, some cancelled, some wrong, on two models: memory stays, results agree.

usage: python tests/host/soak.py [--prompts 200] [--seed 0] [--comfyui FOLDER]

Every kind of prompt is first run alone on a server that has just been told to forget everything;
that is what its later results are compared with. Then prompts are queued in bursts, in an order
that the seed decides. In some of the bursts one is cancelled at a random moment or taken out of the
queue; between them prompts go wrong, one of them on a full disk, models are freed, and what was
saved is deleted.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bases import PACK, make_base
from comfy_server import ComfyServer, Prompt, RefusedError, Run
from graphs import Graph, edit_chain, one_picture
from runs import MIB, digest_of

from ming_bench.tiny_checkpoint.make import make_tiny
from ming_run.comfyui_process import find_comfyui

CHECKPOINTS = ("Ming-UniVision", "second/Ming-UniVision")
PRECISIONS = ("auto", "int8")
BURST = 3
FULL = "full"  # a folder of the output folder, on a disk without room
# In a name space of its own, so that nothing is left of it; needs Linux.
FULL_DISK = (
    "unshare",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs -o size=4k none "$0" && head -c 4096 /dev/zero > "$0/filler" && exec "$@"',
)
WARM = 0.4  # of the prompts pass before memory is compared with the start


@dataclass
class Report:
    """What happened."""

    endings: dict[str, int] = field(default_factory=dict)
    different: list[str] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)  # errors that are none of ours
    resident: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, ending: str) -> None:
        """Count one more prompt that ended so."""
        self.endings[ending] = self.endings.get(ending, 0) + 1

    def look_at(self, run: Run) -> None:
        """Count a finished prompt; keep its error if no code of ours raised it on purpose."""
        self.count(run.ending)
        for kind, told in run.messages:
            if kind == "execution_error" and "ming_core.errors." not in told["exception_type"]:
                self.raw.append(f"{told['exception_type']}: {told['exception_message'][:200]}")

    @property
    def growth(self) -> int:
        """Bytes by which memory is larger at the end than it was once everything had been used."""
        warm = self.resident[: max(1, int(len(self.resident) * WARM))]
        return self.resident[-1] - max(warm)


def kinds() -> dict[str, Graph]:
    """Return the prompts of the soak by name, for either model and precision."""
    graphs = {
        "picture": one_picture(seed=1, steps=8),
        "pictures": one_picture(seed=2, images=3),
        "chain": edit_chain(instruction="at noon"),
        "words": _words(),
    }
    return {
        f"{name} {checkpoint} {precision}": _with(graph, checkpoint, precision)
        for name, graph in graphs.items()
        for checkpoint in CHECKPOINTS
        for precision in PRECISIONS
    }


def _words() -> Graph:
    graph = Graph()
    graph.ming("LoadModel", "model")
    graph.ming("Describe", "ask", model=["model", 0], max_tokens=30, temperature=1.0, seed=5)
    graph.add("PreviewAny", "told", source=["ask", 0])
    return graph


def _with(graph: Graph, checkpoint: str, precision: str) -> Graph:
    changed = Graph()
    changed.prompt = {name: {**node} for name, node in graph.prompt.items()}
    inputs = graph.prompt["model"]["inputs"] | {"checkpoint": checkpoint, "precision": precision}
    changed.prompt["model"]["inputs"] = inputs
    return changed


def wrong_prompts(server: ComfyServer) -> list[Prompt]:
    """Return prompts that end in an error: one refused at once, the others while they run."""
    refused, no_picture, lost = one_picture(seed=1), Graph(), one_picture(seed=1)
    full = one_picture(seed=1)
    full.prompt["saved"]["inputs"]["filename_prefix"] = f"{FULL}/c"
    picture = one_picture(seed=1)
    picture.ming(
        "SaveImage",
        "saved",
        images=["shown_decode", 0],
        context=["draw", 0],
        filename_prefix=f"{FULL}/p",
    )
    refused.prompt["model"]["inputs"]["checkpoint"] = "missing"
    no_picture.ming("LoadModel", "model")
    no_picture.ming("EditStep", "edit", model=["model", 0])
    no_picture.preview("model", ["edit", 1], "shown")
    lost.ming("LoadModel", "other", checkpoint=CHECKPOINTS[1])
    lost.ming("EditStep", "edit", model=["other", 0], context=["draw", 0])
    lost.preview("other", ["edit", 1], "edited")
    has_full_disk = (server.base / "output" / FULL).is_dir()
    graphs = [refused, no_picture, lost, *([full, picture] if has_full_disk else [])]
    return [graph.prompt for graph in graphs]


def server_with_a_full_disk(comfyui: Path, base: Path) -> ComfyServer:
    """Start a server in whose output folder there is a full disk, where that can be had."""
    (base / "output" / FULL).mkdir()
    through = [*FULL_DISK, str(base / "output" / FULL)]
    if shutil.which("unshare") and subprocess.run([*through, "true"], check=False).returncode == 0:
        return ComfyServer(comfyui, base, through=through)
    (base / "output" / FULL).rmdir()
    return ComfyServer(comfyui, base)


def single_runs(server: ComfyServer, graphs: dict[str, Graph]) -> dict[str, str]:
    """Return what every prompt gives on its own."""
    expected = {}
    for name, graph in graphs.items():
        server.free()
        run = server.run(graph.prompt)
        if run.ending != "execution_success":
            raise RuntimeError(f"{name}: {run.ending}")
        expected[name] = digest_of(server, run)
    return expected


def soak(server: ComfyServer, prompts: int, seed: int) -> Report:
    """Run so many prompts and report; the server keeps running."""
    dice, report, graphs = random.Random(seed), Report(), kinds()
    if prompts < 100:
        graphs = dict(dice.sample(sorted(graphs.items()), 4))
    second = server.base / "models" / "ming_univision" / "second"
    make_tiny(second, seed=1)
    expected, wrong = single_runs(server, graphs), wrong_prompts(server)
    start = time.perf_counter()
    while sum(report.endings.values()) < prompts:
        for name, run in _left_of_a_burst(server, dice, graphs, report):
            report.look_at(server.finish(run))
            if run.ending == "execution_success" and digest_of(server, run) != expected[name]:
                report.different.append(name)
        if dice.random() < 0.5:
            _fails(server, dice.choice(wrong), report)
        if dice.random() < 0.1:
            server.free()
        if dice.random() < 0.1:
            _delete_what_was_saved(server)
        report.resident.append(server.resident_bytes())
    report.seconds = time.perf_counter() - start
    return report


def leftovers(server: ComfyServer) -> list[str]:
    """Return what lies half-written in the output folder, on its full disk as well (Linux)."""
    output = server.base.absolute() / "output"
    seen_by_server = Path(f"/proc/{server.process.pid}/root") / output.relative_to("/")
    full = [path.name for path in (seen_by_server / FULL).glob("*") if path.name != "filler"]
    return [*full, *(p.name for p in output.rglob("*") if p.suffix in (".part", ".unfinished"))]


def _left_of_a_burst(
    server: ComfyServer, dice: random.Random, graphs: dict[str, Graph], report: Report
) -> list[tuple[str, Run]]:
    """Queue some prompts, delete or cancel one now and then; return those that will end."""
    chosen = [dice.choice(sorted(graphs)) for _ in range(BURST)]
    burst = [(name, server.started(graphs[name].prompt)) for name in chosen]
    if dice.random() < 0.3 and _is_deleted(server, burst[-1][1]):
        burst.pop()
        report.count("deleted")
    if dice.random() < 0.4:
        _cancel(server, burst[0][1], after=dice.randint(1, 60))
    return burst


def _cancel(server: ComfyServer, run: Run, after: int) -> None:
    """Cancel a prompt after so many steps, unless it has ended by then."""
    with suppress(AssertionError):
        server.wait_for_progress(run, after)
        server.post("/interrupt", {"prompt_id": run.prompt_id})


def _is_deleted(server: ComfyServer, run: Run) -> bool:
    """Take a prompt out of the queue; whether it was still in there."""
    server.post("/queue", {"delete": [run.prompt_id]})
    entries = server.get_json("/queue")
    is_queued = any(entry[1] == run.prompt_id for part in entries.values() for entry in part)
    return not is_queued and not server.get_json(f"/history/{run.prompt_id}")


def _delete_what_was_saved(server: ComfyServer) -> None:
    for folder in (server.base / "output").iterdir():
        if folder.name != FULL:
            shutil.rmtree(folder)


def _fails(server: ComfyServer, prompt: Prompt, report: Report) -> None:
    """Run a wrong prompt, and count how it failed."""
    try:
        report.look_at(server.run(prompt))
    except RefusedError:
        report.count("refused")


def main() -> int:
    """Print the report; 1 if a result differed, an error was none of ours or a file was left."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--comfyui", type=Path, default=find_comfyui(PACK))
    args = parser.parse_args()
    if args.comfyui is None:
        parser.error("no ComfyUI was found: name its folder")
    with tempfile.TemporaryDirectory() as folder:
        server = server_with_a_full_disk(args.comfyui, make_base(Path(folder) / "base"))
        try:
            report, left = soak(server, args.prompts, args.seed), leftovers(server)
        finally:
            server.stop()
    print(f"{sum(report.endings.values())} prompts in {report.seconds:.0f} s: {report.endings}")
    print("results that differ from their single run:", report.different or "none")
    print("errors that are none of ours:", report.raw or "none")
    print("left half-written:", left or "nothing")
    print("resident MiB:", " ".join(f"{bytes_ / MIB:.0f}" for bytes_ in report.resident))
    print(f"growth after the first {WARM:.0%}: {report.growth / MIB:+.1f} MiB")
    return 1 if report.different or report.raw or left else 0


if __name__ == "__main__":
    sys.exit(main())
