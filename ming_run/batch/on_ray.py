"""Rows as tasks on Ray: an actor per GPU holds the model. Retries and failover are Ray's own."""

import importlib
import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ming_core.foreign_text import plain

from ..host import Folders, HostError, Job
from .outcomes import Outcome, execute
from .tasks import Task

# A row that ends its worker this often, by the memory it needs perhaps, counts as failed.
RETRIES = 3
_PREFIX = "ming-batch-"


@dataclass(frozen=True)
class Parcel:
    """A row with its pictures, as it travels to another machine."""

    task: Task
    pictures: dict[str, bytes]


class Worker:
    """One process with a model of its own, which stays loaded between rows."""

    def __init__(self, checkpoint_root: Path | None, driver_work: Path) -> None:
        from ..headless import HeadlessHost

        # On the machine of the command its work folder goes at the end, whatever happens here.
        parent = driver_work if driver_work.is_dir() else None
        work = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self._work = work
        self._folders = Folders(work / "input", work / "results", work, checkpoint_root)
        self._host = HeadlessHost(self._folders)

    def run(self, parcel: Parcel) -> Outcome:
        """Run one row."""
        given = self._work / "given"
        for name, content in parcel.pictures.items():
            (given / name).parent.mkdir(parents=True, exist_ok=True)
            (given / name).write_bytes(content)
        pictures = {name: given / name for name in parcel.pictures}
        return execute(
            replace(parcel.task, pictures=pictures), self._host, self._folders, _Silence()
        )

    def close(self) -> None:
        """Leave nothing behind."""
        self._host.close()
        shutil.rmtree(self._work, ignore_errors=True)


def run_on_ray(
    tasks: Sequence[Task], folders: Folders, address: str, num_workers: int | None
) -> Generator[tuple[Task, Outcome], None, None]:
    """Yield each row as it ends, in whatever order they end.

    address   of a running cluster ("auto" finds it); empty starts one on this machine
    """
    ray = _ray()
    _connect(ray, address, num_workers)
    try:
        workers = _start_workers(ray, folders, min(len(tasks), _count(ray, num_workers)))
        waiting, running = list(reversed(tasks)), {}
        for worker in workers:
            task = waiting.pop()
            running[worker.run.remote(_parcel(task))] = (task, worker)
        while running:
            (ended,), _ = ray.wait(list(running), num_returns=1)
            task, worker = running.pop(ended)
            outcome = _outcome_of(ray, ended)
            if waiting:
                following = waiting.pop()
                running[worker.run.remote(_parcel(following))] = (following, worker)
            yield task, outcome
        ray.get([worker.close.remote() for worker in workers], timeout=60)
    finally:
        ray.shutdown()
        for left in folders.work.glob(f"{_PREFIX}*"):  # of workers that were ended
            shutil.rmtree(left, ignore_errors=True)


def _ray() -> Any:  # noqa: ANN401
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise HostError(
            f"The package ray cannot be imported ({error}). Install it: `python -m pip install "
            "ray`, or `pip install -e '.[ray]'` in the clone."
        ) from error


def _connect(ray: Any, address: str, num_workers: int | None) -> None:  # noqa: ANN401
    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address:
        options["address"] = address
    else:
        options["include_dashboard"] = False
        if num_workers is not None:
            options["num_cpus"] = num_workers  # more workers than cores are the person's choice
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise HostError(
            f"Ray at {address or 'this machine'!r} cannot be used ({plain(error)}). Look at "
            "`ray status`, or leave the address out to use this machine."
        ) from error


def _count(ray: Any, num_workers: int | None) -> int:  # noqa: ANN401
    """As many workers as asked for and as there is room for; else one per GPU, else one."""
    resources = ray.cluster_resources()
    gpus, cpus = (int(resources.get(kind, 0)) for kind in ("GPU", "CPU"))
    return max(min(num_workers or gpus or 1, gpus or cpus), 1)


def _start_workers(ray: Any, folders: Folders, count: int) -> list[Any]:  # noqa: ANN401
    needs = {"num_cpus": 1, "num_gpus": 1 if ray.cluster_resources().get("GPU", 0) >= 1 else 0}
    actor = ray.remote(max_restarts=-1, max_task_retries=RETRIES, **needs)(Worker)
    return [actor.remote(folders.checkpoint_root, folders.work) for _ in range(count)]


def _parcel(task: Task) -> Parcel:
    pictures = {name: path.read_bytes() for name, path in task.pictures.items()}
    job = Job(task.job.name, task.job.prompt, task.job.workflow)
    return Parcel(replace(task, job=job, pictures={}), pictures)


def _outcome_of(ray: Any, ended: Any) -> Outcome:  # noqa: ANN401
    """What a worker returned; a worker that died once too often fails its row alone."""
    try:
        return ray.get(ended)
    except ray.exceptions.RayTaskError as error:
        raise HostError(f"A Ray worker cannot run: {plain(error.cause)}") from error
    except ray.exceptions.RayActorError as error:
        if "creation task" in str(error):
            raise HostError(f"A Ray worker cannot start: {plain(error)}") from error
        return Outcome(error=f"its worker ended {RETRIES + 1} times ({plain(error)})")


class _Silence:
    """A `Watcher` of a row on another process: only its end is told."""

    def node_started(self, title: str) -> None: ...

    def advanced(self, done: int, total: int) -> None: ...

    def noted(self, message: str) -> None: ...
