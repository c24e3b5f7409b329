"""Many prompts in a row, some cancelled, some wrong, on two models: memory stays, results agree.

usage: python tests/host/soak.py [--prompts 200] [--seed 0] [--comfyui FOLDER]

Every kind of prompt is first run alone on a server that has just been told to forget everything;
that is what its later results are compared with. Then prompts are queued in bursts, in an order
that the seed decides, and in some of the bursts one is cancelled at a random moment.
"""

import argparse
import random
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
WARM = 0.4  # of the prompts pass before memory is compared with the start


@dataclass
class Report:
    """What happened."""

    endings: dict[str, int] = field(default_factory=dict)
    different: list[str] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, ending: str) -> None:
        """Count one more prompt that ended so."""
        self.endings[ending] = self.endings.get(ending, 0) + 1

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


def wrong_prompts() -> list[Prompt]:
    """Return prompts that end in an error: one refused at once, two while they run."""
    refused, no_picture, lost = one_picture(seed=1), Graph(), one_picture(seed=1)
    refused.prompt["model"]["inputs"]["checkpoint"] = "missing"
    no_picture.ming("LoadModel", "model")
    no_picture.ming("EditStep", "edit", model=["model", 0])
    no_picture.preview("model", ["edit", 1], "shown")
    lost.ming("LoadModel", "other", checkpoint=CHECKPOINTS[1])
    lost.ming("EditStep", "edit", model=["other", 0], context=["draw", 0])
    lost.preview("other", ["edit", 1], "edited")
    return [refused.prompt, no_picture.prompt, lost.prompt]


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
    expected, wrong = single_runs(server, graphs), wrong_prompts()
    start, done = time.perf_counter(), 0
    while done < prompts:
        burst = _burst(server, dice, sorted(graphs), graphs)
        if dice.random() < 0.4:
            _cancel(server, burst[0][1], after=dice.randint(1, 60))
        for name, run in burst:
            server.finish(run)
            report.count(run.ending)
            if run.ending == "execution_success" and digest_of(server, run) != expected[name]:
                report.different.append(name)
        done += len(burst)
        if dice.random() < 0.5:
            report.count(_fails(server, dice.choice(wrong)))
            done += 1
        if dice.random() < 0.1:
            server.free()
        report.resident.append(server.resident_bytes())
    report.seconds = time.perf_counter() - start
    return report


def _burst(
    server: ComfyServer, dice: random.Random, names: list[str], graphs: dict[str, Graph]
) -> list[tuple[str, Run]]:
    chosen = [dice.choice(names) for _ in range(BURST)]
    return [(name, server.started(graphs[name].prompt)) for name in chosen]


def _cancel(server: ComfyServer, run: Run, after: int) -> None:
    """Cancel a prompt after so many steps, unless it has ended by then."""
    with suppress(AssertionError):
        server.wait_for_progress(run, after)
        server.post("/interrupt", {"prompt_id": run.prompt_id})


def _fails(server: ComfyServer, prompt: Prompt) -> str:
    """Run a wrong prompt; return how it failed."""
    try:
        return server.run(prompt).ending
    except RefusedError:
        return "refused"


def main() -> int:
    """Print the report; 1 if a result differed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--comfyui", type=Path, default=find_comfyui(PACK))
    args = parser.parse_args()
    if args.comfyui is None:
        parser.error("no ComfyUI was found: name its folder")
    with tempfile.TemporaryDirectory() as folder:
        server = ComfyServer(args.comfyui, make_base(Path(folder) / "base"))
        try:
            report = soak(server, args.prompts, args.seed)
        finally:
            server.stop()
    print(f"{sum(report.endings.values())} prompts in {report.seconds:.0f} s: {report.endings}")
    print("results that differ from their single run:", report.different or "none")
    print("resident MiB:", " ".join(f"{bytes_ / MIB:.0f}" for bytes_ in report.resident))
    print(f"growth after the first {WARM:.0%}: {report.growth / MIB:+.1f} MiB")
    return 1 if report.different else 0


if __name__ == "__main__":
    sys.exit(main())
