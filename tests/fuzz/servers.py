"""What a ComfyUI answers over HTTP, wrong: read, checked, and kept inside the folder of results."""

from pathlib import Path
from random import Random

from ming_run.batch.on_ray import _Silence
from ming_run.comfyui_client import ComfyClient, _Follower
from ming_run.comfyui_host import OUR_NODE, ComfyHost
from ming_run.host import Folders, Job, RunError

from .checkpoints import Case
from .judging import expect, ours
from .mutators import mutated_json

PICTURE = {"filename": "a.png", "subfolder": "ming", "type": "output"}
OUTPUTS = {"1": {"images": [PICTURE], "text": ["ming/a.mingctx.safetensors [output]"]}}
HISTORY = {"id": {"outputs": OUTPUTS, "status": {"messages": [["execution_success", {}]]}}}
ERROR = {"node_id": "1", "node_type": "A", "exception_message": "a", "exception_type": "B"}
MESSAGES = [
    {"type": kind, "data": {"prompt_id": "id", **content}}
    for kind, content in (
        ("executing", {"node": "1"}),
        ("progress", {"node": "1", "value": 1, "max": 2}),
        ("execution_error", ERROR),
        ("execution_error", {**ERROR, "exception_type": "ExecutionBlocked"}),
        ("execution_interrupted", {"node_id": "1"}),
    )
]
NODES = {
    OUR_NODE: {
        "input": {
            "required": {"checkpoint": [["auto", "b"], {"default": "auto"}]},
            "optional": {"seed": ["INT", {"default": 0, "min": 0}], "text": ["STRING"]},
        },
        "output": ["MINGUV_MODEL"],
        "output_name": ["model"],
        "output_is_list": [False],
        "display_name": "Load",
        "output_node": True,
    }
}


def servers(folder: Path) -> Case:
    """Answers about nodes, and about what a prompt gave."""
    work, output = folder / "work", folder / "output"

    def case(dice: Random) -> None:
        host = ComfyHost("http://127.0.0.1:1", Folders(folder / "input", output, work))
        bodies = {
            "/object_info": mutated_json(dice, NODES),
            "/history/id": mutated_json(dice, HISTORY),
            "/view": b"picture",
        }
        host._client = _Told(bodies)
        with ours(RunError):
            host.definitions()
        with ours(RunError):
            job = Job("job", {"1": {"class_type": "MingUniVision_SaveContext", "inputs": {}}})
            for product in host.run(job, None):
                expect(
                    product.text is not None or _is_inside(product.path, work, output), "outside"
                )
        with ours(RunError):
            told = [mutated_json(dice, message) for message in dice.sample(MESSAGES, 4)]
            _Follower(host._client, _Socket(told), job, "id", _Silence()).follow()

    return case


def _is_inside(path: Path | None, *folders: Path) -> bool:
    return path is not None and any(path.resolve().is_relative_to(f.resolve()) for f in folders)


class _Socket:
    """A connection over which these messages come, and then no more."""

    def __init__(self, messages: list[bytes]) -> None:
        self._left = iter(messages)

    def receive(self, _timeout: float) -> str | None:
        """Return the next message."""
        message = next(self._left, None)
        return None if message is None else message.decode(errors="replace")


class _Told(ComfyClient):
    """A client that is told what the server answers."""

    def __init__(self, bodies: dict[str, bytes]) -> None:
        super().__init__("http://127.0.0.1:1")
        self._bodies = bodies

    def is_queued(self, _prompt_id: str) -> bool:
        """Whether a prompt still runs: none does."""
        return False

    def run(self, job: Job, _watcher: object) -> dict[str, dict[str, object]]:
        """Return what the history holds, as after a run."""
        return self.outputs_of("id")

    def _open(self, path: str, body: bytes | None = None, headers: object = None) -> bytes:
        return self._bodies[path.partition("?")[0]]
