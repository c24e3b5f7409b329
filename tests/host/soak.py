"""Many prompts in a row, some cancelled, some wrong, on three models: memory stays, results agree.

usage: python tests/host/soak.py [--prompts 200] [--seed 0] [--comfyui FOLDER] [--only-host]

Every kind of prompt is first run alone on a server that has just been told to forget everything;
that is what its later results are compared with. Then prompts are queued in bursts, in an order
that the seed decides. In some of the bursts one is cancelled at a random moment or taken out of the
queue; between them prompts go wrong, one of them on a full disk, models are freed, and what was
saved is deleted, and so is what the server remembers of prompts that have ended. At the end every
kind runs once more. Stopped before its end, it reports what it has.

With --only-host all prompts are of nodes of the host: what its memory does without us.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bases import PACK, make_base
from comfy_server import ComfyServer, Prompt, RefusedError, Run
from graphs import Graph
from runs import digest_of
from soak_prompts import FULL, delete_what_was_saved, host_kinds, kinds, make_models, wrong_prompts
from soak_report import LARGEST_GROWTH, Held, Report

from ming_run.comfyui_process import find_comfyui, terminated_as_interrupted

BURST = 3
TELL_EVERY = 100  # prompts
# In a name space of its own, so that nothing is left of it; needs Linux.
FULL_DISK = (
    "unshare",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs -o size=4k none "$0" && head -c 4096 /dev/zero > "$0/filler" && exec "$@"',
)


def server_with_a_full_disk(comfyui: Path, base: Path) -> ComfyServer:
    """Start a server in whose output folder there is a full disk, where that can be had."""
    (base / "output" / FULL).mkdir()
    through = [*FULL_DISK, str(base / "output" / FULL)]
    if shutil.which("unshare") and subprocess.run([*through, "true"], check=False).returncode == 0:
        return ComfyServer(comfyui, base, through=through)
    (base / "output" / FULL).rmdir()
    return ComfyServer(comfyui, base)


def single_runs(server: ComfyServer, graphs: Mapping[str, Graph]) -> dict[str, str]:
    """Return what every prompt gives on its own."""
    expected = {}
    for name, graph in graphs.items():
        server.free()
        run = server.run(graph.prompt)
        if run.ending != "execution_success":
            raise RuntimeError(f"{name}: {run.messages[-1]}")
        expected[name] = digest_of(server, run)
    return expected


def soak(
    server: ComfyServer, prompts: int, seed: int, report: Report, *, is_ours: bool = True
) -> None:
    """Run so many prompts and write down what happens; the server keeps running."""
    dice = random.Random(seed)
    make_models(server)
    graphs = kinds(server) if is_ours else host_kinds()
    if prompts < 100:
        graphs = dict(dice.sample(sorted(graphs.items()), 4))
    expected, wrong = single_runs(server, graphs), wrong_prompts(server) if is_ours else []
    start = time.perf_counter()
    while report.prompts < prompts:
        before = report.prompts
        for name, run in _left_of_a_burst(server, dice, graphs, report):
            _compare(server, name, run, expected[name], report)
        _between_bursts(server, dice, wrong, report)
        report.held.append(Held.by(server, report.prompts))
        report.seconds = time.perf_counter() - start
        if report.prompts // TELL_EVERY > before // TELL_EVERY:
            print(
                f"{report.prompts} prompts, {report.seconds:.0f} s, {report.held[-1]}", flush=True
            )
    for name, graph in sorted(graphs.items()):
        _compare(server, name, server.started(graph.prompt), expected[name], report)
    _look_for_traces(server, report)


def _compare(server: ComfyServer, name: str, run: Run, expected: str, report: Report) -> None:
    """Wait for the end of a prompt; what it gives must be what its single run gave."""
    report.look_at(server.finish(run))
    if run.ending == "execution_success" and digest_of(server, run) != expected:
        report.wrong.append(f"{name} differs from its single run")


def _left_of_a_burst(
    server: ComfyServer, dice: random.Random, graphs: Mapping[str, Graph], report: Report
) -> list[tuple[str, Run]]:
    """Queue some prompts, delete or cancel one now and then; return those that will end."""
    chosen = [dice.choice(sorted(graphs)) for _ in range(BURST)]
    burst = [(name, server.started(graphs[name].prompt)) for name in chosen]
    if dice.random() < 0.3 and _is_deleted(server, burst[-1][1]):
        burst.pop()
        report.endings["deleted"] += 1
    if dice.random() < 0.4:
        _cancel(server, burst[0][1], after=dice.randint(1, 60))
    return burst


def _between_bursts(
    server: ComfyServer, dice: random.Random, wrong: list[Prompt], report: Report
) -> None:
    """Fail, free, delete and forget, each now and then."""
    if dice.random() < 0.5 and wrong:
        _fails(server, dice.choice(wrong), report)
    if dice.random() < 0.1:
        server.free()
    if dice.random() < 0.1:
        delete_what_was_saved(server)
    if dice.random() < 0.1:
        server.post("/history", {"clear": True})


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


def _fails(server: ComfyServer, prompt: Prompt, report: Report) -> None:
    """Run a wrong prompt, and count how it failed."""
    try:
        run = server.run(prompt)
    except RefusedError:
        report.endings["refused"] += 1
    else:
        report.look_at(run)
        if run.ending != "execution_error":
            report.wrong.append(f"a wrong prompt ended as {run.ending}: {prompt}")


def _look_for_traces(server: ComfyServer, report: Report) -> None:
    """Look for prompts in the queue, threads that died, and half-written files (Linux)."""
    if any(server.get_json("/queue").values()):
        report.wrong.append("the queue is not empty")
    for sign in ("Exception in thread", "Task exception was never retrieved"):
        if sign in server.log:
            report.wrong.append(f"the log says: {server.log.split(sign)[1][:300]}")
    output = server.base.absolute() / "output"
    seen_by_server = Path(f"/proc/{server.process.pid}/root") / output.relative_to("/")
    left = [path.name for path in (seen_by_server / FULL).glob("*") if path.name != "filler"]
    left += [path.name for path in output.rglob("*") if path.suffix in (".part", ".unfinished")]
    report.wrong += [f"{name} is left half-written" for name in left]


def main() -> int:
    """Print the report; 1 if anything was wrong, memory grew, or it was stopped."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--comfyui", type=Path, default=find_comfyui(PACK))
    parser.add_argument("--only-host", action="store_true", help="leave the pack's nodes out")
    args = parser.parse_args()
    if args.comfyui is None:
        parser.error("no ComfyUI was found: name its folder")
    report = Report()
    with tempfile.TemporaryDirectory() as folder, terminated_as_interrupted():
        server = server_with_a_full_disk(args.comfyui, make_base(Path(folder) / "base"))
        try:
            soak(server, args.prompts, args.seed, report, is_ours=not args.only_host)
        except KeyboardInterrupt:
            report.wrong.append("stopped before its end")
        except (TimeoutError, OSError, RuntimeError) as error:
            report.wrong.append(f"the soak broke off: {error}")
        finally:
            server.stop()
    print("\n".join(report.lines()))
    return 1 if report.wrong or report.growth > LARGEST_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
